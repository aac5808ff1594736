"""Set metrics of two methods on the same images: differences, swap permutations, null floors.

No percentile bootstrap of a Frechet distance is offered: its replicates hold duplicates, and its
interval excludes its own estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from e2r_bench.statistics.blocks import Blocks, Features, Kind, kernel
from e2r_bench.statistics.paired import permutation_p, swap_signs
from e2r_bench.statistics.results import Values, Verified
from e2r_metrics.base.errors import UsageError

_TIE = 1e-9


def difference(blocks: Blocks) -> float:
    """Return distance(first arm) - distance(second arm)."""
    return float(swapped(blocks, np.ones((1, blocks.n)))[0])


def distance_of(blocks: Blocks, arm: Literal[0, 1]) -> float:
    """Return one arm's distance from the reference."""
    chosen = np.zeros((1, 2 * blocks.n))
    chosen[0, arm * blocks.n : (arm + 1) * blocks.n] = 1
    return float(blocks.distances(chosen, np.ones((1, len(blocks.reference))))[0])


def swapped(blocks: Blocks, keeps: Values) -> Values:
    """Return (S,) differences when the arms trade the rows where `keeps`, (S, n), is not one."""
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
        scenes: the scene of each image; all images of a scene are swapped together, and all crops
            of an image.
        generator: draws the swaps.
        permutations: how many; all patterns are enumerated where there are no more than these.

    Raises:
        UsageError: see `Blocks.scenes`.
    """
    index = blocks.scenes(scenes)
    count = int(index.max()) + 1
    signs, exact = swap_signs(count, generator, permutations)
    # A pattern and its opposite give opposite differences: of all patterns half are enough.
    drawn = signs[: len(signs) // 2] if exact else signs
    observed = difference(blocks)
    found = np.abs(swapped(blocks, (drawn[:, index] > 0).astype(np.float64)))
    extreme = found >= abs(observed) - _TIE * (abs(observed) + float(found.max()))
    p, floor = permutation_p(np.tile(extreme, 2) if exact else extreme, exact)
    how = "swap permutation over scenes" + (", all patterns" if exact else "")
    return Verified(observed, p, floor, 0 if exact else permutations, blocks.images, count, how)


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
    whole = kernel(kind, centred, centred)
    blocks = Blocks(kind, whole, whole, whole, len(reference), np.arange(len(reference)))
    ranks = generator.permuted(np.tile(np.arange(len(reference)), (splits, 1)), axis=1)
    mine, rest = ranks < half, (ranks >= half) & (ranks < 2 * half)
    found = blocks.distances(mine.astype(np.float64), rest.astype(np.float64))
    low, high = np.quantile(found, [0.025, 0.975])
    return Floor(half, float(found.mean()), float(low), float(high), splits)
