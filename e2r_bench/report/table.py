"""The metric table as data: a block per task, a line per method and draw, a column per metric."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from e2r_baselines.method import Draw
from e2r_bench.report.entries import Entry, entry, mixture, not_asked, odd_properties
from e2r_bench.report.labels import label_build, label_draw
from e2r_bench.report.seeds import Told, seed_mean
from e2r_bench.report.unmeasured import Unmeasured, unmeasured, unplanned
from e2r_bench.store.info import MetricInfo
from e2r_bench.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Line:
    """One method and schedule, with an entry per column.

    Attributes:
        drawn: seed and steps; of a line that stands for several seeds, how many they are.
        notes: what holds for all of its numbers.
        seeds: the lines that this one is the mean of; empty where there is one seed.
    """

    method: str
    origin: str
    build: str
    drawn: str
    miniature: bool
    control: bool
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    seeds: tuple["Line", ...] = ()


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
    """One task's table.

    Attributes:
        caption: pictures, degradation and protocol.
        columns: metrics that some line has a number of, or failed to have one.
        unmeasured: the others.
        unplanned: methods that have nothing to run the task with, and so no line.
    """

    task: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    unmeasured: tuple[Unmeasured, ...] = ()
    unplanned: tuple[str, ...] = ()


def blocks(stores: Mapping[str, Store]) -> tuple[Block, ...]:
    """Return one table per task.

    Args:
        stores: what a line says of its origin (empty for a single run) -> run.
    """
    tasks = dict.fromkeys(task for store in stores.values() for task in store.info.tasks)
    return tuple(_block(task, stores) for task in tasks)


@dataclass(frozen=True)
class _Found:
    """The head of a line, its rows by metric id, and the lines that it is the mean of."""

    head: Mapping[str, Any]
    told: Told
    seeds: tuple["_Found", ...] = ()


def _block(task: str, stores: Mapping[str, Store]) -> Block:
    having = {origin: store for origin, store in stores.items() if task in store.info.tasks}
    found = [line for origin, store in having.items() for line in _lines(task, origin, store)]
    every = [one for line in found for one in (line, *line.seeds)]
    keys, without = _keys(every)
    # A column that is mixed is marked entry by entry, and nothing in it is drawn to one scale.
    odd = {key: odd_properties([one.told.get(key) for one in every]) for key in keys}
    metrics = {key: m for store in having.values() for key, m in store.info.metrics.items()}
    lines = tuple(_line(one, odd) for one in found)
    shown = [one for line in lines for one in (line, *line.seeds)]
    columns = tuple(
        _column(key, metrics[key], [line.entries[at] for line in shown], every, odd[key])
        for at, key in enumerate(keys)
    )
    gone = tuple(line for of, store in having.items() for line in _unplanned(task, of, store))
    return Block(task, _caption(task, having), columns, lines, unmeasured(without, metrics), gone)


def _unplanned(task: str, origin: str, store: Store) -> Iterator[str]:
    methods = store.info.methods.items()
    named = {f"{origin} {name}".lstrip(): one.unserved for name, one in methods}
    yield from unplanned({k: {task: v[task]} for k, v in named.items() if task in v})


def _keys(found: Sequence[_Found]) -> tuple[list[str], list[str]]:
    """Return the metric ids that have a column, and those that no line has anything of."""
    rows = [(key, row["status"]) for one in found for key, row in one.told.items()]
    tried = {key for key, status in rows if status != "not measured"}
    keys = dict.fromkeys(key for key, _ in rows)
    return [key for key in keys if key in tried], [key for key in keys if key not in tried]


def _entry(told: Told, key: str, odd: Mapping[str, Any]) -> Entry:
    return entry(told[key], odd) if key in told else not_asked()


def _line(found: _Found, odd: Mapping[str, Mapping[str, Any]]) -> Line:
    """Return a line; a note that all of its numbers share is said once, of the line."""
    entries = [_entry(found.told, key, odd[key]) for key in odd]
    seeds = tuple(_line(one, odd) for one in found.seeds)
    measured = [one for one in entries if one.status == "ok"]
    if len(measured) < 2:
        return Line(**found.head, entries=tuple(entries), seeds=seeds)
    shared = [n for n in measured[0].notes if all(n in one.notes for one in measured)]
    own = [replace(e, notes=tuple(n for n in e.notes if n not in shared)) for e in entries]
    return Line(**found.head, entries=tuple(own), notes=tuple(shared), seeds=seeds)


def _caption(task: str, stores: Mapping[str, Store]) -> str:
    said = dict.fromkeys(
        f"n = {len(info.images)} ({len(set(info.scenes))} scenes) of {info.data}; "
        f"{info.degradation}; protocol {store.info.protocol}"
        for store in stores.values()
        for info in [store.info.tasks[task]]
    )
    return " | ".join(said)


def _lines(task: str, origin: str, store: Store) -> Iterator[_Found]:
    """Yield a line per method and schedule, in the order of the summary."""
    summary = store.summary()
    mine = summary[(summary.task == task) & (summary.status != "not planned")]
    groups: dict[tuple[str, int], dict[Draw, Told]] = {}
    for key, group in mine.groupby(["method", "seed", "steps"], sort=False):
        method, seed, steps = cast("tuple[Any, Any, Any]", key)
        draw = Draw(int(seed), int(steps))
        rows = cast("pd.DataFrame", group).to_dict("records")
        told = {f"{row['metric']}:{row['variant']}": _told(store, task, draw, row) for row in rows}
        groups.setdefault((str(method), draw.steps), {})[draw] = told
    for (method, _), told in groups.items():
        singles = tuple(
            _Found(_head(store, origin, method, label_draw(store, method, draw)), rows)
            for draw, rows in told.items()
        )
        yield singles[0] if len(singles) == 1 else _folded(store, task, method, told, singles)


def _folded(
    store: Store, task: str, method: str, told: Mapping[Draw, Told], singles: tuple[_Found, ...]
) -> _Found:
    steps = next(iter(told)).steps
    drawn = f"mean of {len(told)} seeds" + (f", {steps} steps" if steps else "")
    head = {**singles[0].head, "drawn": drawn}
    return _Found(head, seed_mean(store, task, method, told), singles)


def _head(store: Store, origin: str, method: str, drawn: str) -> dict[str, Any]:
    info = store.info.methods[method]
    return {
        "method": method,
        "origin": origin,
        "build": label_build(method, info),
        "drawn": drawn,
        "miniature": info.miniature,
        "control": info.control,
    }


def _told(store: Store, task: str, draw: Draw, row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a summary row with what its number may be compared by."""
    info = store.info.tasks[task]
    return {
        **row,
        "pictures": (info.data, info.degradation, info.images),
        "asked": int(row["n"]) + _failed(store, task, draw, row),
    }


def _failed(store: Store, task: str, draw: Draw, row: Mapping[Any, Any]) -> int:
    """Return how many pictures of a number failed: they strike out themselves, not the column."""
    key = f"{row['metric']}:{row['variant']}"
    if not store.info.metrics[key].per_image:
        return len(store.images(task)) - int(row["n"])
    rows = store.rows().groups.get((str(row["method"]), task, draw, key), ())
    return sum(one.status == "failed" for one in rows)


def _column(
    key: str,
    metric: MetricInfo,
    entries: Sequence[Entry],
    found: Sequence[_Found],
    odd: Mapping[str, Any],
) -> Column:
    ends = [v for e in entries for v in (e.value, e.low, e.high) if v is not None]
    drawable = len(ends) > 1 and not odd and max(ends) > min(ends)
    return Column(
        key=key,
        unit=metric.unit,
        higher_is_better=metric.higher_is_better,
        protocol=metric.protocol,
        low=min(ends) if drawable else None,
        high=max(ends) if drawable else None,
        mixture=mixture(odd),
        footnotes=tuple(_footnotes(key, metric, [one.told.get(key) for one in found])),
    )


def _footnotes(
    key: str, metric: MetricInfo, rows: Sequence[Mapping[str, Any] | None]
) -> Iterator[str]:
    said = [row["interval"] for row in rows if row is not None]
    how = dict.fromkeys(name for name in said if isinstance(name, str) and name)
    ranged = [name for name in how if not name.startswith("none")]
    if ranged:
        yield f"{key}: ± is half of the interval: {'; '.join(ranged)}"
    elif metric.per_image and how:
        yield f"{key}: no interval ({'; '.join(how).replace('none: ', '')})"
    elif not metric.per_image:
        yield f"{key}: one number per set of pictures, no interval: judge it by a study, not by eye"
