"""Set metrics of two methods on the same images: swap permutations and the jackknife.

Everything is computed from Gram blocks, so that a resample costs nothing in the feature dimension.
The numbers are those of `e2r_metrics.frechet`, `.kid` and `.mmd` on the rows that are chosen.

No percentile bootstrap of a Frechet distance is offered: its replicates hold duplicates, and its
interval excludes its own estimate.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats
from threadpoolctl import ThreadpoolController

from e2r_bench.studies.paired import permutation_p, swap_signs
from e2r_bench.studies.results import Estimate, Values, Verified, scene_index, score_ends
from e2r_metrics.base.errors import UsageError

Kind = Literal["frechet", "kid", "mmd_v", "mmd_u"]
Features = npt.NDArray[np.floating]

_TIE = 1e-9
_EPSILON = float(np.finfo(np.float64).eps)
_SIGMA = 10.0
_SCALE = 1000.0
_CHUNK = 8


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

    def _roots(self, chosen: Values, references: Values) -> Values:
        """Return tr (S_x S_y)^(1/2) = ||X Y^T||_*, X and Y centred and scaled, for each choice."""

        def roots(part: slice) -> list[float]:
            rows = [np.flatnonzero(row) for row in chosen[part]]
            columns = [np.flatnonzero(row) for row in references[part]]
            cut = [self.cross[np.ix_(r, c)] for r, c in zip(rows, columns, strict=True)]
            if len({part.shape for part in cut}) == 1:
                return _nuclear(np.stack(cut)).tolist()
            return [float(_nuclear(one[None])[0]) for one in cut]

        return np.array(_parallel(roots, len(chosen)))


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


def difference(blocks: Blocks) -> float:
    """Return distance(first arm) - distance(second arm)."""
    return float(_swapped(blocks, np.ones((1, blocks.n)))[0])


def distance_of(blocks: Blocks, arm: Literal[0, 1]) -> float:
    """Return one arm's distance from the reference."""
    chosen = np.zeros((1, 2 * blocks.n))
    chosen[0, arm * blocks.n : (arm + 1) * blocks.n] = 1
    return float(blocks.distances(chosen, np.ones((1, len(blocks.reference))))[0])


def _swapped(blocks: Blocks, keeps: Values) -> Values:
    """Return (S,) differences when the arms trade the images where `keeps`, (S, n), is not one."""
    trades = 1 - keeps
    everything = np.ones((1, len(blocks.reference)))
    first = blocks.distances(np.hstack([keeps, trades]), everything)
    return first - blocks.distances(np.hstack([trades, keeps]), everything)


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
    # A pattern and its opposite give opposite differences: of all patterns half are enough.
    drawn = signs[: len(signs) // 2] if exact else signs
    observed = difference(blocks)
    found = np.abs(_swapped(blocks, (drawn[:, index] > 0).astype(np.float64)))
    extreme = found >= abs(observed) - _TIE * (abs(observed) + float(found.max()))
    p, floor = permutation_p(np.tile(extreme, 2) if exact else extreme, exact)
    how = "swap permutation over scenes" + (", all patterns" if exact else "")
    return Verified(observed, p, floor, 0 if exact else permutations, blocks.n, count, how)


def jackknife_difference(blocks: Blocks, scenes: Sequence[str], level: float = 0.95) -> Estimate:
    """Return the difference of the two arms with an interval for its expectation at this n.

    The delete-one-scene jackknife counts second-order terms double (Efron & Stein, Ann. Statist. 9,
    1981), and between two equally good methods these are most of the variance: it would hide
    differences. Swapping one scene at a time gives the error that holds when there is none; the
    jackknife's holds at the estimate. The interval is the score interval between the two: see
    `results.Estimate.error_at`.

    The reference must hold the same images as the arms, in their order.

    Raises:
        UsageError: a reference of another size, or fewer than four scenes.
    """
    nothing = np.zeros_like

    def left(kept: Values) -> Values:
        first = blocks.distances(np.hstack([kept, nothing(kept)]), kept)
        return first - blocks.distances(np.hstack([nothing(kept), kept]), kept)

    index = _scenes(blocks, scenes)
    count = int(index.max()) + 1
    made = _jackknife(left, blocks, index, level)
    swaps = (made.value - _swapped(blocks, 1.0 - (index == np.arange(count)[:, None]))) / 2
    swap_error = float(np.sqrt(count / (count - 1) * np.sum((swaps - swaps.mean()) ** 2)))
    error = max(made.error, swap_error)
    found = replace(made, error=error, null_error=swap_error, how="jackknife and swaps over scenes")
    low, high = score_ends(found, _quantile(level, count))
    return replace(found, low=low, high=high)


def jackknife(
    blocks: Blocks, scenes: Sequence[str], arm: Literal[0, 1] = 0, level: float = 0.95
) -> Estimate:
    """Return one arm's distance with a delete-one-scene jackknife interval, for this n."""

    def left(kept: Values) -> Values:
        parts = [np.zeros_like(kept), np.zeros_like(kept)]
        parts[arm] = kept
        return blocks.distances(np.hstack(parts), kept)

    return _jackknife(left, blocks, _scenes(blocks, scenes), level)


def _scenes(blocks: Blocks, scenes: Sequence[str]) -> npt.NDArray[np.intp]:
    if len(blocks.reference) != blocks.n:
        raise UsageError(
            f"expected a reference of the arms' own {blocks.n} images, found "
            f"{len(blocks.reference)}"
        )
    index = scene_index(scenes, blocks.n)
    if index.max() < 3:
        raise UsageError(
            f"a jackknife over scenes needs at least 4 scenes, found {int(index.max()) + 1}"
        )
    return index


def _quantile(level: float, count: int) -> float:
    return float(stats.t.ppf((1 + level) / 2, count - 1))


def _jackknife(
    left: Callable[[Values], Values], blocks: Blocks, index: npt.NDArray[np.intp], level: float
) -> Estimate:
    count = int(index.max()) + 1
    whole = np.ones((1, blocks.n))
    value = float(left(whole)[0])
    without = left(whole - (index == np.arange(count)[:, None]))
    spread = without - without.mean()
    error = float(np.sqrt((count - 1) / count * (spread @ spread)))
    half = _quantile(level, count) * error
    return Estimate(
        value, error, value - half, value + half, level, blocks.n, count, "jackknife over scenes",
        float(stats.skew(-without, bias=False)),
    )  # fmt: skip


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
    ranks = generator.permuted(np.tile(np.arange(len(reference)), (splits, 1)), axis=1)
    mine, rest = ranks < half, (ranks >= half) & (ranks < 2 * half)
    found = blocks.distances(mine.astype(np.float64), rest.astype(np.float64))
    low, high = np.quantile(found, [0.025, 0.975])
    return Floor(half, float(found.mean()), float(low), float(high), splits)


@cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()  # finding the BLAS libraries costs milliseconds


def _parallel(function: Callable[[slice], list[float]], count: int) -> list[float]:
    """Map over slices of 0..count-1 on all cores; LAPACK lets go of Python's lock."""
    parts = [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [value for part in pool.map(function, parts) for value in part]
