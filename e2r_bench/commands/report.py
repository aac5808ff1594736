"""`e2r-bench report`: the report of a run, written again."""

from pathlib import Path

import click

from e2r_bench.commands.types import FILE


@click.command("report", short_help="Write a run's report again.")
@click.argument("run", type=FILE)
@click.option(
    "--embed/--beside",
    default=True,
    show_default=True,
    help="Pictures inside the page, or links to the PNG files of the run.",
)
def command(run: Path, embed: bool) -> None:
    """Write RUN/report.html and RUN/report.md, with the studies and maps that RUN has by now."""
    from e2r_bench.report.page import write_report
    from e2r_bench.store.store import open_store
    from e2r_metrics.base.locks import locked

    store = open_store(run)
    with locked(store.folder):
        page = write_report(store, embed)
    click.echo(str(page))
