"""How stable an order is: what is planted is found, what is noise is not called stable."""

import numpy as np
import pytest

from e2r_bench.statistics.stability import stabilities, stability
from e2r_metrics.base.errors import UsageError


def _arms(gaps, n=40, noise=1.0, seed=0):
    generator = np.random.default_rng(seed)
    hard = generator.normal(0, 5, n)
    return {f"m{k}": hard + gap + generator.normal(0, noise, n) for k, gap in enumerate(gaps)}


def _made(values, scenes, higher=True, seed=1):
    return stability(("t", "psnr:rgb"), values, scenes, higher, np.random.default_rng(seed))


SCENES = [f"s{k:02}" for k in range(40)]


def test_a_planted_order_is_found_through_hard_scenes():
    """Scenes differ by 5 dB and arms by 2: only because all see the same scenes is it stable."""
    values = _arms((0, 4, 2))
    made = _made(values, SCENES)
    assert made.arms == ("m1", "m2", "m0")
    assert made.whole == 1.0
    assert made.first == 1.0
    assert made.steps == (1.0, 1.0)
    down = _made(values, SCENES, higher=False)
    assert down.arms == ("m0", "m2", "m1")


def test_resamples_that_arms_do_not_share_would_hide_it():
    """The fault, planted: each arm against a resample of its own."""
    values = _arms((0, 4, 2))
    generator = np.random.default_rng(2)
    table = np.stack(list(values.values()))
    means = np.stack([row[generator.integers(0, 40, (2000, 40))].mean(1) for row in table])
    assert np.mean((means[1] > means[2]) & (means[2] > means[0])) < 0.98


def test_equal_arms_have_no_stable_order():
    shares = [_made(_arms((0, 0), seed=seed), SCENES).whole for seed in range(40)]
    # Were the order of equal arms called stable, these would lie near 1; they are spread from a
    # half on, since the order asked about is the one that was seen.
    assert 0.6 < np.mean(shares) < 0.9
    assert np.mean(np.array(shares) > 0.975) < 0.15


def test_scenes_are_the_units():
    """Twenty crops of each of ten scenes: as images they would look like 200 votes."""
    generator = np.random.default_rng(5)
    scene = np.repeat(generator.normal(0.3, 1, 10), 20)
    values = {"a": scene, "b": np.zeros(200)}
    by_scene = _made(values, [f"s{k // 20}" for k in range(200)])
    by_image = _made(values, [f"i{k}" for k in range(200)])
    assert by_scene.first < 0.98 < by_image.first or by_scene.first < by_image.first - 0.05
    assert by_scene.scenes == 10
    assert by_image.scenes == 200


def test_a_tie_is_no_order():
    same = np.arange(40.0)
    made = _made({"a": same, "b": same.copy()}, SCENES)
    assert made.whole == 0.0
    assert made.first == 0.0


def test_a_scene_of_many_pictures_weighs_as_in_the_mean():
    values = {"a": np.array([1.0] * 30 + [0.0] * 10), "b": np.array([0.0] * 30 + [2.0] * 10)}
    scenes = ["big"] * 30 + [f"s{k}" for k in range(10)]
    assert _made(values, scenes).arms == ("a", "b")  # 0.75 against 0.5


def test_too_few_scenes_and_infinities_are_refused_or_left_out():
    with pytest.raises(UsageError, match="below 10 scenes"):
        _made(_arms((0, 1), n=9), SCENES[:9])
    with pytest.raises(UsageError, match="finite"):
        _made({"a": np.full(40, np.inf), "b": np.zeros(40)}, SCENES)
    with pytest.raises(UsageError, match="two arms"):
        _made({"a": np.zeros(40)}, SCENES)
    three = {name: dict(zip(SCENES, row, strict=True)) for name, row in _arms((0, 1, 2)).items()}
    where, scenes = ("t", "m"), {name: name for name in SCENES}
    draws = np.random.default_rng(0)
    (made,) = stabilities(where, three, scenes, True, draws)
    assert made.n == 40
    assert "m2 > m1 > m0" in made.words
    assert stabilities(where, dict(list(three.items())[:2]), scenes, True, draws) == []
    few = {name: dict(list(row.items())[:9]) for name, row in three.items()}
    assert stabilities(where, few, scenes, True, draws) == []


def test_the_order_of_pictures_changes_nothing():
    values = _arms((0, 0.3, 0.5))
    turned = {name: row[::-1] for name, row in values.items()}
    assert _made(values, SCENES) == _made(turned, SCENES[::-1])
