"""The shape of the differences, and what no test at this n can see."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from scipy import stats

from e2r_bench.statistics.onesided import skewness_error
from e2r_bench.statistics.results import Estimate, Values, check_shape, scene_index
from e2r_metrics.base.errors import UsageError

SKEW_SCENES = 40
"""Below these, strong skewness can hide."""
HIDDEN = 0.16
"""Largest rate of wrong verdicts then, as calibrated."""
RARE_SCENES = 60
"""Below these, a failure in one of twenty pictures can be absent from all."""
_FAR = 5.0  # robust standard deviations
_MAD = 1.4826  # of a normal distribution, to its standard deviation
_SHOWN = 3


@dataclass(frozen=True)
class Shape:
    """How the scenes' mean differences lie, beside their mean.

    Attributes:
        location: Hodges and Lehmann's, the median of all pairwise means: few failures do not move
            it.
        improved: share of scenes where the first arm is better; ties count half.
        improved_low, improved_high: 95% interval of that share (Wilson, 1927).
        skew: of the scenes' means.
        far: scenes beyond five robust standard deviations from the median, by name.
        scenes: how many there are.
        contradicts: the mean and the robust location point different ways.
    """

    location: float
    improved: float
    improved_low: float
    improved_high: float
    skew: float
    far: tuple[str, ...]
    scenes: int
    contradicts: bool


def shape_of(values: Values, scenes: Sequence[str], higher_is_better: bool = True) -> Shape:
    """Return the shape of (n,) differences, first arm minus second.

    Constant differences have a shape too: no skewness and nothing far.

    Raises:
        UsageError: fewer than two values or scenes, or values that are not finite.
    """
    values = check_shape(values, "differences")
    index = scene_index(scenes, len(values))
    means = np.bincount(index, values) / np.bincount(index)
    count = len(means)
    rows, columns = np.triu_indices(count)
    location = float(np.median((means[rows] + means[columns]) / 2))
    gains = means if higher_is_better else -means
    improved = float(np.mean(gains > 0) + np.mean(gains == 0) / 2)
    low, high = _wilson(improved, count)
    spread = _MAD * float(np.median(np.abs(means - np.median(means))))
    away = np.abs(means - np.median(means)) > _FAR * spread if spread else np.zeros(count, bool)
    far = tuple(name for name, one in zip(_short(scenes), away, strict=True) if one)
    varied = count > 2 and float(np.ptp(means)) > 1e-12 * max(1.0, float(np.abs(means).max()))
    skew = float(stats.skew(means, bias=False)) if varied else 0.0
    contradicts = location * float(values.mean()) < 0
    return Shape(location, improved, low, high, skew, far, count, contradicts)


def _short(scenes: Sequence[str]) -> list[str]:
    """Return the scenes' names in order, without the folders that all lie in."""
    names = [name.split("/") for name in sorted(set(scenes))]
    # What the first and the last share, all between them do.
    above = zip(names[0][:-1], names[-1][:-1], strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], above))
    return ["/".join(name[shared:]) for name in names]


def _wilson(share: float, count: int) -> tuple[float, float]:
    z = float(stats.norm.ppf(0.975))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(0.0, middle - float(half)), min(1.0, middle + float(half))


def warnings_of(estimate: Estimate, shape: Shape | None = None) -> tuple[str, ...]:
    """Return what limits any verdict on this estimate, in words."""
    scenes, notes = estimate.scenes, list[str]()
    if scenes < RARE_SCENES:
        notes.append(
            f"failures rarer than {3 / scenes:.0%} of pictures can be absent from all {scenes} "
            "scenes: no test here sees them"
        )
    if scenes < SKEW_SCENES:
        notes.append(
            f"{scenes} scenes cannot rule out skewness: were the differences strongly skewed, up "
            f"to {HIDDEN:.0%} of such verdicts would be wrong instead of 5%"
        )
    if scenes > 2 and abs(estimate.skew) > 2 * skewness_error(scenes):
        notes.append(f"skewed (skewness {estimate.skew:+.1f}): the tests are widened for it")
    if shape is not None and shape.far:
        notes.append(_far_words(shape))
    if shape is not None and shape.contradicts:
        notes.append(
            f"the mean ({estimate.value:+.3g}) and the typical difference ({shape.location:+.3g}) "
            f"point different ways; improved in {shape.improved:.0%} of scenes"
        )
    return tuple(notes)


def _far_words(shape: Shape) -> str:
    more = len(shape.far) - _SHOWN
    names = ", ".join(shape.far[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return f"far from the others: {len(shape.far)} of {shape.scenes} scenes ({names}); look there"


def unseen_rate(scenes: int, level: float = 0.95) -> float:
    """Return the rate of failures below which none may be seen in so many scenes: about 3 / n.

    Source: Hanley & Lippman-Hand, JAMA 249 (1983), exact.

    Raises:
        UsageError: no scene.
    """
    if scenes < 1:
        raise UsageError(f"expected at least one scene, found {scenes}")
    return 1 - (1 - level) ** (1 / scenes)
