"""Rank correlation over a few configurations, with an exact p where all orders can be counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy import stats

from e2r_metrics.base.errors import UsageError

_COUNTED = 8
_LEAST = 4


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        rho: in [-1, 1].
        p: two-sided.
        floor: the smallest p that so many points can give.
        n: points.
        exact: all orders were counted; else by the t approximation.
    """

    rho: float
    p: float
    floor: float
    n: int
    exact: bool


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> Correlation:
    """Return Spearman's rho; at most eight points are counted out, ties included.

    Raises:
        UsageError: unequal numbers, fewer than four points, values that are not finite, or a
            constant: it has no ranks to follow.
    """
    first, second = np.asarray(one, float), np.asarray(two, float)
    if first.shape != second.shape or first.ndim != 1:
        raise UsageError(f"correlation: expected two lists of one length: {len(one)}, {len(two)}")
    if len(first) < _LEAST:
        raise UsageError(f"correlation: expected at least {_LEAST} points, found {len(first)}")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UsageError("correlation: expected finite values")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        raise UsageError("correlation: one side is the same everywhere, so it follows nothing")
    first, second = stats.rankdata(first), stats.rankdata(second)
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    rho = float(first @ second) / scale
    if len(first) > _COUNTED:
        t = rho * np.sqrt((len(first) - 2) / max(1e-300, 1 - rho**2))
        return Correlation(
            rho, float(2 * stats.t.sf(abs(t), len(first) - 2)), 0.0, len(first), False
        )
    orders = np.array(list(permutations(range(len(second)))))
    every = np.abs(second[orders] @ first / scale)
    return Correlation(
        rho, float(np.mean(every >= abs(rho) - 1e-12)),
        float(np.mean(every >= every.max() - 1e-12)), len(first), True,
    )  # fmt: skip
