"""Set metrics on Gram blocks: the metrics' own numbers, exact swaps, the jackknife, refusals."""

import itertools

import numpy as np
import pytest

from e2r_bench.statistics import blocks as gram
from e2r_bench.statistics import jackknife, sets, slices
from e2r_metrics import prdc
from e2r_metrics.base.errors import UsageError
from e2r_metrics.frechet import frechet_distance
from e2r_metrics.kid import kid
from e2r_metrics.mmd import cmmd_both
from tests.calibration.sets import simulated_arms

KINDS = ("frechet", "kid", "mmd_v", "mmd_u")


def _arms(n: int, shift: float = 0.0, seed: int = 0, dimension: int = 40) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = np.arange(1, dimension + 1) ** -0.7
    clean = (rng.standard_normal((n, dimension)) + 1) * scale
    first = clean + (0.3 * rng.standard_normal((n, dimension)) + shift) * scale
    second = clean + 0.3 * rng.standard_normal((n, dimension)) * scale
    return [first, second, clean]


def _names(n: int) -> list[str]:
    return [f"i{k:03}" for k in range(n)]


def _peer(kind: str, first: np.ndarray, second: np.ndarray) -> float:
    if kind == "frechet":
        return frechet_distance(first, second)
    if kind == "kid":
        return kid(first, second)
    both = cmmd_both(first, second)
    return both.v if kind == "mmd_v" else both.u


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [12, 60])
def test_blocks_give_the_metrics_own_numbers(kind, n):
    first, second, clean = _arms(n)
    blocks = gram.make_blocks(kind, first, second, clean)
    chosen, references = np.zeros((2, 2 * n)), np.zeros((2, n))
    chosen[0, :n], references[0] = 1, 1
    part = np.array([1, 3, 4, 7, 11])
    chosen[1, n + part], references[1, : n // 2] = 1, 1
    expected = [_peer(kind, first, clean), _peer(kind, second[part], clean[: n // 2])]
    assert blocks.distances(chosen, references) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("kind", prdc.KINDS)
def test_an_arm_that_is_the_truth_has_one_of_each_share(kind):
    _, second, clean = simulated_arms(np.random.default_rng(0), _names(100), 1.0)
    blocks = gram.make_blocks(kind, clean, second, clean)
    chosen = np.repeat([[1.0, 0.0]], 100, 1)
    assert blocks.distances(chosen, np.ones((1, 100))) == 1


@pytest.mark.parametrize("kind", prdc.KINDS)
def test_blocks_give_the_shares_of_neighbours(kind):
    first, second, clean = simulated_arms(np.random.default_rng(0), _names(40), 1.0, error=0.5)
    blocks = gram.make_blocks(kind, first, second, clean)
    part = np.arange(0, 40, 3)
    chosen, references = np.zeros((2, 80)), np.ones((2, 40))
    chosen[0, :40], chosen[1, 40 + part], references[1, 20:] = 1, 1, 0
    expected = [prdc.prdc(kind, first, clean), prdc.prdc(kind, second[part], clean[:20])]
    assert blocks.distances(chosen, references) == pytest.approx(expected, abs=1e-12)
    few = np.zeros((1, 80))
    few[0, :5] = 1
    if kind == "recall":
        with pytest.raises(UsageError, match="more than 5 pictures"):
            blocks.distances(few, references[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_swaps_are_exact_where_all_are_enumerated(kind):
    n = 6
    first, second, clean = _arms(n, 0.2)
    found = []
    for pattern in itertools.product([False, True], repeat=n):
        swap = np.array(pattern)[:, None]
        one, two = np.where(swap, second, first), np.where(swap, first, second)
        found.append(_peer(kind, one, clean) - _peer(kind, two, clean))
    expected = np.mean(np.abs(found) >= abs(found[0]) * (1 - 1e-7))
    blocks = gram.make_blocks(kind, first, second, clean)
    ours = sets.swap_test(blocks, _names(n), np.random.default_rng(0))
    assert (ours.p, ours.floor, ours.permutations) == (expected, 2 / 64, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_planted_difference_is_found(kind):
    arms = _arms(40, 0.4)
    blocks = gram.make_blocks(kind, *arms)
    found = sets.swap_test(blocks, _names(40), np.random.default_rng(0), 99)
    assert (found.p, found.floor) == (1 / 100, 1 / 100)
    assert found.effect > 0
    estimate = jackknife.jackknife_difference(blocks, _names(40))
    assert estimate.low > 0
    assert estimate.value == pytest.approx(found.effect)


@pytest.mark.parametrize("kind", KINDS)
def test_order_and_threads_change_nothing(kind, monkeypatch):
    arms, scenes = _arms(24), [f"s{k // 2}" for k in range(24)]
    blocks = gram.make_blocks(kind, *arms)
    one = sets.swap_test(blocks, scenes, np.random.default_rng(0), 99)
    monkeypatch.setattr(slices.os, "cpu_count", lambda: 1)
    alone = sets.swap_test(blocks, scenes, np.random.default_rng(0), 99)
    assert alone == one
    order = np.random.default_rng(2).permutation(24)
    moved = gram.make_blocks(kind, *[part[order] for part in arms])
    other = sets.swap_test(moved, [scenes[k] for k in order], np.random.default_rng(0), 99)
    assert other.p == one.p
    assert other.effect == pytest.approx(one.effect, rel=1e-6)


def test_images_of_a_scene_are_swapped_together():
    arms = _arms(20, 0.4)
    blocks = gram.make_blocks("frechet", *arms)
    scenes = [f"s{k // 5}" for k in range(20)]
    found = sets.swap_test(blocks, scenes, np.random.default_rng(0))
    assert (found.floor, found.scenes, found.permutations) == (2 / 16, 4, 0)


@pytest.mark.parametrize("kind", ["frechet", "mmd_u"])
def test_jackknife_error_is_the_spread_over_repetitions(kind):
    spread, said = [], []
    for seed in range(60):
        blocks = gram.make_blocks(kind, *_arms(40, 0.3, seed))
        estimate = jackknife.jackknife_difference(blocks, _names(40))
        spread.append(estimate.value)
        said.append(estimate.error)
    assert np.mean(said) == pytest.approx(np.std(spread), rel=0.3)


def test_interval_of_equal_methods_covers_nine_times_in_ten():
    """The plain jackknife covers 99 times in a hundred here, and hides what there is to see."""
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(150):
        blocks = gram.make_blocks("mmd_u", *simulated_arms(generator, _names(32), 0.0))
        made = jackknife.jackknife_difference(blocks, _names(32), 0.9)
        covered.append(made.low < 0 < made.high)
    assert 0.82 <= np.mean(covered) <= 0.96


def test_jackknife_of_one_arm():
    arms = _arms(30, 0.3)
    blocks = gram.make_blocks("frechet", *arms)
    found = jackknife.jackknife(blocks, _names(30), arm=1)
    assert found.value == pytest.approx(frechet_distance(arms[1], arms[2]), rel=1e-8)
    assert found.low < found.value < found.high


def _shortened(arms: list[np.ndarray]) -> list[np.ndarray]:
    return [arms[0], arms[1][:-1], arms[2]]


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        (_shortened(_arms(9)), "found 9 and 8"),
        ([part[:2] for part in _arms(9)], "at least 3 images"),
        ([_arms(9)[0]] * 2 + [_arms(9)[2]], "nothing to compare"),
        ([part * np.nan for part in _arms(9)], "finite features"),
        ([_arms(9)[0], _arms(9)[1], _arms(9)[2][:, :7]], "one D"),
    ],
)
def test_degenerate_sets_are_refused(arms, said):
    with pytest.raises(UsageError, match=said):
        gram.make_blocks("frechet", *arms)


def test_one_scene_is_refused():
    blocks = gram.make_blocks("frechet", *_arms(9))
    with pytest.raises(UsageError, match="at least two scenes"):
        sets.swap_test(blocks, ["a"] * 9, np.random.default_rng(0))
    with pytest.raises(UsageError, match="at least 4 scenes"):
        jackknife.jackknife_difference(blocks, ["a"] * 5 + ["b"] * 4)
