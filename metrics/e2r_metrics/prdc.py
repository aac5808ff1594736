"""Precision, recall, density and coverage of two sets of features, by balls of neighbours.

Kynkaanniemi et al., NeurIPS 2019; Naeem et al., ICML 2020. The right way round: the first set is
what was made, the second what is true. Precision and density ask whether what was made lies among
the true, recall and coverage whether the true is reached.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import UsageError
from e2r_metrics.frechet import Features, check_features

Neighbours = Literal["precision", "recall", "density", "coverage"]
KINDS: tuple[Neighbours, ...] = get_args(Neighbours)
K = 5
_ROWS = 1024
_GRAINS = 16
Array = npt.NDArray[Any]


def prdc(kind: Neighbours, X: Features, Y: Features) -> float:
    """Return one of the four; see `all_four`, which gives all in one pass."""
    return all_four(X, Y)[kind]


def all_four(X: Features, Y: Features) -> dict[Neighbours, float]:
    """Return precision, recall, density and coverage; the higher, the better.

    Balls are open, as in the authors' code: a point on the edge is outside, and so is one that
    rounding alone would bring in. A set with itself has 1 of each, ties of distances aside.
    float32 input has float32 products, float64 input float64 ones; memory is that of a thousand
    rows of distances.

    Args:
        X: (n, D) features of what was made, float32 or float64; n > 5.
        Y: (m, D) features of what is true; m > 5.

    Raises:
        UsageError: unequal dimensions, too few rows, NaN or infinity.
    """
    check_features(X, Y)
    # The distances do not move with the origin; near the data there is less cancellation.
    origin = Y.mean(0, dtype=np.float64)
    made, true = ((Z - origin).astype(Z.dtype) for Z in (X, Y))
    mine, theirs = neighbour_radii(made), neighbour_radii(true)
    among, reached, covered = np.zeros(len(made), np.int64), *np.zeros((2, len(true)), bool)
    for rows in _parts(len(made)):
        for columns in _parts(len(true)):
            squared = squared_distances(made[rows], true[columns], across=True)
            hits = squared < theirs[columns]
            among[rows] += np.count_nonzero(hits, axis=1)
            covered[columns] |= hits.any(0)
            reached[columns] |= (squared < mine[rows, None]).any(0)
    return {
        "precision": float((among > 0).mean()),
        "recall": float(reached.mean()),
        "density": float(among.sum()) / (len(made) * K),
        "coverage": float(covered.mean()),
    }


def neighbour_radii(X: Features) -> Array:
    """Return the squared distance of each row of (n, D) from its fifth neighbour, (n,).

    Each pair of rows is looked at once, a thousand by a thousand.
    """
    _check_count(len(X))
    least = np.full((len(X), K + 1), np.inf, X.dtype)
    for rows in _parts(len(X)):
        for columns in _parts(rows.stop):
            squared = squared_distances(X[rows], X[columns])
            _keep_least(least[rows], squared)
            if rows != columns:
                _keep_least(least[columns], squared.T)
    return least.max(1)


def _keep_least(least: Array, squared: Array) -> None:
    """Put the smallest of each row of both, as many as there were, into `least`."""
    both = np.concatenate([least, squared], 1)
    least[:] = np.partition(both, K, axis=1)[:, : K + 1]


def radii_of(squared: Array) -> Array:
    """Return the fifth smallest of each row, the distance from itself left out.

    Raises:
        UsageError: no fifth neighbour.
    """
    _check_count(squared.shape[1])
    return np.partition(squared, K, axis=1)[:, K]


def _check_count(count: int) -> None:
    if count <= K:
        raise UsageError(f"expected more than {K} pictures in each set, found {count}")


def share(kind: Neighbours, squared: Array, made: Array, true: Array) -> float:
    """Return one of the four from squared distances and radii.

    Args:
        kind: which.
        squared: (n, m), made against true.
        made: (n,) radii of the made.
        true: (m,) radii of the true.
    """
    if kind == "recall":
        return float((squared < made[:, None]).any(0).mean())
    hits = squared < true
    if kind == "density":
        return float(hits.sum()) / (K * len(squared))
    return float(hits.any(1 if kind == "precision" else 0).mean())


def squared_distances(X: Features, Y: Features, across: bool = False) -> Array:
    """Return the (n, m) squared distances of rows, up to rounding of either sign.

    Args:
        X: (n, D), near the origin.
        Y: (m, D), of the same dtype.
        across: from one set to the other, to be held against radii within a set: what rounding may
            have taken is put on, so that a point on the edge of a ball is never inside.
    """
    squared = X @ Y.T
    squared *= -2
    norms = [np.einsum("ij,ij->i", Z, Z) for Z in (X, Y)]
    if across:
        # The same distance may come out of two products by some units of the last place apart.
        norms = [norm + norm * (_GRAINS * np.finfo(norm.dtype).eps) for norm in norms]
    # Both norms at once: from either side a distance is the same, up to rounding.
    squared += norms[0][:, None] + norms[1]
    return squared


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))


def open_set(variant: Neighbours) -> Callable[[Features, Features], float]:
    """Return the function of a variant; the others of the same sets cost nothing more."""

    def measure(X: Features, Y: Features) -> float:
        return _LAST.of(X, Y)[variant]

    return measure


class _Last:
    """The four numbers of the sets that were asked for last, by their content."""

    def __init__(self) -> None:
        self._known: tuple[str, dict[Neighbours, float]] = ("", {})

    def of(self, X: Features, Y: Features) -> dict[Neighbours, float]:
        key = "".join(f"{Z.shape}{Z.dtype}{sha256(Z.tobytes()).hexdigest()}" for Z in (X, Y))
        known, found = self._known
        if known != key:
            found = all_four(X, Y)
            self._known = key, found
        return found


_LAST = _Last()
