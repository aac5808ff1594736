"""Per-image metrics against published values and against the peers on the same pixels."""

import math

import numpy as np
import piq
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.nn.functional import adaptive_avg_pool2d

from e2r_metrics import CATALOG
from e2r_metrics.base.pictures import read_image
from e2r_metrics.ms_ssim import ms_ssim
from e2r_metrics.psnr import psnr, psnr_y, psnr_y_full
from e2r_metrics.ssim import (
    interior,
    ssim,
    ssim_map,
    ssim_parts,
    ssim_pooled,
    ssim_y,
)
from e2r_metrics.ssim_terms import GAUSS, UNIFORM7

MATLAB = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def _tensor(image, dtype=torch.float64):
    return torch.from_numpy(image).permute(2, 0, 1)[None].to(dtype) / 255


def test_psnr_against_scikit_image(photo, noisy):
    for dtype in (np.uint8, np.float64):
        x, y = noisy(10), photo
        if dtype == np.float64:
            x, y = x / 255, y / 255
        top = 255 if dtype == np.uint8 else 1
        reference = peak_signal_noise_ratio(y, x, data_range=top)
        assert psnr(x, y) == pytest.approx(reference, rel=1e-12)


def test_psnr_is_exact(photo):
    one_off = photo.copy()
    one_off[5, 7, 1] ^= 1
    assert psnr(photo, photo) == math.inf
    assert psnr(one_off, photo) == 10 * math.log10(255**2 * photo.size)


def test_psnr_does_not_overflow():
    black, white = np.zeros((3000, 3000, 3), np.uint8), np.full((3000, 3000, 3), 255, np.uint8)
    assert psnr(black, white) == 0.0


def test_luma_conventions_lie_apart_as_published(photo, noisy):
    x, y = noisy(10).astype(float), photo.astype(float)
    studio = (x - y) @ np.array([65.481, 128.553, 24.966]) / 255
    full = (x - y) @ np.array([0.299, 0.587, 0.114])
    assert psnr_y(noisy(10), photo) == pytest.approx(_db(studio), rel=1e-12)
    assert psnr_y_full(noisy(10), photo) == pytest.approx(_db(full), rel=1e-12)
    assert psnr_y(noisy(10), photo) - psnr_y_full(noisy(10), photo) == pytest.approx(1.32, abs=0.01)


def _db(difference):
    return 10 * math.log10(255**2 / np.mean(difference**2))


@pytest.mark.parametrize("window", [GAUSS, UNIFORM7], ids=["gauss", "uniform7"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_ssim_against_scikit_image(photo, noisy, window, dtype):
    x, y = (noisy(15), photo) if dtype == np.uint8 else (noisy(15) / 255, photo / 255)
    value, whole = structural_similarity(
        x, y, channel_axis=2, full=True, data_range=255 if dtype == np.uint8 else 1.0,
        **(MATLAB if window is GAUSS else {}),
    )  # fmt: skip
    assert ssim(x, y, window, exact=True) == pytest.approx(value, abs=1e-12)
    assert ssim(x, y, window) == pytest.approx(value, abs=2e-6)
    assert np.abs(ssim_map(x, y, window, exact=True) - whole).max() < 1e-11


@pytest.mark.parametrize(("height", "width"), [(384, 401), (650, 515), (100, 120)])
def test_pooled_ssim_against_adaptive_pooling(height, width):
    rng = np.random.default_rng(height)
    x, y = rng.integers(0, 256, (2, height, width, 3), np.uint8)
    ratio = max(1, round(min(height, width) / 256))
    size = (int(height / ratio), int(width / ratio))
    pooled = [adaptive_avg_pool2d(torch.from_numpy(z / 255).permute(2, 0, 1), size) for z in (x, y)]
    a, b = (z.permute(1, 2, 0).numpy() for z in pooled)
    reference = structural_similarity(a, b, channel_axis=2, data_range=1.0, **MATLAB)
    assert ssim_pooled(x, y) == pytest.approx(reference, abs=1e-12)
    assert ratio == 1 or abs(reference - ssim(x, y)) > 1e-3


def test_ssim_in_float32_on_dark_bright_and_plain_pictures():
    dark = np.random.default_rng(0).integers(0, 4, (90, 80, 3), np.uint8)
    level = np.full((90, 80, 3), 250, np.uint8)
    for x, y in ((dark, dark[::-1]), (dark + 250, dark[::-1] + 250), (level, level // 2)):
        reference = structural_similarity(x, y, channel_axis=2, data_range=255, **MATLAB)
        assert ssim(x, y) == pytest.approx(reference, abs=2e-6)
    halves = level.copy()
    halves[40:] = 3
    reference = structural_similarity(halves, dark, channel_axis=2, data_range=255, **MATLAB)
    assert ssim(halves, dark) == pytest.approx(reference, abs=5e-5)


def test_float32_holds_in_the_dark_beside_a_bright_middle_row():
    restored = np.random.default_rng(0).integers(0, 2, (160, 160, 3)).astype(np.uint8)
    clean = np.full_like(restored, 4)
    restored[60:100] += 128
    clean[60:100] = 128
    assert ssim(restored, clean) == pytest.approx(ssim(restored, clean, exact=True), abs=3e-6)


def test_ssim_of_equal_pictures_is_one_in_float32_too(photo):
    assert ssim(photo, photo) == 1.0
    assert ssim_map(photo, photo).min() == 1.0


def test_ssim_scalar_is_the_mean_of_its_map(photo, noisy):
    for window in (GAUSS, UNIFORM7):
        values = interior(ssim_map(noisy(15), photo, window, exact=True), window)
        assert ssim(noisy(15), photo, window, exact=True) == pytest.approx(values.mean(), abs=1e-13)


def test_ssim_parts_multiply_to_the_map(photo, noisy):
    for window in (GAUSS, UNIFORM7):
        parts = ssim_parts(noisy(15), photo, window)
        product = parts.luminance * parts.contrast * parts.structure
        whole = ssim_map(noisy(15), photo, window, exact=True)
        assert product.shape == photo.shape
        assert np.abs(product - whole).max() < 1e-10
        assert parts.luminance.max() <= 1 + 1e-12
        assert parts.contrast.max() <= 1 + 1e-12
        assert np.abs(parts.structure).max() <= 1 + 1e-9


def test_ssim_parts_see_what_they_are_named_for(photo):
    brighter = np.clip(photo * 0.5 + 100, 0, 255).astype(np.uint8)
    half = ssim_parts((photo // 2 + 40).astype(np.uint8), photo)
    shifted = ssim_parts(brighter, (photo * 0.5).astype(np.uint8))
    assert half.structure.mean() > 0.95 > half.contrast.mean()
    assert shifted.contrast.mean() > 0.99 > 0.9 > shifted.luminance.mean()


def test_ssim_y_against_scikit_image(photo, noisy):
    weights = np.array([65.481, 128.553, 24.966]) / 255
    x, y = (image @ weights + 16 for image in (noisy(15), photo))
    reference = structural_similarity(x, y, data_range=255, **MATLAB)
    assert ssim_y(noisy(15), photo) == pytest.approx(reference, abs=1e-12)


def test_ms_ssim_against_piq(photo, noisy):
    x, y = noisy(15)[:, :], photo
    reference = piq.multi_scale_ssim(_tensor(x), _tensor(y), data_range=1.0)
    assert ms_ssim(x, y) == pytest.approx(float(reference), abs=1e-9)


@pytest.mark.data
def test_lpips_alex_and_vgg_published(session, shared_data, files):
    files("alexnet-imagenet", "vgg16-imagenet")
    folder = shared_data / "lpips_imgs"
    reference, p0, p1 = (read_image(folder / f"ex_{name}.png") for name in ("ref", "p0", "p1"))
    alex = session.per_image(CATALOG["lpips:alex"], [p0, p1], [reference] * 2)
    vgg = session.per_image(CATALOG["lpips:vgg"], [p0, p1], [reference] * 2)
    assert alex == pytest.approx([0.722, 0.138], abs=1e-3)
    assert vgg == pytest.approx([0.5686, 0.4217], abs=1e-4)


@pytest.mark.data
def test_dists_published(session, shared_data, files):
    files("vgg16-imagenet", "dists-weights")
    folder = shared_data / "piq_assets"
    x, y = read_image(folder / "i01_01_5.bmp"), read_image(folder / "I01.BMP")
    assert session.per_image(CATALOG["dists:piq"], [x], [y])[0] == pytest.approx(0.17321, abs=2e-5)


@pytest.mark.data
@pytest.mark.weights
def test_clip_iqa_published(session, shared_data, files):
    files("clip-rn50")
    folder = shared_data / "piq_assets"
    images = [read_image(folder / name) for name in ("I01.BMP", "i01_01_5.bmp")]
    values = session.per_image(CATALOG["clip_iqa:official"], images, images)
    assert values == pytest.approx([0.89160, 0.45898], rel=1e-2)
