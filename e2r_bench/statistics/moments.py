"""Frechet distances of chosen rows by their moments, for more rows than dimensions."""

import numpy as np
from scipy.linalg import eigvalsh

from e2r_bench.statistics.results import Values
from e2r_bench.statistics.slices import on_all_cores
from e2r_metrics.frechet import factor

_EPSILON = float(np.finfo(np.float64).eps)


def moment_distances(arms: Values, reference: Values, chosen: Values, references: Values) -> Values:
    """Return (S,) distances of some rows of the arms from some of the reference.

    Args:
        arms: (2n, D) features, near the origin.
        reference: (m, D).
        chosen: (S, 2n), one where a row is in, else zero.
        references: (S, m), likewise.
    """
    means, spreads = _moments(arms, chosen)
    true, scatter = _moments(reference, references)
    alike = bool((references == references[:1]).all())
    moved = _turned(arms, reference[references[0] > 0]) if alike else arms

    def roots(part: slice) -> list[float]:
        rows = [moved[one > 0] for one in chosen[part]]
        if not alike:
            columns = (reference[one > 0] for one in references[part])
            rows = [_turned(X, Y) for X, Y in zip(rows, columns, strict=True)]
        return [_root(X) for X in rows]

    root = np.array(on_all_cores(roots, len(chosen)))
    return np.sum((means - true) ** 2, axis=1) + spreads + scatter - 2 * root


def _moments(features: Values, chosen: Values) -> tuple[Values, Values]:
    """Return the means (S, D) of chosen rows and the traces (S,) of their covariances."""
    n = chosen.sum(axis=1)
    means = chosen @ features / n[:, None]
    squares = chosen @ np.einsum("ij,ij->i", features, features)
    return means, (squares - n * np.einsum("ij,ij->i", means, means)) / (n - 1)


def _turned(X: Values, Y: Values) -> Values:
    """Return X R^T with R^T R the covariance of Y: its own is similar to S_y S_x."""
    centred = Y - Y.mean(axis=0)
    return X @ factor(centred.T @ centred / (len(Y) - 1)).T


def _root(turned: Values) -> float:
    """Return tr (S_x S_y)^(1/2) from the rows of `_turned`."""
    centred = turned - turned.mean(axis=0)
    squares = eigvalsh(centred.T @ centred / (len(turned) - 1), check_finite=False)
    # What lies below rounding is zero, or its root would not be.
    squares[squares < len(squares) * _EPSILON * squares[-1]] = 0.0
    return float(np.sqrt(squares).sum())
