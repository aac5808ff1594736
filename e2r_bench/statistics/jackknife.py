"""Intervals of set metrics, and of their differences, from the jackknife over scenes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from e2r_bench.statistics.blocks import Blocks
from e2r_bench.statistics.results import Estimate, Values, score_ends
from e2r_bench.statistics.sets import swapped
from e2r_metrics.base.errors import UsageError


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
    swaps = (made.value - swapped(blocks, 1.0 - (index == np.arange(count)[:, None]))) / 2
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
            f"expected a reference of the arms' own {blocks.n} images or crops, found "
            f"{len(blocks.reference)}"
        )
    index = blocks.scenes(scenes)
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
        value, error, value - half, value + half, level, blocks.images, count,
        "jackknife over scenes", float(stats.skew(-without, bias=False)),
    )  # fmt: skip
