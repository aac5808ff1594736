"""`e2r-bench compare`: two runs of one protocol on one page."""

from pathlib import Path

import click

from e2r_bench.commands.types import FILE, OUTPUT


@click.command("compare", short_help="Put two runs of one protocol on one page.")
@click.argument("first", type=FILE)
@click.argument("second", type=FILE)
@click.option(
    "--out",
    type=OUTPUT,
    default=Path("comparison.html"),
    show_default=True,
    help="The page; its Markdown twin stands beside it.",
)
@click.option(
    "--embed/--beside",
    default=True,
    show_default=True,
    help="Pictures inside the page, or links to the PNG files of the runs.",
)
def command(first: Path, second: Path, out: Path, embed: bool) -> None:
    """Write one page for two runs; refused unless protocol, pictures and noise are the same."""
    from e2r_bench.report.compare import write_comparison
    from e2r_bench.store.store import open_store

    click.echo(str(write_comparison(open_store(first), open_store(second), out, embed)))
