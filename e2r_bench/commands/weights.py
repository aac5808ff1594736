"""`e2r-bench weights`: every weight file, where it is, and fetching one by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options

if TYPE_CHECKING:
    from e2r_metrics.base.weights import Resolver


@click.group("weights", invoke_without_command=True, short_help="List and fetch weight files.")
@options.weights
@options.as_json
@click.pass_context
def command(ctx: click.Context, weights: tuple[Path, ...], as_json: bool) -> None:
    """List every weight file: used by, licence, size, SHA-256, found where. Downloads nothing."""
    if ctx.invoked_subcommand is None:
        _list(weights, as_json)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@options.weights
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
            # Nothing that this command could do: what its user can.
            by_hand = "" if answer.command.startswith("e2r-bench") else f"; {answer.command}"
            click.echo(f"{name}: could not be fetched: {answer.reason}{by_hand}", err=True)
        else:
            click.echo(f"{name}: {answer.path} ({answer.where}), sha256 {answer.sha256}")
    return failed


def _list(weights: tuple[Path, ...], as_json: bool) -> None:
    from e2r_bench.run.services import open_resolver
    from e2r_bench.terminal import print_entry, stdout_console

    resolver = open_resolver(weights, True, lambda line: click.echo(line, err=True))
    rows = list(_rows(resolver))
    if as_json:
        options.print_json(rows)
        return
    console = stdout_console()
    for row in rows:
        size = f", {row['size'] / 1e6:.1f} MB" if row["size"] else ""
        details = {
            "used by": ", ".join(row["used_by"]),
            "licence": " ".join(filter(None, (row["licence"], row["licence_url"]))),
            "sha256": row["sha256"] or "",
            "found": f"{row['found']} ({row['where']})" if row["found"] else "",
            "to fetch": row["fetch"] or "",
        }
        edition = f" (edition {row['edition']})" if row["edition"] else ""
        print_entry(console, f"{row['name']}{edition}: {row['title']}{size}", details)


def _rows(resolver: "Resolver") -> Iterator[dict[str, Any]]:
    """Yield a weight file's facts, and where it is or how to get it; downloads nothing."""
    from e2r_metrics import Found

    for name in sorted(resolver.declared):
        row, answer = resolver.declared[name], resolver.look(name)
        found = answer if isinstance(answer, Found) else None
        yield {
            "name": name,
            "title": row.title,
            "edition": row.edition,
            "used_by": list(row.used_by),
            "licence": row.licence,
            "licence_url": row.licence_url,
            "size": row.size,
            "sha256": found.sha256 if found else row.sha256,
            "found": str(found.path) if found else None,
            "where": found.where if found else None,
            "fetch": None if isinstance(answer, Found) else answer.command,
        }
