"""Draws, degradations and procedural pictures."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2r_baselines import procedural
from e2r_baselines.controls import CLEAN, DEGRADED
from e2r_baselines.degrade import degrade
from e2r_baselines.method import MethodSpec, draws_of
from e2r_baselines.procedural import dead_leaves
from e2r_baselines.tasks import (
    PROMPTS,
    TASKS,
    gaussian_noise,
    haze,
    jpeg,
    rain_streaks,
    with_prompts,
)
from e2r_metrics.base.draws import rng_for, seed_for

names = st.text(max_size=20)
whole = st.integers(min_value=0, max_value=2**31)


@given(whole, names, names, whole, names, names)
def test_a_draw_is_named_by_all_three_and_by_nothing_else(
    seed: int, image: str, purpose: str, seed2: int, image2: str, purpose2: str
) -> None:
    same = (seed, image, purpose) == (seed2, image2, purpose2)
    # The separator keeps ("a", "bc") apart from ("ab", "c"); a name that holds it is no file name.
    if "\x1f" in image + purpose + image2 + purpose2:
        return
    assert (seed_for(seed, image, purpose) == seed_for(seed2, image2, purpose2)) == same


def test_draws_never_change_between_versions() -> None:
    """Reference values: if these move, every published noise realisation moves with them."""
    assert seed_for(0, "0001", "degrade denoise 25") == 5742840400277601490
    first = rng_for(0, "0001", "degrade denoise 25").standard_normal(2)
    assert first == pytest.approx([-1.9951418704548443, 1.4239459348338357], rel=1e-12)


@pytest.mark.parametrize("name", sorted(TASKS))
def test_every_task_degrades_and_keeps_shape_and_dtype(name: str) -> None:
    clean, depth = dead_leaves(rng_for(1, "a", "leaves"), side=64)
    clean = clean[:40, :50]
    worse = degrade(TASKS[name], clean, depth[:40, :50], rng_for(0, "a", name))
    assert worse.shape == clean.shape
    assert worse.dtype == np.float32
    assert np.isfinite(worse).all()
    assert np.abs(worse - clean).mean() > 1e-3


def test_jpeg_is_coded_at_a_quality_from_10_to_40() -> None:
    clean = dead_leaves(rng_for(1, "a", "leaves"), side=64)[0]
    eight_bit = np.rint(clean * 255).astype(np.uint8)[..., ::-1]
    coded = [
        cv2.imdecode(cv2.imencode(".jpg", eight_bit, [cv2.IMWRITE_JPEG_QUALITY, q])[1], 1)
        for q in range(10, 41)
    ]
    found: list[int] = []
    for image in range(60):
        worse = np.rint(jpeg(clean, rng_for(0, str(image), "jpeg")) * 255)[..., ::-1]
        found.append(next(10 + i for i, one in enumerate(coded) if np.array_equal(one, worse)))
    assert min(found) < 15 < 35 < max(found)


def test_a_noise_task_without_sigma_is_refused() -> None:
    clean, depth = dead_leaves(rng_for(1, "a", "leaves"), side=64)
    with pytest.raises(ValueError, match="states no sigma"):
        degrade(replace(TASKS["denoise25"], sigma=None), clean, depth, rng_for(0, "a", "b"))


def test_noise_is_white_and_rain_only_adds_light() -> None:
    grey = np.full((256, 256, 3), 0.5, np.float32)
    noise = gaussian_noise(grey, 25, rng_for(0, "a", "noise")) - grey
    for axis in (0, 1, 2):
        moved = np.moveaxis(noise, axis, 0)
        one, other = moved[1:].ravel(), moved[:-1].ravel()
        assert abs(np.corrcoef(one, other)[0, 1]) < 4 / np.sqrt(one.size)
    streaks = rain_streaks(grey, rng_for(0, "a", "rain")) - grey
    assert streaks.min() >= 0
    assert 0.001 < streaks.mean() < 0.2
    assert np.array_equal(streaks[..., 0], streaks[..., 1])


def test_haze_follows_the_scattering_model() -> None:
    """I = J t + A (1 - t): with J black it is A (1 - t), and at depth 0 it is J."""
    depth = np.linspace(0, 1, 50, dtype=np.float32)[None].repeat(3, axis=0)
    black = np.zeros((3, 50, 3), np.float32)
    white = np.ones((3, 50, 3), np.float32)
    over_black, over_white = (haze(j, depth, rng_for(0, "a", "haze")) for j in (black, white))
    assert np.allclose(over_black[:, 0], 0)
    transmission = over_white - over_black
    assert np.allclose(transmission[:, 0], 1)
    beta = -np.log(transmission[0, -1, 0])
    assert 0.4 <= beta <= 1.4
    assert np.allclose(transmission[..., 0], np.exp(-beta * depth), atol=1e-5)


def test_the_leaf_painted_last_is_nearest_and_the_top_is_far() -> None:
    painted = np.tile(np.int32([1, 2, 3]), (4, 1))
    depth = procedural._depth(painted, rng_for(0, "a", "depth"))
    assert (np.diff(depth, axis=1) < 0).all()
    assert (np.diff(depth, axis=0) < 0).all()


def test_dead_leaves_are_pictures_with_a_depth() -> None:
    first, depth = dead_leaves(rng_for(0, "a", "leaves"), side=96)
    again, _ = dead_leaves(rng_for(0, "a", "leaves"), side=96)
    other, _ = dead_leaves(rng_for(0, "b", "leaves"), side=96)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (96, 96, 3)
    assert first.dtype == depth.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1
    assert 0 <= depth.min() <= depth.max() <= 1
    assert depth.std() > 0.05


def test_prompts_are_the_words_of_the_releases() -> None:
    assert PROMPTS["g1"] == {
        "denoise": "remove the noise from the image",
        "derain": "remove the rain from the image",
        "dehaze": "remove the haze from the image",
    }
    assert PROMPTS["g2"] == {
        "denoise": "Remove noise and grain, restore a clean and sharp image",
        "derain": "Remove rain streaks and restore the clean image",
        "dehaze": "Remove haze and fog, restore clear visibility and natural colors",
        "dejpeg": "Remove compression artifacts and restore the clean image",
        "lowlight": "Brighten this photo, recover shadow details, reduce noise, "
        "keep colors natural",
    }


@pytest.mark.parametrize("generation", ["g1", "g2"])
def test_prompts_are_the_releases(generation: str) -> None:
    for task in TASKS.values():
        if task.kind in PROMPTS[generation]:
            assert with_prompts(task, generation).prompt == PROMPTS[generation][task.kind]
        else:
            with pytest.raises(KeyError):
                with_prompts(task, generation)
    assert TASKS["derain"].prompt == "remove the rain from the image"


def test_only_methods_that_draw_are_drawn_more_than_once() -> None:
    def draws(spec: MethodSpec) -> int:
        return len(draws_of(spec, (0, 1, 2), (4, 28)))

    assert draws(DEGRADED) == draws(CLEAN) == 1
    assert draws(replace(CLEAN, stochastic=True)) == 3
    assert draws(replace(CLEAN, stochastic=True, stepped=True)) == 6
