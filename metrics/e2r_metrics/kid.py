"""Kernel inception distance (Binkowski et al., ICLR 2018), unbiased, over all pairs."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from e2r_metrics.frechet import Features, check_features

_ROWS = 1024


def kid(X: Features, Y: Features) -> float:
    """Return the unbiased MMD^2 with the kernel (x.y / D + 1)^3, in float64.

    No subsets are drawn: the value is the mean over all pairs, so it needs no generator and works
    for any n. It may be negative.

    Args:
        X: (n, D) features, float32 or float64, n >= 2.
        Y: (m, D) features, m >= 2.

    Raises:
        UsageError: unequal dimensions, fewer than two rows, NaN or infinity.
    """
    check_features(X, Y)
    A, B = X.astype(np.float64), Y.astype(np.float64)
    n, m = len(X), len(Y)
    within = _off_diagonal(A) / (n * (n - 1)) + _off_diagonal(B) / (m * (m - 1))
    return within - 2 * _kernel_sum(A, B) / (n * m)


def _kernel_sum(X: npt.NDArray[np.float64], Y: npt.NDArray[np.float64]) -> float:
    total = 0.0
    for start in range(0, len(X), _ROWS):
        total += float(((X[start : start + _ROWS] @ Y.T / X.shape[1] + 1) ** 3).sum())
    return total


def _off_diagonal(X: npt.NDArray[np.float64]) -> float:
    own = (np.einsum("ij,ij->i", X, X) / X.shape[1] + 1) ** 3
    return _kernel_sum(X, X) - float(own.sum())


def open_set(variant: str) -> Callable[[Features, Features], float]:
    """Return the distance of two sets of features."""
    del variant
    return kid
