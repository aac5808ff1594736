"""One-sided tests of a mean from few, perhaps skewed scenes, and the intervals that invert them.

Student's t accepts too often on the side where a long tail has not been seen. Hall's transformation
(JRSS B 54, 1992) allows for the skewness of the sample; but a sample that has missed its tail shows
too little of it. So skewness in the dangerous direction counts more than once, as far as it is more
than noise, and parts of one metric lend each other theirs. The rule was chosen on normal and gamma
differences; its two constants were last moved after a look at log-normal and mixed shapes, so that
only rare failures and photographs judge it independently.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from e2r_bench.statistics.results import Estimate, score_ends

ALONE = (0.5, 2.0)
"""For a part alone: errors of its skewness that are noise, and how often the rest counts."""
OWN = (1.0, 1.5)
"""The same for a part in a group."""
SHARED = (0.5, 1.25)
"""The same for the mean skewness of a group, in errors of that mean."""
GROUP = 2
"""Parts of one metric from which their mean skewness is taken into account."""
_SLOPE = 0.25


def skewness_error(scenes: int) -> float:
    """Return the standard error of the skewness of normal values (Cramer, 1946)."""
    n = scenes
    return math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3))) if n > 2 else math.inf


def _beyond(skew: float, noise: float) -> float:
    return math.copysign(max(0.0, abs(skew) - noise), skew)


def danger(estimate: Estimate, side: int, shared: float | None = None) -> float:
    """Return the skewness that a one-sided test of this estimate has to allow for.

    Args:
        estimate: its `skew` is that of the scenes' influence on the value.
        side: 1 where the test asks whether the truth lies above a bound, -1 for below.
        shared: from `shared_skews`; None for a part alone.
    """
    error = skewness_error(estimate.scenes)
    if not math.isfinite(error):
        return 0.0
    noise, times = ALONE if shared is None else OWN
    own = _beyond(side * estimate.skew, noise * error)
    own = times * own if own < 0 else own
    if shared is None:
        return own
    common = side * shared
    return min(own, SHARED[1] * common if common < 0 else common)


def shared_skews(estimates: Sequence[Estimate]) -> list[float | None]:
    """Return, for parts of one metric, the skewness that they have in common.

    Samples that have missed their tail look harmless one by one, but seldom all together.
    """
    if len(estimates) < GROUP:
        return [None] * len(estimates)
    skews = np.array([estimate.skew for estimate in estimates])
    error = np.mean([skewness_error(estimate.scenes) for estimate in estimates])
    mean = _beyond(float(skews.mean()), SHARED[0] * float(error) / math.sqrt(len(skews)))
    return [mean] * len(estimates)


def p_beyond(estimate: Estimate, bound: float, side: int, shared: float | None = None) -> float:
    """Return the p-value of "the truth lies not above `bound`" (side 1), or not below (side -1).

    The larger p of Student's t and of Hall's transformation counts. An estimate without any error
    (every scene gave the same) is certain.

    Args:
        estimate: a difference; its error is taken at the bound, see `Estimate.error_at`.
        bound: in the estimate's unit.
        side: 1 or -1.
        shared: see `danger`.
    """
    distance, error = side * (estimate.value - bound), estimate.error_at(bound)
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    t, skew = distance / error, danger(estimate, side, shared)
    return float(stats.t.sf(min(t, _hall(t, skew, estimate.scenes)), estimate.df))


def _hall(t: float, skew: float, scenes: int) -> float:
    """Return Hall's transformation of t, beyond its standstill no steeper than `_SLOPE`.

    With skewness in the dangerous direction the cubic stands still at some t and then overtakes it:
    samples that missed their tail by far would pass as the clearest of all.
    """
    root = math.sqrt(scenes)
    hall = t + skew / (6 * root) * (1 + 2 * t**2) + skew**2 * t**3 / (27 * scenes)
    still, value = _standstill(skew, root)
    return min(hall, value + _SLOPE * (t - still)) if t > still else hall


def _standstill(skew: float, root: float) -> tuple[float, float]:
    """Return the t where Hall's transformation has no slope, and its value there."""
    if skew >= 0:
        return math.inf, math.inf
    return -3 * root / skew, -root / skew + skew / (6 * root)


def reach(estimate: Estimate, alpha: float, side: int, shared: float | None = None) -> float:
    """Return how many errors lie between the value and the bound where `p_beyond` is `alpha`."""
    quantile = float(stats.t.isf(alpha, estimate.df))
    skew, root = danger(estimate, side, shared), math.sqrt(estimate.scenes)
    bend = skew / (3 * root)
    if abs(bend) < 1e-9:
        return quantile
    inverse = (float(np.cbrt(1 + 3 * bend * (quantile - bend / 2))) - 1) / bend
    still, value = _standstill(skew, root)
    line = still + (quantile - value) / _SLOPE if quantile > value else -math.inf
    return max(quantile, inverse, line)


def interval(
    estimate: Estimate, level: float = 0.95, shared: float | None = None
) -> tuple[float, float]:
    """Return the ends of all truths that neither one-sided test excludes at (1 - level) / 2."""
    alpha = (1 - level) / 2
    return (
        score_end(estimate, reach(estimate, alpha, 1, shared), -1),
        score_end(estimate, reach(estimate, alpha, -1, shared), 1),
    )


def score_end(estimate: Estimate, errors: float, side: int) -> float:
    """Return the end above (1) or below (-1) of the truths within so many of their own errors."""
    low, high = score_ends(estimate, errors)
    return high if side > 0 else low


def with_interval(estimate: Estimate, level: float = 0.95) -> Estimate:
    """Return the estimate with the interval that agrees with `p_beyond`."""
    low, high = interval(estimate, level)
    return replace(estimate, low=low, high=high, level=level)
