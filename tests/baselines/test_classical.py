"""Methods without weights: that they restore, their arithmetic, and small sizes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from e2r_baselines.catalog import METHODS
from e2r_baselines.classical import dark_channel_prior, guided_derain, guided_filter
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, Pixels, spec_of
from e2r_baselines.noise import estimated_sigma, noise_level
from e2r_baselines.procedural import dead_leaves
from e2r_baselines.tasks import TASKS, Task, gaussian_noise, haze, rain_streaks
from e2r_metrics.base.draws import rng_for

DENOISE = TASKS["denoise25"]
SMALL = ((1, 1), (7, 33))


@pytest.fixture(scope="module")
def scene() -> tuple[Pixels, NDArray[np.float32]]:
    return dead_leaves(rng_for(0, "scene", "test"), 64)


def psnr(a: Pixels, b: Pixels) -> float:
    return float(-10 * np.log10(np.mean((np.clip(a, 0, 1) - b) ** 2)))


def restored(name: str, picture: Pixels, task: Task) -> Pixels:
    spec = spec_of(METHODS[name])
    restorer = spec.open(spec.builds[0], {}, Compute())
    (result,) = restorer.restore([Photo("a", picture)], task, [DETERMINISTIC])
    return result.pixels


@pytest.mark.parametrize(("name", "gain"), [("bm3d", 6.0), ("nlm", 4.0), ("wavelet", 4.0)])
def test_denoisers_denoise(
    name: str, gain: float, scene: tuple[Pixels, NDArray[np.float32]]
) -> None:
    clean, _ = scene
    noisy = gaussian_noise(clean, 25, rng_for(0, "noise", "test"))
    assert psnr(restored(name, noisy, DENOISE), clean) > psnr(noisy, clean) + gain


@pytest.mark.parametrize(
    ("name", "shape"),
    # BM3D costs two seconds a call, whatever the size.
    [("bm3d", (1, 1))] + [(n, s) for n in ("nlm", "wavelet", "dcp", "gf-derain") for s in SMALL],
)
def test_small_and_odd_sizes_come_back(name: str, shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    out = restored(name, picture, TASKS["dehaze"])
    assert out.shape == picture.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()


@pytest.mark.parametrize("name", ["bm3d", "nlm", "wavelet"])
def test_a_picture_that_is_mostly_flat_has_no_noise_and_comes_back(name: str) -> None:
    picture = np.full((64, 64, 3), 0.5, np.float32)
    picture[:20, :20] = np.random.default_rng(0).random((20, 20, 3), dtype=np.float32)
    assert estimated_sigma(picture) == 0
    assert np.isfinite(restored(name, picture, TASKS["dejpeg"])).all()


def test_the_noise_level_is_the_tasks_or_estimated() -> None:
    clean = np.full((128, 128, 3), 0.5, np.float32)
    noisy = gaussian_noise(clean, 25, rng_for(0, "flat", "test"))
    assert noise_level(noisy, TASKS["denoise50"]) == 50 / 255
    assert noise_level(noisy, TASKS["derain"]) == pytest.approx(25 / 255, rel=0.03)
    assert estimated_sigma(clean) == 0
    assert estimated_sigma(clean[:1]) == 0


def direct_guided_filter(
    guide: NDArray[np.float64], source: NDArray[np.float64], radius: int, eps: float
) -> NDArray[np.float64]:
    """The paper's definition, window by window."""

    def windows(x: NDArray[np.float64]) -> NDArray[np.float64]:
        padded = np.pad(x, radius, mode="symmetric")
        return np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2)

    g, s = windows(guide), windows(source)
    mean_g, mean_s = g.mean((2, 3)), s.mean((2, 3))
    covariance = ((g - mean_g[..., None, None]) * (s - mean_s[..., None, None])).mean((2, 3))
    slope = covariance / (g.var((2, 3)) + eps)
    offset = mean_s - slope * mean_g
    return windows(slope).mean((2, 3)) * guide + windows(offset).mean((2, 3))


def test_the_guided_filter_is_the_papers() -> None:
    rng = np.random.default_rng(1)
    guide, source = rng.random((2, 12, 15))
    measured = guided_filter(guide.astype(np.float32), source.astype(np.float32), 2, 0.01)
    np.testing.assert_allclose(measured, direct_guided_filter(guide, source, 2, 0.01), atol=1e-5)


def test_the_dark_channel_prior_undoes_haze_on_a_scene_with_dark_places() -> None:
    rng = rng_for(0, "dark", "test")
    clean, depth = dead_leaves(rng, 192)
    clean = clean * (rng.random((192, 192, 1)) > 0.03)  # the prior asks for dark pixels about
    hazy = haze(clean.astype(np.float32), depth, rng)
    assert psnr(dark_channel_prior(hazy, TASKS["dehaze"]), clean) > psnr(hazy, clean) + 3


def test_deraining_takes_streaks_off_and_leaves_flat_pictures() -> None:
    rng = rng_for(0, "rain", "test")
    clean, _ = dead_leaves(rng, 128)
    rainy = np.clip(rain_streaks(clean, rng), 0, 1)
    assert psnr(guided_derain(rainy, TASKS["derain"]), clean) > psnr(rainy, clean) + 0.5
    flat = np.full((64, 64, 3), 0.4, np.float32)
    np.testing.assert_allclose(guided_derain(flat, TASKS["derain"]), flat, atol=1e-5)
