"""The summary of a published run, from its rows and, for metrics of whole sets, its pictures."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from e2r_baselines.method import Draw
from e2r_bench.bundle.compared import Checked, Number
from e2r_bench.bundle.reading import Finding
from e2r_bench.run.summary import COLUMNS, summary_line
from e2r_bench.store.cell import Cell
from e2r_bench.store.gaps import groups_of
from e2r_bench.store.index import Group
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_metrics import Session

_NUMBERS = ("value", "low", "high")
"""Columns that are compared within a tolerance; the others are compared as they are."""


def no_pictures(store: Store, cell: Cell) -> str:
    """Return why a cell cannot be measured here; "" where it can, or has failed in the run."""
    if store.failure(cell) is not None:
        return ""
    if not store.has(cell):
        return "the picture is in the bundle by hash alone"
    # Without a truth, some metrics compare with the input.
    truth = store.info.tasks[cell.task].truth
    place = store.clean_path if truth else store.degraded_path
    if not place(cell.task, cell.image).is_file():
        which = "clean picture" if truth else "input"
        return f"the {which} is in the bundle by hash alone; give --data with its set"
    return ""


def check_summary(
    store: Store,
    session: "Session",
    unfit: Mapping[str, str],
    checked: Checked,
    moved: Mapping[str, str],
) -> None:
    """Compare summary.csv with what its rows give, and set metrics with what pictures give.

    Args:
        store: the run that was laid out.
        session: metrics with their networks.
        unfit: metric id -> why it cannot be measured here.
        checked: what was compared, added to.
        moved: packages whose version is another one here.
    """
    try:
        published = _published(store)
    except UsageError as error:
        checked.differing.append(Finding("summary", "summary.csv", str(error)))
        return
    for group in groups_of(store):
        method, task, draw, key = group
        name = f"{method} on {task} seed {draw.seed} steps {draw.steps} {key}"
        then = published.pop(group, None)
        if then is None:
            checked.differing.append(Finding("summary", name, "its line is gone"))
            continue
        why = "" if store.info.metrics[key].per_image else _no_set(store, group, unfit)
        if why:
            checked.unchecked[why] += 1
            continue
        _compare_lines(name, key, then, summary_line(store, session, group), checked, moved)
    for group in published:
        checked.differing.append(Finding("summary", str(group), "a line of no number of the run"))


def _published(store: Store) -> dict[Group, Mapping[str, Any]]:
    frame = store.summary()
    if list(frame.columns) != list(COLUMNS):
        raise UsageError("summary.csv: expected the columns of this version, found others")
    try:
        return {
            (row["method"], row["task"], Draw(int(row["seed"]), int(row["steps"])),
             f"{row['metric']}:{row['variant']}"): row
            for row in frame.to_dict("records")
        }  # fmt: skip
    except ValueError as error:
        raise UsageError(f"summary.csv: expected seeds and steps, found: {error}") from error


def _no_set(store: Store, group: Group, unfit: Mapping[str, str]) -> str:
    """Return why a set metric cannot be measured again here; "" where it can, or never was."""
    method, task, draw, key = group
    if store.info.metrics[key].missing is not None or store.info.tasks[task].shave:
        return ""
    if task not in store.tasks(method):
        return ""
    cells = (Cell(method, task, draw, image) for image in store.images(task))
    gone = next((why for cell in cells if (why := no_pictures(store, cell))), "")
    return unfit.get(key, gone)


def _compare_lines(
    name: str,
    key: str,
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    checked: Checked,
    moved: Mapping[str, str],
) -> None:
    differ = [
        f"{column} {then[column]!r}, expected {now.get(column)!r}"
        for column in COLUMNS
        if not _same(then[column], now.get(column), column in _NUMBERS)
    ]
    if differ:
        checked.differing.append(Finding("summary", name, f"altered: {'; '.join(differ)}"))
        return
    for column in _NUMBERS:
        old, new = (float(line.get(column, math.nan)) for line in (then, now))
        number = Number("summary", f"{name} {column}", key, interval=column != "value")
        checked.number(number, old, new, moved)


def _same(then: Any, now: Any, number: bool) -> bool:
    """Return whether a cell of the CSV is what was written of a value; an empty one is none.

    Numbers are compared by their distance; here they only have to be some.
    """
    if number:
        return not isinstance(then, str)
    if pd.isna(then):
        return now is None or now == "" or bool(pd.isna(now))
    return then == now
