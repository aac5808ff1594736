"""Crops of pictures in the tests of sets: a picture's stay together, however many they are."""

import itertools

import numpy as np
import pytest

from e2r_bench.statistics import jackknife, sets
from e2r_bench.statistics.blocks import Blocks, clustered_blocks, make_blocks
from e2r_metrics.base.errors import UsageError
from e2r_metrics.clusters import Clustered
from e2r_metrics.frechet import frechet_distance

COUNTS = (1, 5, 3, 3, 2, 4)
PICTURES = np.repeat(np.arange(6), COUNTS)
NAMES = [f"p{k}" for k in range(6)]


def arms(dimension: int, shift: float = 0.2) -> list[np.ndarray]:
    """Return two methods and the truth, crop by crop; crops of a picture are alike."""
    rng = np.random.default_rng(dimension)
    count = len(PICTURES)
    clean = rng.standard_normal((6, dimension))[PICTURES] + rng.standard_normal((count, dimension))
    return [clean + shift * k + 0.4 * rng.standard_normal(clean.shape) for k in (1, 0)] + [clean]


def blocks_of(*sides: np.ndarray, pictures: np.ndarray = PICTURES) -> Blocks:
    return clustered_blocks("frechet", *(Clustered(side, pictures) for side in sides))


def apart(first: np.ndarray, second: np.ndarray, clean: np.ndarray) -> float:
    return frechet_distance(first, clean) - frechet_distance(second, clean)


# Fewer dimensions than rows go by covariances, more by Gram blocks.
@pytest.mark.parametrize("dimension", [7, 40])
def test_swaps_trade_all_crops_of_a_picture(dimension):
    first, second, clean = arms(dimension)
    found = []
    for pattern in itertools.product([False, True], repeat=6):
        swap = np.array(pattern)[PICTURES][:, None]
        found.append(apart(np.where(swap, second, first), np.where(swap, first, second), clean))
    expected = np.mean(np.abs(found) >= abs(found[0]) * (1 - 1e-7))
    made = sets.swap_test(blocks_of(first, second, clean), NAMES, np.random.default_rng(0))
    assert (made.p, made.floor, made.n, made.scenes) == (expected, 2 / 64, 6, 6)
    assert made.effect == pytest.approx(found[0], rel=1e-9)


@pytest.mark.parametrize("dimension", [4, 40])
def test_the_jackknife_leaves_out_all_crops_of_a_picture(dimension):
    first, second, clean = arms(dimension)
    without = np.array([
        apart(first[k != PICTURES], second[k != PICTURES], clean[k != PICTURES]) for k in range(6)
    ])  # fmt: skip
    swapped = np.array([
        apart(*(np.where((k == PICTURES)[:, None], a, b) for a, b in ((second, first),
                                                                      (first, second))), clean)
        for k in range(6)
    ])  # fmt: skip
    moves = (apart(first, second, clean) - swapped) / 2
    errors = (
        np.sqrt(5 / 6 * np.sum((without - without.mean()) ** 2)),
        np.sqrt(6 / 5 * np.sum((moves - moves.mean()) ** 2)),
    )
    made = jackknife.jackknife_difference(blocks_of(first, second, clean), NAMES)
    assert made.error == pytest.approx(max(errors), rel=1e-6)
    assert made.null_error == pytest.approx(errors[1], rel=1e-6)
    assert (made.n, made.scenes, made.df) == (6, 6, 5)
    one = jackknife.jackknife(blocks_of(first, second, clean), NAMES)
    assert (one.n, one.scenes) == (6, 6)


def test_pictures_of_a_scene_stay_together_with_all_their_crops():
    made = sets.swap_test(blocks_of(*arms(7)), list("aabbcd"), np.random.default_rng(0))
    assert (made.floor, made.n, made.scenes) == (2 / 16, 6, 4)


def test_crops_are_never_given_scenes_of_their_own():
    """Planted: the mistake that the calibration shows; see `results/calibration`."""
    blocks = blocks_of(*arms(7))
    for named in ([f"crop{k}" for k in range(18)], [NAMES[k] for k in PICTURES]):
        for test in (
            lambda names: sets.swap_test(blocks, names, np.random.default_rng(0)),
            lambda names: jackknife.jackknife_difference(blocks, names),
        ):
            with pytest.raises(UsageError, match="one scene for each of 6 images, found 18"):
                test(named)


def test_a_crop_of_each_picture_is_a_set_of_pictures():
    sides = [side[:6] for side in arms(40)]
    one, other = blocks_of(*sides, pictures=np.arange(6)), make_blocks("frechet", *sides)
    made, expected = (jackknife.jackknife_difference(b, NAMES) for b in (one, other))
    assert made == expected


@pytest.mark.parametrize("kind", ["kid", "mmd_u"])
def test_other_distances_keep_crops_together_too(kind):
    sides = [Clustered(side, PICTURES) for side in arms(9)]
    made = sets.swap_test(clustered_blocks(kind, *sides), NAMES, np.random.default_rng(0))
    assert (made.floor, made.n) == (2 / 64, 6)


def test_arms_with_other_crops_are_refused():
    first, second, clean = (Clustered(side, PICTURES) for side in arms(7))
    longer = Clustered(second.rows, np.sort(PICTURES[::-1] % 5))
    for sides in ((first, longer, clean), (first, second, first.of([0, 1, 2, 3]))):
        with pytest.raises(UsageError, match="features of the same pictures"):
            clustered_blocks("frechet", *sides)
    two = [side.of([1, 2]) for side in (first, second, clean)]
    with pytest.raises(UsageError, match="at least 3 images, found 2"):
        clustered_blocks("frechet", *two)


def test_moments_and_gram_blocks_give_one_distance():
    rng = np.random.default_rng(0)
    # Some dimensions that no picture moves: the covariances are not of full rank.
    sides = [np.hstack([rng.normal(k / 9, 1, (60, 20)), np.ones((60, 3))]) for k in range(3)]
    blocks = make_blocks("frechet", *sides)
    assert blocks.by_moments
    chosen = (rng.random((5, 120)) < 0.5).astype(float)
    references = (rng.random((5, 60)) < 0.7).astype(float)
    both = np.concatenate(sides[:2])
    for against in (references, np.ones((1, 60))):
        expected = [
            frechet_distance(both[rows > 0], sides[2][columns > 0])
            for rows, columns in zip(chosen, np.broadcast_to(against, (5, 60)), strict=True)
        ]
        assert blocks.distances(chosen, against) == pytest.approx(expected, rel=1e-7)
