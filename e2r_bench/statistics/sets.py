"""Set metrics of two methods on the same images: differences and swap permutations.

No percentile bootstrap of a Frechet distance is offered: its replicates hold duplicates, and its
interval excludes its own estimate.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from e2r_bench.statistics.blocks import Blocks
from e2r_bench.statistics.paired import permutation_p, swap_signs
from e2r_bench.statistics.results import Values, Verified

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
