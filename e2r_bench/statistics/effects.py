"""Trainings and sampling seeds as random effects: intervals that speak of recipes.

Values are crossed: every training and seed restores the same scenes. Each of the three is a sample
of its own population, as readers and cases are in diagnostic trials (Dorfman, Berbaum & Metz,
Invest. Radiol. 27, 1992; Hillis, Stat. Med. 26, 2007).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.optimize import brentq

from e2r_bench.statistics.results import Estimate, Values, is_constant, scene_index
from e2r_metrics.base.errors import UsageError

_TAIL = 0.025


@dataclass(frozen=True)
class Parts:
    """What each factor contributes to the variance of the grand mean.

    Attributes:
        total: of the grand mean, trainings, seeds and scenes being samples.
        training, seed, scene: their main effects' shares, with what they interact in; 0 where
            there is one level only.
    """

    total: float
    training: float
    seed: float
    scene: float


def crossed_estimate(values: Values, scenes: Sequence[str], level: float = 0.95) -> Estimate:
    """Return the mean difference of two recipes, with the spread between trainings in its error.

    With one training and one seed it is the t interval over scenes, and speaks of these two
    adapters alone. With two trainings the interval is wide: two say little of their spread.

    Args:
        values: (trainings, seeds, images) differences, first arm minus second; training k of one
            arm stands against training k of the other.
        scenes: the scene of each image; images of a scene are averaged first.
        level: coverage.

    Raises:
        UsageError: another shape, fewer than two scenes, values that are not finite, or no spread.
    """
    cells = _cells(values, scenes)
    trainings, seeds, count = cells.shape
    parts = variance_of_mean(cells)
    if parts.total == 0:
        raise UsageError("all differences are equal: a constant has no noise to test against")
    freedom = _freedom(parts, cells.shape)
    error, mean = float(np.sqrt(parts.total)), float(cells.mean())
    half = float(stats.t.isf((1 - level) / 2, freedom)) * error
    means = cells.mean(axis=(0, 1))
    varied = count > 2 and not is_constant(means)
    skew = float(stats.skew(means, bias=False)) if varied else 0.0
    return Estimate(
        mean, error, mean - half, mean + half, level, values.shape[2], count,
        f"crossed random effects: {trainings} trainings, {seeds} seeds, scenes", skew,
        freedom=freedom,
    )  # fmt: skip


def _cells(values: Values, scenes: Sequence[str]) -> Values:
    """Return (trainings, seeds, scenes) means."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 3 or min(values.shape[:2]) < 1:
        raise UsageError(
            f"expected (trainings, seeds, images) differences, found shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise UsageError("expected finite differences; identical pictures have infinite PSNR")
    index = scene_index(scenes, values.shape[2])
    member = index[:, None] == np.arange(int(index.max()) + 1)
    return values @ member / member.sum(axis=0)


def variance_of_mean(cells: Values) -> Parts:
    """Return the variance of the grand mean of crossed (trainings, seeds, scenes) values.

    Mean squares are combined by inclusion and exclusion, so that what two factors share counts
    once. The result is never below any factor's own share.
    """
    shares = {names: _share(cells, names) for names in _subsets(cells.shape)}
    total = sum((-1) ** (len(names) + 1) * share for names, share in shares.items())
    alone = [shares.get((axis,), 0.0) for axis in range(3)]
    return Parts(max(total, *alone), *alone)


def _subsets(shape: Sequence[int]) -> list[tuple[int, ...]]:
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    return [names for k in range(1, len(axes) + 1) for names in combinations(axes, k)]


def _share(cells: Values, names: tuple[int, ...]) -> float:
    """Return the mean square of an effect over the number of all values."""
    effect = _effect(cells, names)
    levels = [cells.shape[axis] for axis in names]
    freedom = float(np.prod([size - 1 for size in levels]))
    return float((effect**2).sum()) / (freedom * float(np.prod(levels)))


def _effect(cells: Values, names: tuple[int, ...]) -> npt.NDArray[np.float64]:
    effect = _marginal(cells, names)
    for k in range(len(names)):
        for fewer in combinations(names, k):
            effect = effect - _effect(cells, fewer)
    return effect


def _marginal(cells: Values, names: tuple[int, ...]) -> npt.NDArray[np.float64]:
    away = tuple(axis for axis in range(3) if axis not in names)
    return cells.mean(axis=away, keepdims=True)


def _freedom(parts: Parts, shape: Sequence[int]) -> float:
    """Return degrees of freedom whose t quantile weighs each factor's share by its own.

    Cochran's rule. Satterthwaite's gives too many where few trainings happen to lie close: its
    false alarms are 12% with two trainings and 7% with three.
    """
    trainings, seeds, scenes = shape
    if trainings == seeds == 1:
        return scenes - 1
    shares = [(parts.training, trainings), (parts.seed, seeds)]
    if min(trainings, seeds) == 1 and max(trainings, seeds) > 3:
        # What a single factor shares with the scenes is known as well as they are. Of few levels
        # not even that is known: taking it off costs 7% false alarms, with three in five parts.
        shares = [(max(0.0, parts.total - parts.scene), max(trainings, seeds))]
    wide = sum(_quantile(size) ** 2 * share for share, size in shares if size > 1)
    rest = max(0.0, parts.total - sum(share for share, size in shares if size > 1))
    wide = max(wide + _quantile(scenes) ** 2 * rest, _quantile(scenes) ** 2 * parts.total)
    least = min(size for size in shape if size > 1) - 1
    return _invert(float(np.sqrt(wide / parts.total)), least, scenes - 1)


def _quantile(size: int) -> float:
    return float(stats.t.isf(_TAIL, size - 1))


def _invert(quantile: float, least: float, most: float) -> float:
    """Return the degrees of freedom, between two bounds, that have this quantile."""

    def excess(freedom: float) -> float:
        return float(stats.t.isf(_TAIL, freedom)) - quantile

    if excess(most) >= 0:
        return most
    if excess(least) <= 0:
        return least
    return cast(float, brentq(excess, least, most))


def joined_estimate(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of one difference per training, for metrics of whole sets.

    The scenes are the same for every training, so that their error does not fall with the number
    of trainings; it counts in full, which is wide where trainings and scenes interact.

    Args:
        estimates: one per training, on the same scenes: `jackknife.jackknife_difference`.

    Raises:
        UsageError: no estimate, or other numbers of scenes.
    """
    if not estimates or len({(e.n, e.scenes) for e in estimates}) != 1:
        raise UsageError("expected one estimate per training, all on the same scenes")
    if len(estimates) == 1:
        return estimates[0]
    first, count = estimates[0], len(estimates)
    values = np.array([estimate.value for estimate in estimates])
    between = float(values.var(ddof=1)) / count
    within = float(np.mean([estimate.error**2 for estimate in estimates]))
    null = [estimate.null_error for estimate in estimates if estimate.null_error is not None]
    error = float(np.sqrt(between + within))
    parts = Parts(between + within, between, 0.0, within)
    freedom = _freedom(parts, (count, 1, first.scenes))
    mean, half = float(values.mean()), float(stats.t.isf((1 - first.level) / 2, freedom)) * error
    return Estimate(
        mean, error, mean - half, mean + half, first.level, first.n, first.scenes,
        f"{first.how}, and between {count} trainings",
        float(np.mean([estimate.skew for estimate in estimates])),
        float(np.sqrt(between + np.mean(np.square(null)))) if null else None,
        freedom,
    )  # fmt: skip
