"""Step charts: what each schedule differs from the longest one by, with knee and best marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.maps.selection import restorers
from e2r_bench.report.chart import Chart, Frame, Mark, Point, Series
from e2r_bench.report.labels import label_build, number
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.knee import Knee, find_knee, gap_of
from e2r_bench.statistics.margins import known_margin
from e2r_bench.statistics.results import Estimate, Values
from e2r_bench.store.store import Store

_LETTER = 11.0
"""Height of a tick's number."""


@dataclass(frozen=True, eq=False)
class Curve:
    """One method on one task under one metric, image by image.

    Attributes:
        method: the instance.
        counts: schedules, ascending.
        seeds: of the first axis of values.
        values: (seeds, images, counts), all finite.
        gaps: mean difference from the longest schedule at every count, over images and seeds.
        knee: None without a margin, or with fewer than three schedules.
        best: the count with the best mean.
    """

    method: str
    counts: tuple[int, ...]
    seeds: tuple[int, ...]
    values: Values
    gaps: tuple[Estimate, ...]
    knee: Knee | None
    best: int


def gap_chart(store: Store, task: str, key: str) -> Chart | None:
    """Return the chart of a per-image metric; None without a method of two schedules or more."""
    named = [name for name in restorers(store) if store.info.methods[name].stepped]
    curves = [curve for name in named if (curve := curve_of(store, name, task, key)) is not None]
    if not curves:
        return None
    margin, unit = _margin(store, key), store.info.metrics[key].unit
    shown = [end for one in curves for end in _ends(one)] + [-margin, margin]
    low, high = min(shown), max(shown)
    pad = (high - low) * 0.08 or 1.0
    frame = Frame(store.info.steps, low - pad, high + pad)
    apart = [end for end in (low, high) if abs(frame.y(end) - frame.y(0.0)) >= _LETTER]
    return Chart(
        task=task,
        metric=key,
        unit=unit,
        ticks=tuple((frame.y(v), number(v, unit)) for v in (0.0, *apart)),
        steps=tuple((frame.x(count), str(count)) for count in store.info.steps),
        series=tuple(_series(store, one, unit, frame) for one in curves),
        against=f"{max(store.info.steps)} steps",
        band=(frame.y(margin), frame.y(0.0), frame.y(-margin)) if margin else None,
    )


def curve_of(store: Store, method: str, task: str, key: str) -> Curve | None:
    """Return a method's curve on the images that have a finite number at every seed and count."""
    draws = store.draws(method)
    counts = tuple(sorted({draw.steps for draw in draws}))
    seeds = tuple(sorted({draw.seed for draw in draws}))
    if len(counts) < 2 or not store.info.metrics[key].per_image:
        return None
    found = {draw: store.values(method, task, draw, key) for draw in draws}
    images = [i for i in store.images(task) if _finite(found, i)]
    scenes = [store.scenes(task)[image] for image in images]
    if len(set(scenes)) < 2:
        return None
    values = np.array(
        [[[found[Draw(s, c)][i] for c in counts] for i in images] for s in seeds]
    )  # fmt: skip
    means, margin = values.mean(axis=0), _margin(store, key)
    gaps = tuple(gap_of(means[:, k] - means[:, -1], scenes) for k in range(len(counts)))
    knee = find_knee(means, counts, scenes, margin) if margin and len(counts) > 2 else None
    better = 1 if store.info.metrics[key].higher_is_better else -1
    best = counts[int(np.argmax(better * means.mean(axis=0)))]
    return Curve(method, counts, seeds, values, gaps, knee, best)


def _finite(found: Mapping[Draw, Mapping[str, float]], image: str) -> bool:
    return all(np.isfinite(values.get(image, np.nan)) for values in found.values())


def _margin(store: Store, key: str) -> float:
    """Return a metric's margin in its unit; 0 where it has none of its own."""
    known = known_margin(key, stated((store.info.metrics[key],), {}))
    return known.value if known is not None and not known.relative else 0.0


def _ends(curve: Curve) -> Sequence[float]:
    """Return all heights that a curve reaches."""
    seeds = (curve.values - curve.values[:, :, -1:]).mean(axis=1).ravel().tolist()
    return [*seeds, *(end for gap in curve.gaps for end in _interval(gap))]


def _interval(gap: Estimate) -> tuple[float, ...]:
    return (gap.low, gap.high) if gap.scenes >= MIN_SCENES else ()


def _series(store: Store, curve: Curve, unit: str, frame: Frame) -> Series:
    told = label_build(curve.method, store.info.methods[curve.method])
    name = " ".join(part for part in (curve.method, told) if part)
    means = curve.values.mean(axis=1)
    places = [frame.x(count) for count in curve.counts]
    points = [
        Point(
            places[k],
            frame.y(float(means[s, k] - means[s, -1])),
            f"{name}, seed {seed}, {count} steps: {means[s, k] - means[s, -1]:+.4g} {unit}, "
            f"at {means[s, k]:.6g}",
        )
        for s, seed in enumerate(curve.seeds)
        for k, count in enumerate(curve.counts)
    ]
    path = [f"{x:.1f} {frame.y(gap.value):.1f}" for x, gap in zip(places, curve.gaps, strict=True)]
    bars = [
        (x, frame.y(gap.high), frame.y(gap.low))
        for x, gap in zip(places, curve.gaps, strict=True)
        if _interval(gap)
    ]
    says = "" if curve.knee is None else curve.knee.words
    return Series(
        curve.method, name, tuple(points), "M" + " L".join(path), None, tuple(bars),
        tuple(_marks(curve, frame)), says,
    )  # fmt: skip


def _marks(curve: Curve, frame: Frame) -> list[Mark]:
    found = [("best", curve.best, f"best mean at {curve.best} steps")]
    if curve.knee is not None and curve.knee.steps is not None:
        found.append(("knee", curve.knee.steps, curve.knee.words))
    heights = dict(zip(curve.counts, curve.gaps, strict=True))
    return [
        Mark(kind, frame.x(count), frame.y(heights[count].value), words)
        for kind, count, words in found
    ]
