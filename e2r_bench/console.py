"""What a person sees while a run goes on, and the table at its end."""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

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
from rich.table import Table

from e2r_bench.store.store import Store

_Line = Mapping[str, Any]
"""One line of summary.csv."""


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
            console=RichConsole(stderr=True, emoji=False),
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
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def watch(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage; without a terminal, say when the stage is over."""
        if stage not in self._bars:
            self._bars[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._bars[stage], completed=done)
        if done == total and self._progress.disable:
            self.say(f"{stage}: {total} of {total}")

    def table(self, store: Store) -> None:
        """Print the summary: a block per task, a row per method and draw, a column per metric."""
        lines = store.summary().to_dict("records")
        # A pipe has no width; 80 columns would cut every number.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
        console = RichConsole(width=width, emoji=False)
        for task in store.info.tasks:
            console.print(_block(store, task, [line for line in lines if line["task"] == task]))
        for note in _footnotes(store):
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        console.print(f"{store.folder}", markup=False, highlight=False, soft_wrap=True)


def _block(store: Store, task: str, lines: Sequence[_Line]) -> Table:
    info = store.info.tasks[task]
    title = f"{task}: n = {len(info.images)} ({len(set(info.scenes))} scenes) of {info.data}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("method")
    metrics = [
        key for key, m in store.info.metrics.items() if info.variants.get(m.name) == m.variant
    ]
    for key in metrics:
        better = "↑" if store.info.metrics[key].higher_is_better else "↓"
        table.add_column(f"{key} {better}", justify="right")
    rows: dict[tuple[str, int, int], dict[str, _Line]] = {}
    for line in lines:
        row = rows.setdefault((line["method"], line["seed"], line["steps"]), {})
        row[f"{line['metric']}:{line['variant']}"] = line
    for (method, seed, steps), by_metric in rows.items():
        table.add_row(
            _label(store, task, method, seed, steps), *(_cell(by_metric[key]) for key in metrics)
        )
    return table


def _label(store: Store, task: str, method: str, seed: int, steps: int) -> str:
    info = store.info.methods[method]
    size = " [miniature]" if info.miniature else ""
    named = "" if info.build in (method, "control") else f" ({info.build})"
    drawn = f" seed {seed}" if info.stochastic and len(store.info.seeds) > 1 else ""
    drawn += f" {steps} steps" if info.stepped and len(store.info.steps) > 1 else ""
    outside = " †" if task in info.outside else ""
    return f"{method}{named}{size}{drawn}{outside}".replace("[", r"\[")


def _cell(line: _Line) -> str:
    if line["status"] != "ok":
        return line["status"]
    value, low, high = (float(line[key]) for key in ("value", "low", "high"))
    if math.isnan(low):
        return _number(value)
    half = (high - low) / 2
    return f"{_number(value)} ±{half:.2g}" if abs(value) < 10 else f"{value:.2f} ±{half:.2f}"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4f}"


def _footnotes(store: Store) -> list[str]:
    notes = [
        f"{key}: not measured: {m.missing}; fetch it: {m.fetch}"
        for key, m in store.info.metrics.items()
        if m.missing
    ]
    notes.append("± half of a 95% interval with scenes as the units, for this n; see summary.csv")
    if any(
        task in info.outside for info in store.info.methods.values() for task in store.info.tasks
    ):
        notes.append("† the method is not made for this task")
    if any(info.miniature for info in store.info.methods.values()):
        notes.append(
            "[miniature]: our own small stand-in, trained on procedural images; not the named model"
        )
    return notes
