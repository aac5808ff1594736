"""Random degradations for training: their kernels, their orders, and that their seed is all."""

from collections import Counter
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, stats

from e2r_baselines import bsrgan_degradation, mixtures, realesrgan_degradation
from e2r_baselines.blur_kernels import covariance, gaussian_kernel, plateau_kernel, sinc_kernel
from e2r_baselines.degradations import DEGRADATIONS, filtered
from e2r_baselines.random_degradations import PIPELINES
from e2r_metrics.base.draws import rng_for


def scene(seed=0, height=40, width=48):
    rough = np.random.default_rng(seed).random((height, width, 3))
    return np.clip(ndimage.gaussian_filter(rough, (2, 2, 0)) * 3 - 1, 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", PIPELINES)
@settings(max_examples=25, deadline=None)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_every_pipeline_keeps_the_size_and_is_its_draws_alone(name, height, width, seed):
    clean = scene(1)[:height, :width]
    before = clean.copy()
    one, two = (PIPELINES[name](clean, rng_for(seed, "a", "t")) for _ in range(2))
    assert one.shape == clean.shape
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(clean, before)


@pytest.mark.parametrize("name", PIPELINES)
def test_every_pipeline_degrades_and_never_twice_alike(name):
    clean = scene()
    found = [PIPELINES[name](clean, rng_for(seed, "a", "t")) for seed in range(12)]
    assert all(np.abs(one - clean).mean() > 2e-3 for one in found)
    assert not any(np.array_equal(a, b) for i, a in enumerate(found) for b in found[:i])


@pytest.mark.parametrize(("name", "kinds"), [("mixed", 6), ("mixed-neutral", 5)])
def test_one_to_three_kinds_in_every_order(name, kinds):
    seen: list[tuple[str, ...]] = []
    for seed in range(1500):
        names: list[str] = []

        def noted(step, x, depth, rng, names=names):
            del depth, rng
            names.append(step.name)
            return x

        with mock.patch("e2r_baselines.random_degradations.draw_step", noted):
            PIPELINES[name](scene(), rng_for(seed, "a", "t"))
        seen.append(tuple(names))
    counts = Counter(len(names) for names in seen)
    assert set(counts) == {1, 2, 3}
    assert all(420 < count < 580 for count in counts.values())
    assert all(len(set(names)) == len(names) for names in seen)
    assert len({names for names in seen if len(names) == 2}) == kinds * (kinds - 1)
    assert ("colour" in {n for names in seen for n in names}) == (kinds == 6)


def test_values_are_not_rounded_between_the_steps():
    """Only the codec of JPEG sees 8 bits: what a step made reaches the next as it is, clipped."""
    levels: list[float] = []
    for seed in range(40):
        made: list[tuple[str, np.ndarray]] = []

        def watched(step, x, depth, rng, made=made):
            if made and made[-1][0] != "jpeg":
                np.testing.assert_array_equal(x, np.clip(made[-1][1], 0, 1))
                levels.append(float(np.abs(x * 255 - np.rint(x * 255)).mean()))
            made.append((step.name, mixtures.draw_step(step, x, depth, rng)))
            return made[-1][1]

        with mock.patch("e2r_baselines.random_degradations.draw_step", watched):
            PIPELINES["mixed"](scene(), rng_for(seed, "a", "t"))
    # A quarter of a level is the mean distance of what was not rounded; clipped values have none.
    assert len(levels) > 15
    assert min(levels) > 0.05


def test_shot_noise_has_the_variance_of_its_electrons():
    flat = np.full((200, 200, 3), 0.4, np.float32)
    depth = flat[..., 0]
    noisy = DEGRADATIONS["poisson"].apply(flat, depth, {"scale": 2.0}, np.random.default_rng(0))
    assert noisy.mean() == pytest.approx(0.4, abs=1e-3)
    assert noisy.std() == pytest.approx(2 * np.sqrt(0.4 / 255), rel=0.02)


def test_colour_moves_the_mean_and_the_spread_as_it_says():
    clean = scene()
    drawn = {"brightness": 0.2, "contrast": -0.1}
    rng = np.random.default_rng(0)
    found = DEGRADATIONS["colour"].apply(clean, clean[..., 0], drawn, rng)
    assert found.mean() == pytest.approx(1.2 * clean.mean(), rel=1e-5)
    assert found.std() == pytest.approx(1.2 * 0.9 * clean.std(), rel=1e-5)


def test_kernels_are_the_densities_that_they_are_named_after():
    spread = covariance(2.0, 0.7, 0.4)
    reach = np.arange(-10, 11)
    places = np.stack(np.meshgrid(reach, reach), -1)
    density = stats.multivariate_normal([0, 0], spread).pdf(places)
    np.testing.assert_allclose(gaussian_kernel(21, spread), density / density.sum(), atol=1e-12)
    moved = stats.multivariate_normal([1.5, 1.5], spread).pdf(places)
    shifted = gaussian_kernel(21, spread, shift=1.5)
    np.testing.assert_allclose(shifted, moved / moved.sum(), atol=1e-12)
    np.testing.assert_allclose(gaussian_kernel(21, spread, 1.0), gaussian_kernel(21, spread))
    distance = np.einsum("...i,ij,...j", places, np.linalg.inv(spread), places)
    for beta in (0.5, 1.0, 3.0):
        plateau = plateau_kernel(21, spread, beta)
        np.testing.assert_allclose(plateau * (1 + distance**beta), plateau[10, 10], rtol=1e-9)
        assert plateau.sum() == pytest.approx(1)


@pytest.mark.parametrize("cutoff", [np.pi / 3, 2.0])
def test_the_sinc_filter_passes_below_its_cut_off_and_stops_above(cutoff):
    response = np.abs(np.fft.fft2(sinc_kernel(201, cutoff)))
    frequency = 2 * np.pi * np.fft.fftfreq(201)
    radius = np.hypot(*np.meshgrid(frequency, frequency))
    assert response[radius < 0.85 * cutoff].min() > 0.9
    assert response[radius > 1.15 * cutoff].max() < 0.1


def test_filtering_is_what_scipy_says_of_mirrored_borders():
    kernel = gaussian_kernel(7, covariance(1.5, 0.8, 0.3), shift=0.5)
    clean = scene()
    expected = ndimage.correlate(clean, kernel[..., None], mode="mirror")
    np.testing.assert_allclose(filtered(clean, kernel), expected, atol=1e-6)


def test_real_esrgan_draws_the_kernels_that_it_states():
    forms = Counter[str]()
    for seed in range(3000):
        with (
            mock.patch.object(realesrgan_degradation, "gaussian_kernel") as gaussian,
            mock.patch.object(realesrgan_degradation, "plateau_kernel") as plateau,
        ):
            realesrgan_degradation.draw_kernel(9, (0.2, 3.0), np.random.default_rng(seed))
        (size, spread, beta) = (gaussian.call_args or plateau.call_args).args
        assert size == 9
        sigmas = np.sqrt(np.linalg.eigvalsh(spread))
        assert 0.2 - 1e-9 <= sigmas[0] <= sigmas[1] <= 3 + 1e-9
        way = "iso" if np.isclose(*sigmas, rtol=1e-9) else "aniso"
        if plateau.called:
            assert 1 <= beta <= 2
            forms[f"plateau {way}"] += 1
        else:
            assert 0.5 <= beta <= 4
            forms[way if beta == 1 else f"general {way}"] += 1
    stated = {
        "iso": 0.45, "aniso": 0.25, "general iso": 0.12, "general aniso": 0.03,
        "plateau iso": 0.12, "plateau aniso": 0.03,
    }  # fmt: skip
    for form, share in stated.items():
        assert forms[form] / 3000 == pytest.approx(share, abs=0.025)


def test_real_esrgans_two_passes_and_either_end():
    """Which sizes the picture takes, and whether the last JPEG is coded before or after."""
    sizes: list[list[tuple[int, int]]] = []
    orders = Counter[str]()
    for seed in range(200):
        steps: list[str] = []
        shapes: list[tuple[int, int]] = []

        def resized(x, height, width, rng, shapes=shapes, steps=steps):
            shapes.append((height, width))
            steps.append("resize")
            return realesrgan_degradation.resized(x, height, width)

        def coded(x, quality, steps=steps):
            assert 30 <= quality <= 95
            steps.append("jpeg")
            return x

        with (
            mock.patch.object(realesrgan_degradation, "resized_at_random", resized),
            mock.patch.object(realesrgan_degradation, "coded", coded),
        ):
            realesrgan_degradation.realesrgan(scene(0, 40, 48), rng_for(seed, "a", "t"))
        assert steps[:3] == ["resize", "jpeg", "resize"]
        orders[" ".join(steps[3:])] += 1
        sizes.append(shapes)
    assert set(orders) == {"resize jpeg", "jpeg resize"}
    assert min(orders.values()) > 70
    for first, second, last in sizes:
        assert 6 <= first[0] <= 60
        assert 3 <= second[0] <= 12
        assert last == (10, 12)


def test_bsrgans_order_is_random_and_reaches_the_final_size_last():
    named = Counter[tuple[str, ...]]()
    for seed in range(2000):
        order = bsrgan_degradation._order(np.random.default_rng(seed))
        names = tuple(step.__name__ for step in order)
        assert names.index("_shrink") < names.index("_fit")
        assert Counter(names)["_blur"] == 2
        named[names] += 1
    # Six steps, two of them alike, two in a fixed order: 6! / 2 / 2.
    assert len(named) == 180


@pytest.mark.parametrize("scale", [2, 4])
def test_bsrgans_nearest_pixel_stands_in_the_middle_of_its_block(scale):
    """A ramp stays the ramp of the blocks' means, so that nothing is shifted."""
    ramp = np.broadcast_to(np.linspace(0.2, 0.8, 64, dtype=np.float32)[None, :, None], (64, 64, 3))
    rng = mock.Mock(spec=np.random.Generator)
    rng.random.return_value = 0.9
    rng.uniform.return_value = 0.6 * scale
    small = bsrgan_degradation._shrink(ramp, scale, (16, 16), rng)
    means = ramp.reshape(64 // scale, scale, 64 // scale, scale, 3).mean((1, 3))
    inner = slice(16 // scale, -16 // scale)
    np.testing.assert_allclose(small[inner, inner], means[inner, inner], atol=1e-4)


def test_bsrgans_noise_is_gray_coloured_or_correlated():
    flat, kinds = np.full((64, 64, 3), 0.5, np.float32), Counter[str]()
    for seed in range(300):
        noise = bsrgan_degradation._noise(flat, 4, (16, 16), np.random.default_rng(seed)) - flat
        between = np.corrcoef(noise.reshape(-1, 3).T)[np.triu_indices(3, 1)]
        assert noise.std() < 27 / 255
        if between.min() > 0.999:
            kinds["gray"] += 1
        else:
            kinds["colour" if np.abs(between).max() < 0.07 else "correlated"] += 1
    assert kinds["gray"] / 300 == pytest.approx(0.4, abs=0.09)
    assert kinds["colour"] / 300 == pytest.approx(0.4, abs=0.09)
    assert kinds["correlated"] / 300 == pytest.approx(0.2, abs=0.09)
