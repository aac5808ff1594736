"""Seed and step plots: what a number does when only the sampler's settings change."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from e2r_bench.maps.selection import restorers
from e2r_bench.report.chart import LEFT, Chart, Frame, Point, Series
from e2r_bench.report.gaps import gap_chart
from e2r_bench.report.labels import label_build, number
from e2r_bench.store.info import MetricInfo
from e2r_bench.store.store import Store


def charts(store: Store) -> tuple[Chart, ...]:
    """Return a chart per task and metric; none where the run has one seed and one schedule.

    Of several schedules it shows what each one differs from the longest by, picture by picture; of
    seeds alone, and of metrics of whole sets, the values.
    """
    varied = [name for name in store.info.methods if len(store.draws(name)) > 1]
    if not varied:
        return ()
    summary = store.summary()
    good = [row for row in summary.to_dict(orient="records") if row["status"] == "ok"]
    return tuple(
        chart
        for task in store.info.tasks
        for key, metric in store.info.metrics.items()
        if (chart := gap_chart(store, task, key) or _chart(store, task, key, metric, good))
    )


def _chart(
    store: Store, task: str, key: str, metric: MetricInfo, rows: Sequence[Mapping[Any, Any]]
) -> Chart | None:
    named, drawn = (metric.name, metric.variant), restorers(store)
    mine = [
        row
        for row in rows
        if row["task"] == task
        and (row["metric"], row["variant"]) == named
        and row["method"] in drawn
        and math.isfinite(float(row["value"]))
    ]
    if not any(len(store.draws(str(row["method"]))) > 1 for row in mine):
        return None
    values = [float(row["value"]) for row in mine]
    low, high = min(values), max(values)
    pad = (high - low) * 0.08 or abs(high) * 0.01 or 1.0
    frame = Frame(store.info.steps, low - pad, high + pad)
    methods = dict.fromkeys(str(row["method"]) for row in mine)
    ticks = tuple((frame.y(v), number(v, metric.unit)) for v in (low, high) if low < high or v)
    return Chart(
        task=task,
        metric=key,
        unit=metric.unit,
        ticks=tuple(dict.fromkeys(ticks)),
        steps=tuple((frame.x(count), str(count)) for count in store.info.steps),
        series=tuple(
            _series(store, name, [row for row in mine if row["method"] == name], frame)
            for name in methods
        ),
    )


def _series(store: Store, method: str, rows: Sequence[Mapping[Any, Any]], frame: Frame) -> Series:
    info = store.info.methods[method]
    name = " ".join(part for part in (method, label_build(method, info)) if part)
    if not info.stepped:
        return _flat(method, name, rows, frame)
    points = [
        Point(
            frame.x(int(row["steps"])),
            frame.y(float(row["value"])),
            f"{name}, seed {row['seed']}, {row['steps']} steps: {float(row['value']):.6g}",
        )
        for row in rows
    ]
    by_x = {x: [p.y for p in points if p.x == x] for x in sorted({p.x for p in points})}
    means = [f"{x:.1f} {sum(ys) / len(ys):.1f}" for x, ys in by_x.items()]
    return Series(method, name, tuple(points), "M" + " L".join(means), None)


def _flat(method: str, name: str, rows: Sequence[Mapping[Any, Any]], frame: Frame) -> Series:
    """A method without steps is a level line; its seeds, if any, are dots on the left edge."""
    heights = [frame.y(float(row["value"])) for row in rows]
    points = tuple(_edge_points(name, rows, frame)) if len(rows) > 1 else ()
    return Series(method, name, points, "", sum(heights) / len(heights))


def _edge_points(name: str, rows: Sequence[Mapping[Any, Any]], frame: Frame) -> Iterator[Point]:
    for row in rows:
        value = float(row["value"])
        yield Point(LEFT, frame.y(value), f"{name}, seed {row['seed']}: {value:.6g}")
