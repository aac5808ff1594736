"""Maximum mean discrepancy with the Gaussian kernel of CMMD (Jayasumana et al., CVPR 2024)."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from e2r_metrics.base.errors import UsageError
from e2r_metrics.frechet import Features, check_features

SIGMA = 10.0
SCALE = 1000.0
_BLOCK = 512
# exp(-t) - 1 + t = t^2 (1/2 - t/6 + t^2/24 - ...); on unit rows t = (1 - cosine) / 100 <= 0.02, so
# the first term left out is below 1e-18.
_SERIES = (1 / 2, -1 / 6, 1 / 24, -1 / 120, 1 / 720, -1 / 5040)


class Mmd(NamedTuple):
    """Both statistics of one pair of sets, times 1000."""

    v: float
    u: float


def cmmd(X: Features, Y: Features, statistic: Literal["V", "U"] = "V") -> float:
    """Return 1000 MMD^2 of two sets; see `cmmd_both`."""
    both = cmmd_both(X, Y)
    return both.v if statistic == "V" else both.u


def cmmd_both(X: Features, Y: Features) -> Mmd:
    """Return 1000 (mean Kxx + mean Kyy - 2 mean Kxy), K = exp(-|a - b|^2 / (2 * 10^2)).

    V takes the diagonals of Kxx and Kyy in, as the reference does, and is biased upwards by their
    ones; U leaves them out and is unbiased, so it may be negative. Rows are L2-normalised first.
    The kernel lies within 2% of one, so exp - 1 is summed: its linear term in closed form in
    float64, the rest in blocks. float32 input has float32 products, float64 input float64 ones.

    Args:
        X: (n, D) features, float32 or float64, n >= 2.
        Y: (m, D) features.

    Returns:
        Both statistics.

    Raises:
        UsageError: unequal dimensions, fewer than two rows, NaN, infinity, or a zero row.
    """
    check_features(X, Y)
    A, B = _unit_rows(X, "first"), _unit_rows(Y, "second")
    n, m = len(X), len(Y)
    sum_x, sum_y = A.sum(0, dtype=np.float64), B.sum(0, dtype=np.float64)
    gamma = 1 / SIGMA**2
    xx = _curvature(A, A) - gamma * (n**2 - float(sum_x @ sum_x))
    yy = _curvature(B, B) - gamma * (m**2 - float(sum_y @ sum_y))
    xy = _curvature(A, B) - gamma * (n * m - float(sum_x @ sum_y))
    cross = 2 * xy / (n * m)
    return Mmd(
        v=SCALE * (xx / n**2 + yy / m**2 - cross),
        u=SCALE * (xx / (n * (n - 1)) + yy / (m * (m - 1)) - cross),
    )


def _unit_rows(X: Features, which: str) -> Features:
    norms = np.sqrt(np.einsum("ij,ij->i", X, X, dtype=np.float64))[:, None]
    if not norms.all():
        raise UsageError(f"{which} set: expected features with a direction, found a zero row")
    return (X / norms).astype(X.dtype) if X.dtype == np.float64 else X / norms.astype(X.dtype)


def _curvature(X: Features, Y: Features) -> float:
    """Return the sum over all pairs of exp(-t) - 1 + t; X is Y computes one triangle only."""
    total = 0.0
    for i in range(0, len(X), _BLOCK):
        for j in range(i if X is Y else 0, len(Y), _BLOCK):
            weight = 2 if X is Y and j > i else 1
            total += weight * _block(X[i : i + _BLOCK], Y[j : j + _BLOCK])
    return total


def _block(X: Features, Y: Features) -> float:
    t = X @ Y.T
    t *= -1 / SIGMA**2
    t += 1 / SIGMA**2
    series = np.full_like(t, _SERIES[-1])
    for coefficient in _SERIES[-2::-1]:
        series *= t
        series += coefficient
    t *= t
    t *= series
    return float(t.sum(dtype=np.float64))


def open_set(variant: str) -> Callable[[Features, Features], float]:
    """Return the distance of two sets of features; `variant` is "v" or "u"."""

    def measure(X: Features, Y: Features) -> float:
        both = cmmd_both(X, Y)
        return both.v if variant == "v" else both.u

    return measure
