"""`e2r-bench weights`: every weight file, where it is, and fetching one by name."""

from pathlib import Path

import click

_FOLDERS = click.option(
    "--weights", multiple=True, type=click.Path(path_type=Path), help="Weights folder."
)


@click.group("weights", invoke_without_command=True, short_help="List and fetch weight files.")
@_FOLDERS
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
@click.pass_context
def command(ctx: click.Context, weights: tuple[Path, ...], as_json: bool) -> None:
    """List every weight file: used by, licence, size, SHA-256, found where. Downloads nothing."""
    if ctx.invoked_subcommand is None:
        _list(weights, as_json)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@_FOLDERS
def fetch(names: tuple[str, ...], weights: tuple[Path, ...]) -> int:
    """Fetch weight files by NAME, whatever their size; their licences are shown first."""
    from e2r_bench.run.services import open_resolver
    from e2r_metrics import Missing

    resolver = open_resolver(weights, False, lambda line: click.echo(line, err=True))
    failed = 0
    for name in names:
        answer = resolver.fetch(name)
        if isinstance(answer, Missing):
            failed = 1
            click.echo(f"{name}: could not be fetched: {answer.reason}", err=True)
        else:
            click.echo(f"{name}: {answer.path} ({answer.where}), sha256 {answer.sha256}")
    return failed


def _list(weights: tuple[Path, ...], as_json: bool) -> None:
    import json

    from rich.console import Console
    from rich.table import Table

    from e2r_bench.run.services import open_resolver
    from e2r_metrics import Found

    resolver = open_resolver(weights, True, lambda line: click.echo(line, err=True))
    answers = {name: resolver.look(name) for name in sorted(resolver.declared)}
    if as_json:
        listed = [
            {
                "name": name,
                "title": row.title,
                "used_by": list(row.used_by),
                "licence": row.licence,
                "licence_url": row.licence_url,
                "size": row.size,
                "sha256": answer.sha256 if isinstance(answer, Found) else row.sha256,
                "found": str(answer.path) if isinstance(answer, Found) else None,
                "where": answer.where if isinstance(answer, Found) else None,
                "fetch": None if isinstance(answer, Found) else answer.command,
            }
            for name, answer in answers.items()
            for row in (resolver.declared[name],)
        ]
        click.echo(json.dumps(listed, indent=1))
        return
    table = Table("file", "used by", "licence", "MB", "sha256", "found")
    for name, answer in answers.items():
        row = resolver.declared[name]
        digest = answer.sha256 if isinstance(answer, Found) else row.sha256
        size = f"{row.size / 1e6:.1f}" if row.size else ""
        found = answer.where if isinstance(answer, Found) else f"no: {answer.command}"
        table.add_row(name, ", ".join(row.used_by), row.licence, size, digest[:12], found)
    Console(emoji=False).print(table)
