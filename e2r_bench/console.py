"""What a person sees while a run goes on, and the table at its end."""

import sys
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from e2r_bench.report.entries import Entry
from e2r_bench.report.table import Block, Column, Line, blocks
from e2r_bench.report.unmeasured import one_line
from e2r_bench.store.costs import cost_lines
from e2r_bench.store.store import Store
from e2r_bench.terminal import print_line, print_table, stdout_console


class Console:
    """Progress bars with the time left, on standard error; the table on standard output."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<28}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=RichConsole(stderr=True, emoji=False, markup=False, highlight=False),
            disable=not sys.stderr.isatty(),
        )
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> "Console":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print one line above the bars."""
        print_line(self._progress.console, line)

    def watch(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage; without a terminal, say when the stage is over."""
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._bars[stage], completed=done)
        if done == total and self._progress.disable:
            self.say(f"{stage}: {total} of {total}")

    def table(self, store: Store) -> None:
        """Print the summary: a table per task, a row per method and draw, a column per metric."""
        console = stdout_console()
        for block in blocks({"": store}):
            _print_block(console, store, block)
        for note in (*cost_lines(store), *_footnotes(store)):
            print_line(console, note)
        print_line(console, str(store.folder))


def _print_block(console: RichConsole, store: Store, block: Block) -> None:
    info = store.info.tasks[block.task]
    scenes = len(set(info.scenes))
    title = f"{block.task}: n = {len(info.images)} ({scenes} scenes) of {info.data}"
    print_line(console, title, style="bold")
    if block.columns:
        heads = ["method", *(_head(column) for column in block.columns)]
        rows = [
            [
                _label(store, block.task, line),
                *(_number(one, len(info.images)) for one in line.entries),
            ]
            for line in block.lines
        ]
        print_table(console, heads, rows)
    mixed = [f"{column.key}: {column.mixture}" for column in block.columns if column.mixture]
    for note in (*mixed, *one_line(block.unmeasured)):
        print_line(console, note)
    print_line(console, "")


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


def _footnotes(store: Store) -> Iterator[str]:
    yield (
        "↑ higher is better, ↓ lower is better; ± half of a 95% interval with scenes as the units, "
        "for this n; each seed: summary.csv"
    )
    methods = store.info.methods.values()
    if any(task in info.outside for info in methods for task in store.info.tasks):
        yield "* the method is not made for this task"
    if any(info.miniature for info in methods):
        yield "(miniature): our own small stand-in, trained on procedural images; not the model"
