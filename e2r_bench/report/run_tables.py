"""A run's numbers as rows of text, for a terminal and a notebook."""

from collections.abc import Iterator
from dataclasses import dataclass

from e2r_bench.report.entries import Entry
from e2r_bench.report.table import Block, Column, Line, blocks
from e2r_bench.report.unmeasured import one_line
from e2r_bench.store.costs import cost_lines
from e2r_bench.store.store import Store


@dataclass(frozen=True)
class RunTable:
    """One task: a row per method and draw, a column per metric.

    Attributes:
        title: task, n, scenes, data.
        heads, rows: the table; no rows where nothing was measured.
        notes: what may not be compared, and what is not measured.
    """

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def run_tables(store: Store) -> Iterator[RunTable]:
    """Yield a table per task."""
    for block in blocks({"": store}):
        yield _table(store, block)


def _table(store: Store, block: Block) -> RunTable:
    info = store.info.tasks[block.task]
    n, scenes = len(info.images), len(set(info.scenes))
    rows = tuple(
        (_label(store, block.task, line), *(_number(one, n) for one in line.entries))
        for line in block.lines
    )
    mixed = [f"{column.key}: {column.mixture}" for column in block.columns if column.mixture]
    return RunTable(
        f"{block.task}: n = {n} ({scenes} scenes) of {info.data}",
        ("method", *(_head(column) for column in block.columns)),
        rows if block.columns else (),
        (*mixed, *block.unplanned, *one_line(block.unmeasured)),
    )


def _head(column: Column) -> str:
    return f"{column.key} {'↑' if column.higher_is_better else '↓'}"


def _label(store: Store, task: str, line: Line) -> str:
    outside = " *" if task in store.info.methods[line.method].outside else ""
    ran = f" ({line.build})" if line.build else ""
    drawn = f" {line.drawn}" if line.drawn else ""
    return f"{line.method}{ran}{drawn}{outside}"


def _number(entry: Entry, asked: int) -> str:
    if entry.status != "ok":
        return entry.text
    spread = f" ±{entry.spread}" if entry.spread else ""
    # The title says n for all numbers; one of fewer pictures says its own.
    fewer = f" (n={entry.n})" if entry.n != asked else ""
    return f"{entry.text}{spread}{fewer}"


def footnotes(store: Store) -> Iterator[str]:
    """Yield what each method costs, and what signs and brackets mean."""
    yield from cost_lines(store)
    yield (
        "↑ higher is better, ↓ lower is better; ± half of a 95% interval with scenes as the units, "
        "for this n; each seed: summary.csv"
    )
    methods = store.info.methods
    if any(task in info.outside for name, info in methods.items() for task in store.tasks(name)):
        yield "* the method is not made for this task"
    if any(info.miniature for info in methods.values()):
        yield "miniature: our own small stand-in, trained on procedural images; not the model"
