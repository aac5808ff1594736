"""The metric table as data: what stands in every cell, and what may not stand beside what."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from e2r_bench.runs import MethodInfo, MetricInfo, Run

if TYPE_CHECKING:
    import pandas as pd

# A line of a mixed column differs from the others in one of these; two never share a column.
_MUST_AGREE = {"protocol": "protocol", "n": "n", "pictures": "pictures or noise realisation"}


@dataclass(frozen=True)
class Cell:
    """One number, or the reason why there is none.

    Attributes:
        text: the value as printed; "not measured" or "failed" where there is none.
        spread: half of the interval as printed, empty where the summary has no interval.
        status: "ok", "failed" or "not measured".
        value, low, high: the numbers, None where there are none or they are not finite.
        n: how many pictures stand behind it.
        notes: what a reader must know before comparing it, such as a mixture.
    """

    text: str
    spread: str = ""
    status: str = "ok"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """One method and draw, with a cell per column; `notes` hold for all of its numbers."""

    method: str
    origin: str
    build: str
    drawn: str
    miniature: bool
    control: bool
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One metric and variant.

    Attributes:
        low, high: the range of its finite values and intervals, for the whiskers; None without.
        mixture: why its numbers may not be compared, empty when they may.
        footnotes: what is missing and how to get it, and what the interval is.
    """

    key: str
    unit: str
    higher_is_better: bool
    protocol: str
    low: float | None
    high: float | None
    mixture: str
    footnotes: tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """One task's table."""

    task: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]


def label_build(name: str, info: MethodInfo) -> str:
    """Return what a row says it ran with, such as "kontext-nano (miniature)"."""
    if info.build in ("control", name):
        return "miniature" if info.miniature else ""
    return f"{info.build} (miniature)" if info.miniature else info.build


def blocks(runs: Mapping[str, Run]) -> tuple[Block, ...]:
    """Return one table per task.

    Args:
        runs: what a line says of its origin (empty for a single run) -> run.
    """
    tasks = dict.fromkeys(task for run in runs.values() for task in run.info.tasks)
    return tuple(_block(task, runs) for task in tasks)


def _block(task: str, runs: Mapping[str, Run]) -> Block:
    having = {origin: run for origin, run in runs.items() if task in run.info.tasks}
    found = [entry for origin, run in having.items() for entry in _entries(task, origin, run)]
    keys = dict.fromkeys(key for _, cells in found for key in cells)
    # A column that is mixed is marked cell by cell, and nothing in it is drawn to one scale.
    odd = {key: _odd([cells.get(key) for _, cells in found]) for key in keys}
    metrics = {key: m for run in having.values() for key, m in run.info.metrics.items()}
    lines = tuple(
        _line(head, [_cell(cells.get(key), odd[key]) for key in keys]) for head, cells in found
    )
    columns = tuple(
        _column(key, metrics[key], [line.cells[at] for line in lines], found, odd[key])
        for at, key in enumerate(keys)
    )
    return Block(task, _caption(task, having), columns, lines)


def _line(head: Mapping[str, Any], cells: Sequence[Cell]) -> Line:
    """Return a line; a note that all of its numbers share is said once, of the line."""
    measured = [cell for cell in cells if cell.status == "ok"]
    if len(measured) < 2:
        return Line(**head, cells=tuple(cells))
    shared = [n for n in measured[0].notes if all(n in c.notes for c in measured)]
    own = [replace(c, notes=tuple(n for n in c.notes if n not in shared)) for c in cells]
    return Line(**head, cells=tuple(own), notes=tuple(shared))


def _caption(task: str, runs: Mapping[str, Run]) -> str:
    said = dict.fromkeys(
        f"n = {len(info.images)} ({len(set(info.scenes))} scenes) of {info.data}; "
        f"{info.degradation}; protocol {run.info.protocol}"
        for run in runs.values()
        for info in [run.info.tasks[task]]
    )
    return " | ".join(said)


Found = tuple[dict[str, Any], dict[str, dict[str, Any]]]
"""The head of a line, and its summary rows by metric id."""


def _entries(task: str, origin: str, run: Run) -> Iterator[Found]:
    summary = run.summary()
    mine = summary[summary.task == task]
    for key, group in mine.groupby(["method", "seed", "steps"], sort=False):
        method, seed, steps = cast("tuple[Any, Any, Any]", key)
        name = str(method)
        info = run.info.methods[name]
        head = {
            "method": name,
            "origin": origin,
            "build": label_build(name, info),
            "drawn": _drawn(run, info, int(seed), int(steps)),
            "miniature": info.miniature,
            "control": info.control,
        }
        rows = cast("pd.DataFrame", group).to_dict("records")
        told = {f"{row['metric']}:{row['variant']}": _told(run, task, row) for row in rows}
        yield head, told


def _told(run: Run, task: str, row: Mapping[Any, Any]) -> dict[str, Any]:
    info = run.info.tasks[task]
    return {**row, "pictures": (info.data, info.degradation, info.images)}


def _drawn(run: Run, info: MethodInfo, seed: int, steps: int) -> str:
    parts = [f"seed {seed}"] if info.stochastic and len(run.info.seeds) > 1 else []
    parts += [f"{steps} steps"] if info.stepped else []
    return ", ".join(parts)


def _odd(rows: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return, for every property in which the good rows of a column differ, its usual value."""
    good = [row for row in rows if row is not None and row["status"] == "ok"]
    counts = {name: Counter(row[name] for row in good) for name in _MUST_AGREE}
    return {name: seen.most_common(1)[0][0] for name, seen in counts.items() if len(seen) > 1}


def _cell(row: Mapping[str, Any] | None, odd: Mapping[str, Any]) -> Cell:
    if row is None:
        return Cell("not measured", status="not measured", notes=("not asked for in this run",))
    note = (str(row["note"]),) if isinstance(row["note"], str) and row["note"] else ()
    if row["status"] != "ok":
        return Cell(str(row["status"]), status=str(row["status"]), notes=note)
    notes = [
        f"{_MUST_AGREE[name]} differs in this column"
        + (f": {row[name]}, elsewhere {usual}" if name == "n" else "")
        for name, usual in odd.items()
        if row[name] != usual
    ]
    value, low, high = (float(row[key]) for key in ("value", "low", "high"))
    ranged = math.isfinite(low) and math.isfinite(high)
    return Cell(
        text=number(value, str(row["unit"])),
        spread=number((high - low) / 2, str(row["unit"])) if ranged else "",
        value=value if math.isfinite(value) else None,
        low=low if ranged else None,
        high=high if ranged else None,
        n=int(row["n"]),
        notes=(*notes, *note),
    )


def number(value: float, unit: str = "") -> str:
    """Return a number with the digits that its size deserves; infinity as its sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if math.isnan(value):
        return "undefined"
    digits = 2 if unit == "dB" or abs(value) >= 10 else 4
    return f"{value:.{digits}f}".replace("-", "−")


def _column(
    key: str,
    metric: MetricInfo,
    cells: Sequence[Cell],
    found: Sequence[Found],
    odd: Mapping[str, Any],
) -> Column:
    ends = [v for c in cells for v in (c.value, c.low, c.high) if v is not None]
    named = ", ".join(_MUST_AGREE[name] for name in odd)
    drawable = len(ends) > 1 and not odd and max(ends) > min(ends)
    return Column(
        key=key,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        protocol=metric.protocol,
        low=min(ends) if drawable else None,
        high=max(ends) if drawable else None,
        mixture=f"mixed {named}: these numbers may not be compared" if odd else "",
        footnotes=tuple(_footnotes(key, metric, found)),
    )


def _footnotes(key: str, metric: MetricInfo, found: Sequence[Found]) -> Iterator[str]:
    if metric.missing:
        yield f"{key}: not measured: {metric.missing}. To fetch: {metric.fetch}"
        return
    how = dict.fromkeys(
        str(cells[key]["interval"])
        for _, cells in found
        if key in cells and isinstance(cells[key]["interval"], str) and cells[key]["interval"]
    )
    ranged = [name for name in how if not name.startswith("none")]
    if ranged:
        yield f"{key}: ± is half of the interval: {'; '.join(ranged)}"
    elif metric.per_image and how:
        yield f"{key}: no interval ({'; '.join(how).replace('none: ', '')})"
    elif not metric.per_image:
        yield f"{key}: one number per set of pictures, no interval: judge it by a study, not by eye"
