"""`e2r-bench data`: the public sets that tasks and papers use, and fetching one by name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE

_folder = click.option(
    "--to", "folder", type=FILE, default=Path("data"), show_default=True, help="Where sets lie."
)


@click.group("data", invoke_without_command=True, short_help="List and fetch public sets.")
@_folder
@options.as_json
@click.pass_context
def command(ctx: click.Context, folder: Path, as_json: bool) -> None:
    """List the public sets: how many pictures, licence, size, hash, page, and how to get each.

    Downloads nothing. What nobody states is said to be unknown; what lies in FOLDER is said too.
    """
    if ctx.invoked_subcommand is None:
        _list(folder, as_json)


@command.command("fetch")
@click.argument("names", nargs=-1, required=True)
@_folder
def fetch(names: tuple[str, ...], folder: Path) -> int:
    """Fetch sets by NAME, whatever their size, checked by their hash, into FOLDER/NAME."""
    from e2r_bench.run.fetch_sets import fetch_set
    from e2r_bench.run.public_sets import public_sets, set_named
    from e2r_metrics.base.errors import E2RError, UsageError

    known = public_sets()
    failed = 0
    for row in [set_named(name, known) for name in names]:
        try:
            place = fetch_set(row, folder, lambda line: click.echo(line, err=True))
        except UsageError:
            raise
        except E2RError as error:
            failed = 1
            click.echo(str(error), err=True)
        else:
            click.echo(f"{row.name}: {row.n} pictures; use --data {place}")
    return failed


def _list(folder: Path, as_json: bool) -> None:
    from e2r_bench.terminal import print_entry, stdout_console

    rows = list(_rows(folder))
    if as_json:
        options.print_json(rows)
        return
    console = stdout_console()
    for row in rows:
        size = f"{row['size'] / 1e6:.1f} MB" if row["size"] else "unknown"
        stated = f", stated by {row['hash_stated_by']}" if row["hash"] else ""
        details = {
            "used for": ", ".join(row["tasks"]),
            "licence": row["licence"],
            "size": size,
            "hash": (row["hash"] or "unknown") + stated,
            "page": row["page"],
            "note": row["note"],
            "here": row["here"],
            "to get": row["get"],
        }
        print_entry(console, f"{row['name']}: {row['title']}, n = {row['n']}", details)


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a set's facts, and how much of it lies in the folder; downloads nothing."""
    from e2r_bench.run.fetch_sets import pictures_here
    from e2r_bench.run.public_sets import public_sets

    for row in public_sets().values():
        archive, found = row.archive, pictures_here(row, folder)
        yield {
            "name": row.name,
            "title": row.title,
            "n": row.n,
            "tasks": list(row.tasks),
            "licence": row.licence,
            "page": row.page,
            "size": archive.size or None if archive else None,
            "hash": archive.digest if archive else None,
            "hash_stated_by": archive.stated_by if archive else None,
            "note": row.note,
            "layout": row.layout,
            "here": f"{found} files in {folder / row.name}" if found else "",
            "get": row.how(),
        }
