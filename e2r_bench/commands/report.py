"""`e2r-bench report`: the report of a run, written again."""

from pathlib import Path
from typing import Any

import click

from e2r_bench.commands.lists import split
from e2r_bench.commands.types import FILE, NAMES


class Box(click.ParamType):
    """A box in pixels: "x,y,w,h", four whole numbers."""

    name = "X,Y,W,H"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int, int]:
        """See the class."""
        parts = split(value) if isinstance(value, str) else [str(part) for part in value]
        if len(parts) != 4 or not all(part.isdecimal() for part in parts):
            self.fail(f"expected x,y,w,h in whole pixels, found {value!r}", param, ctx)
        left, top, width, height = map(int, parts)
        return left, top, width, height


@click.command("report", short_help="Write a run's report again.")
@click.argument("run", type=FILE)
@click.option(
    "--embed/--beside",
    default=True,
    show_default=True,
    help="Pictures inside the page, or links to the PNG files of the run.",
)
@click.option(
    "--figure",
    "cases",
    type=NAMES,
    help="No report, but a figure of TASK/METHOD/IMAGE, or of several, as their links name them.",
)
@click.option(
    "--crop",
    "boxes",
    type=Box(),
    multiple=True,
    help="With --figure: enlarge x,y,w,h of every picture; may be given several times.",
)
@click.option(
    "--plots",
    is_flag=True,
    help="No report, but forest, performance profiles and improvement as PNG, SVG and PDF.",
)
def command(
    run: Path,
    embed: bool,
    cases: tuple[str, ...] | None,
    boxes: tuple[tuple[int, int, int, int], ...],
    plots: bool,
) -> None:
    """Write RUN/report.html and RUN/report.md, with the studies and maps that RUN has by now.

    With --figure, write RUN/figures/NAME.png and .pdf instead: the input, every method and the
    truth side by side, boxes marked, and their crops below. With --plots, write the figures over
    all methods there.
    """
    from e2r_bench.report.charts import write_charts
    from e2r_bench.report.figure import parse_case, write_figure
    from e2r_bench.report.page import write_report
    from e2r_bench.store.store import open_store
    from e2r_metrics.base.errors import UsageError
    from e2r_metrics.base.locks import locked

    if boxes and not cases:
        raise UsageError("--crop: expected --figure TASK/METHOD/IMAGE beside it")
    store = open_store(run)
    with locked(store.folder):
        wanted = [parse_case(text, store) for text in cases or ()]
        drawn = list(write_figure(store, wanted, boxes)) if wanted else []
        drawn += write_charts(store) if plots else ()
        for path in drawn:
            click.echo(str(path))
        if drawn:
            return
        page = write_report(store, embed)
    click.echo(str(page))
