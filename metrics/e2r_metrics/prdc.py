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
Array = npt.NDArray[Any]


def prdc(kind: Neighbours, X: Features, Y: Features) -> float:
    """Return one of the four; see `all_four`, which gives all in one pass."""
    return all_four(X, Y)[kind]


def all_four(X: Features, Y: Features) -> dict[Neighbours, float]:
    """Return precision, recall, density and coverage; the higher, the better.

    Balls are open, as in the authors' code: a point on the edge is outside. float32 input has
    float32 products, float64 input float64 ones; memory is that of a thousand rows of distances.

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
    among, reached, covered = [], *np.zeros((2, len(true)), bool)
    for start, squared in enumerate(_blocks(made, true)):
        own = mine[start * _ROWS : (start + 1) * _ROWS, None]
        hits = squared < theirs
        among.append(hits.sum(1))
        covered |= hits.any(0)
        reached |= (squared < own).any(0)
    counts = np.concatenate(among)
    return {
        "precision": float((counts > 0).mean()),
        "recall": float(reached.mean()),
        "density": float(counts.sum()) / (len(made) * K),
        "coverage": float(covered.mean()),
    }


def neighbour_radii(X: Features) -> Array:
    """Return the squared distance of each row of (n, D) from its fifth neighbour, (n,)."""
    return np.concatenate([radii_of(block) for block in _blocks(X, X)])


def radii_of(squared: Array) -> Array:
    """Return the fifth smallest of each row, the distance from itself left out.

    Raises:
        UsageError: no fifth neighbour.
    """
    if squared.shape[1] <= K:
        raise UsageError(f"expected more than {K} pictures in each set, found {squared.shape[1]}")
    return np.partition(squared, K, axis=1)[:, K]


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


def _blocks(X: Features, Y: Features) -> Iterator[Array]:
    """Yield squared distances of some rows of X from all of Y; those of equal rows are zero."""
    norms = np.einsum("ij,ij->i", Y, Y)
    for start in range(0, len(X), _ROWS):
        rows = X[start : start + _ROWS]
        block = rows @ Y.T
        block *= -2
        # Both norms at once: from either side a distance is the same, up to rounding.
        block += np.einsum("ij,ij->i", rows, rows)[:, None] + norms
        yield np.maximum(block, 0, out=block)


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
