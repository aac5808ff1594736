"""`e2r-bench cite`: BibTeX of what a run used."""

from pathlib import Path

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE


@click.command("cite", short_help="BibTeX of all that a run used.")
@click.argument("run", type=FILE)
@options.as_json
def command(run: Path, as_json: bool) -> None:
    """Print BibTeX of the methods, metrics and sets of RUN, and of e2r-bench itself.

    What no entry is about, such as a folder of somebody's results, is named in a comment.
    """
    from dataclasses import asdict

    from e2r_bench.report.cite import bibtex, cited
    from e2r_bench.store.store import open_store

    info = open_store(run).info
    found = cited(info)
    if as_json:
        options.print_json(asdict(found))
        return
    click.echo(bibtex(found, info.versions.get("e2r-bench", "unknown")), nl=False)
