"""Where a metric settles over the number of sampler steps: flat, a knee, or not settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.onesided import p_beyond, shared_skews, with_interval
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.results import Estimate, Values, is_constant, scene_index
from e2r_metrics.base.errors import UsageError

Settling = Literal["flat", "knee", "not settled", "not resolved"]


@dataclass(frozen=True)
class Knee:
    """Where a metric settles, within the margin of the longest schedule.

    The knee is the smallest count from which on every mean differs from the longest schedule's by
    less than the margin.

    Attributes:
        settling: "flat": shown to be settled from the first count on; "knee": shown to change and
            to settle before the longest; "not settled": shown to change up to the longest, which
            may not be long enough; else "not resolved".
        steps: the estimate; None unless there is a knee.
        low, high: 95% interval of the count from which it is settled; `high` is the longest where
            nothing shorter is shown to be enough.
        to_longest: mean difference from the longest schedule at every count, with its interval;
            the last one is zero.
        margin: what counts as settled, in the metric's unit.
        words: the same in a line.
    """

    settling: Settling
    steps: int | None
    low: int
    high: int
    to_longest: tuple[Estimate, ...]
    margin: float
    words: str


def find_knee(
    values: Values,
    counts: Sequence[int],
    scenes: Sequence[str],
    margin: float,
    level: float = 0.95,
) -> Knee:
    """Return where per-image curves settle, by paired differences from the longest schedule.

    Two sequences of nested tests, each at (1 - level) / 2 and without any adjustment (Maurer,
    Hothorn & Lehmacher, 1995): from the shortest count up, while it lies outside the margin; from
    the longest down, while it lies inside.

    Args:
        values: (images, counts), of one metric, from the same noise at every count.
        counts: numbers of steps, ascending.
        scenes: the scene of each image.
        margin: what counts as settled, in the metric's unit.
        level: coverage of the interval.

    Raises:
        UsageError: fewer than three counts, unordered counts, one scene, values that are not
            finite, or a margin that is not above zero.
    """
    _check(values, counts, scenes, margin)
    gaps = [gap_of(values[:, k] - values[:, -1], scenes, level) for k in range(len(counts))]
    if gaps[0].scenes < MIN_SCENES:
        words = f"not resolved: {gaps[0].scenes} scenes, and nothing is said below {MIN_SCENES}"
        return Knee("not resolved", None, counts[0], counts[-1], tuple(gaps), margin, words)
    low, high = _ends(gaps, margin, (1 - level) / 2)
    last = len(counts) - 1
    settling: Settling = "not resolved"
    if high == 0:
        settling = "flat"
    elif low == last:
        settling = "not settled"
    elif low > 0 and high < last:
        settling = "knee"
    place = min(max(_place(gaps, margin), low), high) if settling == "knee" else None
    steps = None if place is None else counts[place]
    words = _words(settling, steps, (counts[low], counts[high], counts[-1]), level)
    return Knee(settling, steps, counts[low], counts[high], tuple(gaps), margin, words)


def _check(values: Values, counts: Sequence[int], scenes: Sequence[str], margin: float) -> None:
    if len(counts) < 3 or list(counts) != sorted(set(counts)):
        raise UsageError(f"a knee needs three or more ascending step counts, found {list(counts)}")
    if values.shape != (len(scenes), len(counts)) or not np.isfinite(values).all():
        raise UsageError(f"expected finite (images, counts) values, found shape {values.shape}")
    if not margin > 0:
        raise UsageError(f"margin: expected a number above 0, found {margin:g}")


def gap_of(differences: Values, scenes: Sequence[str], level: float = 0.95) -> Estimate:
    """Return the mean of (n,) differences with its interval over scenes; see `find_knee`."""
    count = int(scene_index(scenes, len(differences)).max()) + 1
    if is_constant(differences):
        value, n = float(differences.mean()), len(differences)
        return Estimate(value, 0.0, value, value, level, n, count, "the same in every image")
    return with_interval(mean_estimate(differences, scenes, level), level)


def _ends(gaps: Sequence[Estimate], margin: float, alpha: float) -> tuple[int, int]:
    """Return the places of the first count that may be settled, and of the first that is."""
    skews = shared_skews(gaps[:-1])
    last = len(gaps) - 1
    low = 0
    while low < last and _outside(gaps[low], margin, skews[low]) <= alpha:
        low += 1
    high = last
    while high > 0 and _inside(gaps[high - 1], margin, skews[high - 1]) <= alpha:
        high -= 1
    return low, high


def _outside(gap: Estimate, margin: float, skew: float | None) -> float:
    return min(p_beyond(gap, side * margin, side, skew) for side in (-1, 1))


def _inside(gap: Estimate, margin: float, skew: float | None) -> float:
    return max(p_beyond(gap, side * margin, -side, skew) for side in (-1, 1))


def _place(gaps: Sequence[Estimate], margin: float) -> int:
    outside = [k for k, gap in enumerate(gaps) if abs(gap.value) > margin]
    return outside[-1] + 1 if outside else 0


def _words(settling: Settling, steps: int | None, ends: tuple[int, int, int], level: float) -> str:
    low, high, longest = ends
    if settling == "flat":
        return f"flat: within the margin of {longest} steps at every count"
    if settling == "knee":
        return f"settles at {steps} steps, between {low} and {high} ({level:.0%})"
    if settling == "not settled":
        return f"not settled: still outside the margin just below {longest} steps"
    if high < longest:
        return f"not resolved: settled by {high} steps, but no change is shown before"
    start = f"changes up to {low} steps" if low else "no change is shown"
    return f"not resolved: {start}, and nothing shorter than {longest} is shown to be enough"
