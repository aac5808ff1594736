"""Set metrics of two methods on the same images: swap permutations and the jackknife.

Everything is computed from Gram blocks, so that a resample costs nothing in the feature dimension.
The numbers are those of `e2r_metrics.frechet`, `.kid` and `.mmd` on the rows that are chosen.

No percentile bootstrap of a Frechet distance is offered: its replicates hold duplicates, and its
interval excludes its own estimate.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from e2r_bench.errors import UsageError
from e2r_bench.studies.paired import permutation_p, swap_signs
from e2r_bench.studies.results import Estimate, Values, Verified, scene_index

Kind = Literal["frechet", "kid", "mmd_v", "mmd_u"]
Rows = npt.NDArray[np.intp]
Features = npt.NDArray[np.floating]

_TIE = 1e-9
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
        n: images in each arm.
    """

    kind: Kind
    arms: Values
    cross: Values
    reference: Values
    n: int

    def distance(self, rows: Rows, references: Rows) -> float:
        """Return the distance of some rows of the arms from some of the reference."""
        own = self.arms[np.ix_(rows, rows)]
        cross = self.cross[np.ix_(rows, references)]
        reference = self.reference[np.ix_(references, references)]
        if self.kind == "frechet":
            return _frechet(own, cross, reference)
        return _mmd(own, cross, reference, self.kind)


def make_blocks(kind: Kind, first: Features, second: Features, reference: Features) -> Blocks:
    """Return the blocks of two arms, each (n, D) in the same image order, and a reference (m, D).

    Raises:
        UsageError: unequal n between the arms, fewer than three images, unequal dimensions, values
            that are not finite, or two arms that are one.
    """
    _check(first, second, reference)
    arms = np.concatenate([first, second])
    if kind == "frechet":
        # The distance does not move with the origin; near the data there is less cancellation.
        origin = reference.mean(axis=0, dtype=np.float64)
        arms, reference = arms - origin, reference - origin
    return Blocks(
        kind,
        _kernel(kind, arms, arms),
        _kernel(kind, arms, reference),
        _kernel(kind, reference, reference),
        len(first),
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


def _kernel(kind: Kind, left: Features, right: Features) -> Values:
    left, right = left.astype(np.float64), right.astype(np.float64)
    if kind == "frechet":
        return left @ right.T
    if kind == "kid":
        return (left @ right.T / left.shape[1] + 1) ** 3
    # exp - 1: the ones cancel in the distance, and would take eight digits with them.
    return np.expm1((_unit(left) @ _unit(right).T - 1) / _SIGMA**2)


def _unit(features: Values) -> Values:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    if not norms.all():
        raise UsageError("expected features with a direction, found a row of zeros")
    return features / norms


def _frechet(own: Values, cross: Values, reference: Values) -> float:
    """|mu_x - mu_y|^2 + tr S_x + tr S_y - 2 ||X Y^T||_*, X and Y centred and scaled.

    ``own``, ``cross`` and ``reference`` are plain Gram blocks: X X^T, X Y^T and Y Y^T.
    """
    n, m = cross.shape
    means = own.mean() + reference.mean() - 2 * cross.mean()
    spread = (np.trace(own) - n * own.mean()) / (n - 1)
    spread += (np.trace(reference) - m * reference.mean()) / (m - 1)
    centred = cross - cross.mean(axis=0) - cross.mean(axis=1, keepdims=True) + cross.mean()
    # Twice as fast as singular values; what lies below rounding is zero, or its root would not be.
    squares = np.linalg.eigvalsh(centred.T @ centred if n >= m else centred @ centred.T)
    squares[squares < len(squares) * _EPSILON * squares[-1]] = 0.0
    root = np.sqrt(squares).sum() / np.sqrt((n - 1) * (m - 1))
    return float(means + spread - 2 * root)


def _mmd(own: Values, cross: Values, reference: Values, kind: Kind) -> float:
    if kind == "mmd_v":
        return _SCALE * float(own.mean() + reference.mean() - 2 * cross.mean())
    value = _off_diagonal_mean(own) + _off_diagonal_mean(reference) - 2 * float(cross.mean())
    return value if kind == "kid" else _SCALE * value


def _off_diagonal_mean(block: Values) -> float:
    return float(block.sum() - np.trace(block)) / (len(block) * (len(block) - 1))


def difference(blocks: Blocks) -> float:
    """Return distance(first arm) - distance(second arm)."""
    everything = np.arange(len(blocks.reference))
    own = np.arange(blocks.n)
    return blocks.distance(own, everything) - blocks.distance(own + blocks.n, everything)


def swap_test(
    blocks: Blocks,
    scenes: Sequence[str],
    generator: np.random.Generator,
    permutations: int = 999,
) -> Verified:
    """Test whether two methods have one distance, by swapping their images scene by scene.

    Exact when the methods are exchangeable within a scene; the bias of the distance at this n is
    the same in both arms and cancels. Neither thread count nor image order changes the result.

    Args:
        blocks: of the two arms.
        scenes: the scene of each image; all images of a scene are swapped together.
        generator: draws the swaps.
        permutations: how many; all patterns are enumerated where there are no more than these.

    Raises:
        UsageError: see `scene_index`.
    """
    index = scene_index(scenes, blocks.n)
    count = int(index.max()) + 1
    signs, exact = swap_signs(count, generator, permutations)
    everything = np.arange(len(blocks.reference))
    own = np.arange(blocks.n)

    def swapped(pattern: Values) -> float:
        moved = np.where(pattern[index] < 0, blocks.n, 0)
        first, second = own + moved, own + blocks.n - moved
        return blocks.distance(first, everything) - blocks.distance(second, everything)

    # A pattern and its opposite give opposite differences: of all patterns half are enough.
    drawn = signs[: len(signs) // 2] if exact else signs
    observed = difference(blocks)
    found = np.abs(parallel(swapped, list(drawn)))
    extreme = found >= abs(observed) - _TIE * (abs(observed) + float(found.max()))
    p, floor = permutation_p(np.tile(extreme, 2) if exact else extreme, exact)
    how = "swap permutation over scenes" + (", all patterns" if exact else "")
    return Verified(observed, p, floor, 0 if exact else permutations, blocks.n, count, how)


def jackknife_difference(blocks: Blocks, scenes: Sequence[str], level: float = 0.95) -> Estimate:
    """Return the difference of the two arms with a delete-one-scene jackknife interval.

    The reference must hold the same images as the arms, in their order. The interval is for the
    expected difference at this n.

    Raises:
        UsageError: a reference of another size, or see `scene_index`.
    """

    def left(kept: Rows) -> float:
        return blocks.distance(kept, kept) - blocks.distance(kept + blocks.n, kept)

    return _jackknife(left, blocks, scenes, level)


def jackknife(
    blocks: Blocks, scenes: Sequence[str], arm: Literal[0, 1] = 0, level: float = 0.95
) -> Estimate:
    """Return one arm's distance with a delete-one-scene jackknife interval, for this n."""

    def left(kept: Rows) -> float:
        return blocks.distance(kept + arm * blocks.n, kept)

    return _jackknife(left, blocks, scenes, level)


def _jackknife(
    left: Callable[[Rows], float], blocks: Blocks, scenes: Sequence[str], level: float
) -> Estimate:
    if len(blocks.reference) != blocks.n:
        raise UsageError(
            f"expected a reference of the arms' own {blocks.n} images, found "
            f"{len(blocks.reference)}"
        )
    index = scene_index(scenes, blocks.n)
    count = int(index.max()) + 1
    if count < 3:
        raise UsageError(f"a jackknife over scenes needs at least 3 scenes, found {count}")
    value = left(np.arange(blocks.n))
    without = np.array(parallel(left, [np.flatnonzero(index != k) for k in range(count)]))
    spread = without - without.mean()
    error = float(np.sqrt((count - 1) / count * (spread @ spread)))
    half = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    return Estimate(
        value, error, value - half, value + half, level, blocks.n, count, "jackknife over scenes"
    )


@dataclass(frozen=True)
class Floor:
    """What a distance is when nothing differs.

    Attributes:
        n: images in each half; half of what there is, so a floor for this n and no other.
        mean: over the splits.
        low, high: 2.5% and 97.5% quantiles of the splits.
        splits: how many were drawn.
    """

    n: int
    mean: float
    low: float
    high: float
    splits: int


def null_floor(
    kind: Kind, reference: Features, generator: np.random.Generator, splits: int = 100
) -> Floor:
    """Return the distance between random halves of the ground truth, at n // 2 images each.

    Raises:
        UsageError: fewer than 6 images.
    """
    if len(reference) < 6:
        raise UsageError(f"a null floor needs at least 6 images, found {len(reference)}")
    half = len(reference) // 2
    centred = reference - reference.mean(axis=0) if kind == "frechet" else reference
    whole = _kernel(kind, centred, centred)
    blocks = Blocks(kind, whole, whole, whole, len(reference))
    orders = [generator.permutation(len(reference)) for _ in range(splits)]

    def split(order: Rows) -> float:
        return blocks.distance(order[:half], order[half : 2 * half])

    found = np.array(parallel(split, orders))
    low, high = np.quantile(found, [0.025, 0.975])
    return Floor(half, float(found.mean()), float(low), float(high), splits)


def parallel(function: Callable[[npt.NDArray], float], items: Sequence[npt.NDArray]) -> list[float]:
    """Map over all cores, one BLAS thread each: the same bits whatever the number of cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(function, items))
