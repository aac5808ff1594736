"""Speed of the swap permutations, beside the plain way of recomputing the distance each time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from e2r_bench.statistics.blocks import Blocks, make_blocks
from e2r_bench.statistics.sets import swap_test
from e2r_metrics.frechet import frechet_distance

DIMENSION = 2048


def _arms(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    clean = generator.standard_normal((n, DIMENSION)) / np.arange(1, DIMENSION + 1)
    noise = generator.standard_normal((2, n, DIMENSION)) / np.arange(1, DIMENSION + 1)
    return clean + 0.1 * noise[0], clean + 0.1 * noise[1], clean


@pytest.mark.parametrize("n", [100, 500])
def test_a_thousand_swaps_of_a_frechet_distance(benchmark: Callable[..., Any], n: int) -> None:
    """Must reach: under 1 s at n = 100, under 30 s at n = 500, on 2 cores."""
    arms = _arms(n)

    def run() -> None:
        blocks: Blocks = make_blocks("frechet", *arms)
        swap_test(blocks, [f"{k}" for k in range(n)], np.random.default_rng(1), 1000)

    benchmark.pedantic(run, rounds=3 if n == 100 else 1)


def test_one_swap_the_plain_way(benchmark: Callable[..., Any]) -> None:
    """The peer: two distances from features; a thousand of these are what the blocks replace."""
    first, second, clean = _arms(100)
    benchmark(lambda: frechet_distance(first, clean) - frechet_distance(second, clean))
