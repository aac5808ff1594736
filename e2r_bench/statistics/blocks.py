"""Two arms and their reference as Gram or kernel blocks: distances of any rows, many at once.

A resample costs nothing in the feature dimension. The numbers are those of `e2r_metrics.frechet`,
`.kid` and `.mmd` on the rows that are chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from e2r_bench.statistics.moments import moment_distances
from e2r_bench.statistics.results import Values, scene_index
from e2r_bench.statistics.slices import on_all_cores
from e2r_metrics.base.errors import UsageError
from e2r_metrics.clusters import Clustered
from e2r_metrics.prdc import KINDS, Neighbours, radii_of, share, squared_distances
from e2r_metrics.rows.types import Distance

Kind = Distance
Features = npt.NDArray[np.floating]
Places = npt.NDArray[np.intp]

_EPSILON = float(np.finfo(np.float64).eps)
_SIGMA = 10.0
_SCALE = 1000.0


@dataclass(frozen=True)
class Blocks:
    """Two arms and their reference as Gram or kernel blocks, float64.

    Attributes:
        kind: which distance.
        arms: (2n, 2n), the first arm's rows before the second's.
        cross: (2n, m), arms against the reference.
        reference: (m, m).
        n: rows in each arm.
        pictures: (n,) of which picture each row is, by its place from 0; a picture's crops are no
            sample of their own, and stay together in every resample.
        by_moments: of a Frechet distance of more rows than dimensions, whose covariances are the
            smaller matrices: `arms` are then features (2n, D), `reference` (m, D), `cross` empty.
    """

    kind: Kind
    arms: Values
    cross: Values
    reference: Values
    n: int
    pictures: Places
    by_moments: bool = False

    @property
    def images(self) -> int:
        """Return how many pictures each arm has."""
        return int(self.pictures.max()) + 1

    def scenes(self, scenes: Sequence[str]) -> Places:
        """Return (n,) each row's scene as a number from 0, from the scene of each picture.

        Raises:
            UsageError: see `scene_index`.
        """
        return scene_index(scenes, self.images)[self.pictures]

    def distances(self, chosen: Values, references: Values) -> Values:
        """Return the distance of some rows of the arms from some of the reference, many at once.

        Args:
            chosen: (S, 2n), one where a row is in, else zero.
            references: (S, m), likewise; a single row stands for all.

        Returns:
            (S,) distances.
        """
        references = np.broadcast_to(references, (len(chosen), len(self.reference)))
        # One BLAS thread: the same bits whatever the number of threads.
        with _threads().limit(limits=1, user_api="blas"):
            return self._distances(chosen, references)

    def _distances(self, chosen: Values, references: Values) -> Values:
        if self.by_moments:
            return moment_distances(self.arms, self.reference, chosen, references)
        if self.kind in KINDS:
            return self._shares(self.kind, chosen, references)
        n, m = chosen.sum(axis=1), references.sum(axis=1)
        own = np.einsum("si,si->s", chosen @ self.arms, chosen)
        cross = np.einsum("si,si->s", chosen @ self.cross, references)
        reference = np.einsum("si,si->s", references @ self.reference, references)
        if self.kind == "mmd_v":
            return _SCALE * (own / n**2 + reference / m**2 - 2 * cross / (n * m))
        own_trace = chosen @ np.diagonal(self.arms)
        reference_trace = references @ np.diagonal(self.reference)
        if self.kind == "frechet":
            means = own / n**2 + reference / m**2 - 2 * cross / (n * m)
            spread = (own_trace - own / n) / (n - 1) + (reference_trace - reference / m) / (m - 1)
            return means + spread - 2 * self._roots(chosen, references)
        pairs = (own - own_trace) / (n * (n - 1)) + (reference - reference_trace) / (m * (m - 1))
        return (1.0 if self.kind == "kid" else _SCALE) * (pairs - 2 * cross / (n * m))

    def _shares(self, kind: Neighbours, chosen: Values, references: Values) -> Values:
        """Return precision, recall, density or coverage of each choice, from squared distances."""

        def shares(part: slice) -> list[float]:
            found: list[float] = []
            for made, true in zip(chosen[part], references[part], strict=True):
                rows, columns = np.flatnonzero(made), np.flatnonzero(true)
                own = radii_of(self.arms[np.ix_(rows, rows)])
                theirs = radii_of(self.reference[np.ix_(columns, columns)])
                found.append(share(kind, self.cross[np.ix_(rows, columns)], own, theirs))
            return found

        return np.array(on_all_cores(shares, len(chosen)))

    def _roots(self, chosen: Values, references: Values) -> Values:
        """Return tr (S_x S_y)^(1/2) = ||X Y^T||_*, X and Y centred and scaled, for each choice."""

        def roots(part: slice) -> list[float]:
            rows = [np.flatnonzero(row) for row in chosen[part]]
            columns = [np.flatnonzero(row) for row in references[part]]
            cut = [self.cross[np.ix_(r, c)] for r, c in zip(rows, columns, strict=True)]
            if len({part.shape for part in cut}) == 1:
                return _nuclear(np.stack(cut)).tolist()
            return [float(_nuclear(one[None])[0]) for one in cut]

        return np.array(on_all_cores(roots, len(chosen)))


def _nuclear(cross: Values) -> Values:
    """Return the nuclear norms of (S, n, m) cross-Grams, centred and scaled."""
    n, m = cross.shape[1:]
    centred = cross - cross.mean(axis=1, keepdims=True)
    centred -= centred.mean(axis=2, keepdims=True)
    turned = centred.transpose(0, 2, 1)
    # Twice as fast as singular values; what lies below rounding is zero, or its root would not be.
    squares = np.linalg.eigvalsh(turned @ centred if n >= m else centred @ turned)
    squares[squares < squares.shape[1] * _EPSILON * squares[:, -1:]] = 0.0
    return np.sqrt(squares).sum(axis=1) / np.sqrt((n - 1) * (m - 1))


def clustered_blocks(
    kind: Kind, first: Clustered, second: Clustered, reference: Clustered
) -> Blocks:
    """Return the blocks of two arms and their reference, all on the same pictures in one order.

    Raises:
        UsageError: other numbers of pictures, or of crops of one, or see `make_blocks`.
    """
    for other in (second, reference):
        if not np.array_equal(first.pictures, other.pictures):
            raise UsageError(
                f"expected features of the same pictures, found {len(first.rows)} and "
                f"{len(other.rows)} rows, or others of a picture: a set metric at unequal n "
                "compares biases; use the images that both have, in one size"
            )
    return make_blocks(kind, first.rows, second.rows, reference.rows, first.pictures)


def make_blocks(
    kind: Kind,
    first: Features,
    second: Features,
    reference: Features,
    pictures: Places | None = None,
) -> Blocks:
    """Return the blocks of two arms, each (n, D) in the same image order, and a reference (m, D).

    Args:
        kind: which distance.
        first, second: the arms.
        reference: what both are distant from.
        pictures: as in `Blocks`; None where every row is a picture.

    Raises:
        UsageError: unequal n between the arms, fewer than three images, unequal dimensions, values
            that are not finite, or two arms that are one.
    """
    _check(first, second, reference)
    pictures = np.arange(len(first)) if pictures is None else pictures
    if pictures.max() < 2:
        raise UsageError(f"expected at least 3 images, found {int(pictures.max()) + 1}")
    arms = np.concatenate([first, second])
    if kind == "frechet" or kind in KINDS:
        # The distance does not move with the origin; near the data there is less cancellation.
        origin = reference.mean(axis=0, dtype=np.float64)
        arms, reference = arms - origin, reference - origin
    if kind == "frechet" and min(len(first), len(reference)) > arms.shape[1]:
        own, true = (side.astype(np.float64) for side in (arms, reference))
        return Blocks(kind, own, np.empty((0, 0)), true, len(first), pictures, by_moments=True)
    return Blocks(
        kind,
        kernel(kind, arms, arms),
        kernel(kind, arms, reference, across=True),
        kernel(kind, reference, reference),
        len(first),
        pictures,
    )


def _check(first: Features, second: Features, reference: Features) -> None:
    shapes = [np.shape(part) for part in (first, second, reference)]
    if any(len(shape) != 2 for shape in shapes) or len({shape[1] for shape in shapes}) != 1:
        raise UsageError(f"expected three (n, D) feature sets of one D, found {shapes}")
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"expected two arms on the same images, found {shapes[0][0]} and {shapes[1][0]}; "
            "a set metric at unequal n compares biases: use the images that both have"
        )
    if shapes[0][0] < 3 or shapes[2][0] < 3:
        raise UsageError(f"expected at least 3 images, found {shapes[0][0]} and {shapes[2][0]}")
    if not all(np.isfinite(part).all() for part in (first, second, reference)):
        raise UsageError("expected finite features, found NaN or infinity")
    if np.array_equal(first, second):
        raise UsageError("the two arms have the same features: there is nothing to compare")


def kernel(kind: Kind, left: Features, right: Features, across: bool = False) -> Values:
    """Return the (n, m) Gram or kernel block of two (n, D) and (m, D) feature sets.

    For distances from one set to another, `across`: see `squared_distances`.
    """
    left, right = left.astype(np.float64), right.astype(np.float64)
    if kind == "frechet":
        return left @ right.T
    if kind in KINDS:
        return squared_distances(left, right, across)
    if kind == "kid":
        return (left @ right.T / left.shape[1] + 1) ** 3
    # exp - 1: the ones cancel in the distance, and would take eight digits with them.
    return np.expm1((_unit(left) @ _unit(right).T - 1) / _SIGMA**2)


def _unit(features: Values) -> Values:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    if not norms.all():
        raise UsageError("expected features with a direction, found a row of zeros")
    return features / norms


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()  # finding the BLAS libraries costs milliseconds
