"""Seeds: deviation and the Hallucination Index."""

import numpy as np
import pytest

from e2r_bench.maps.spread import hallucination, seed_deviation
from e2r_bench.run.data import read_clean
from e2r_bench.run.mini import mini
from e2r_metrics.base.errors import UsageError

TRUTH = (60 + read_clean(mini().sources[0]) * 0.5).astype(np.uint8)


def sampled(count: int, sigma: float, offset: float = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(count)
    draws = [TRUTH + rng.normal(0, sigma, TRUTH.shape) for _ in range(count)]
    for draw in draws:
        draw[40:80, 40:80] += offset
    return [np.clip(np.rint(draw), 0, 255).astype(np.uint8) for draw in draws]


def test_deviation_is_that_of_the_samples_in_levels() -> None:
    found = seed_deviation(sampled(8, 6))
    assert float(np.sqrt(np.mean(found**2))) == pytest.approx(6, rel=0.03)
    assert float(seed_deviation([TRUTH, TRUTH]).max()) == 0


@pytest.mark.parametrize("count", [3, 5, 10])
def test_a_sampler_that_hallucinates_nothing_scores_its_floor(count: int) -> None:
    found = hallucination(sampled(count, 6), TRUTH)
    assert found.index == pytest.approx(found.floor, rel=0.12)
    assert found.reference_sd == pytest.approx(6, rel=0.05)


def test_the_floor_falls_with_samples() -> None:
    floors = [hallucination(sampled(count, 6), TRUTH).floor for count in (3, 5, 10)]
    assert floors == sorted(floors, reverse=True)


def test_what_all_samples_add_alike_is_found_where_it_is() -> None:
    found = hallucination(sampled(5, 6, offset=25), TRUTH)
    inside = float(found.values[42:78, 42:78].mean())
    assert inside > 0.8
    assert float(found.values[:36].mean()) < 0.25
    assert found.index > found.floor


def test_too_few_seeds_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 3 seeds, found 2"):
        hallucination(sampled(2, 6), TRUTH)
    with pytest.raises(UsageError, match="at least 2 seeds, found 1"):
        seed_deviation([TRUTH])
