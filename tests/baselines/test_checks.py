"""Results that are no pictures in [0, 1], and what must pass although it leaves that range."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from e2r_baselines.checks import check_restored
from e2r_baselines.method import DETERMINISTIC, Pixels, Restored
from e2r_baselines.tasks import gaussian_noise
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import PictureError


def check(pixels: NDArray[np.generic], shape: tuple[int, ...] | None = None) -> None:
    check_restored(Restored("a", DETERMINISTIC, pixels), shape or pixels.shape)  # pyright: ignore


def photograph(name: str) -> Pixels:
    from skimage import data

    return (getattr(data, name)()[60:188, 80:208, :3] / 255).astype(np.float32)


PHOTOGRAPHS = ["astronaut", "coffee", "chelsea", "rocket"]


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize(("factor", "said"), [(255, "0..255"), (65535, "0..65535")])
def test_a_photograph_in_other_units_is_refused(name: str, factor: float, said: str) -> None:
    check(photograph(name))
    with pytest.raises(PictureError, match=f"a: expected values from 0 to 1, .*looks like {said}"):
        check(photograph(name) * np.float32(factor))
    dark = (photograph(name) / 20).astype(np.float32)
    check(dark)
    with pytest.raises(PictureError, match=r"looks like 0\.\.255"):
        check(dark * 255)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_from_minus_one_to_one_is_refused(name: str) -> None:
    with pytest.raises(PictureError, match=r"looks like -1\.\.1"):
        check(2 * photograph(name) - 1)


@pytest.mark.parametrize("sigma", [15, 25, 50, 100])
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_unclipped_noise_passes(sigma: float, level: float) -> None:
    """The control `degraded` hands on what the protocol did not clip, on black and on white."""
    flat = np.full((321, 481, 3), level, np.float32)
    noisy = gaussian_noise(flat, sigma, rng_for(0, "a", "test"))
    if sigma == 100:
        assert noisy.max() > 2 or noisy.min() < -1 or level == 0.5
    check(noisy)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 50), st.integers(1, 40), st.integers(1, 40))
def test_noise_on_any_small_picture_passes(seed: int, sigma: float, high: int, wide: int) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.random((high, wide, 3), dtype=np.float32)
    check(gaussian_noise(clean, sigma, rng))


def test_wild_pixels_are_the_methods_and_are_clipped() -> None:
    pixels = photograph("coffee").copy()
    pixels[0, :20] = 1e6
    check(pixels)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    pixels = photograph("coffee").copy()
    pixels[3, 4, 1] = bad
    with pytest.raises(PictureError, match="a: the picture holds NaN or infinity"):
        check(pixels)


def test_shape_and_dtype_are_those_of_a_picture() -> None:
    with pytest.raises(PictureError, match=r"a: expected \(4, 5, 3\), found \(5, 4, 3\)"):
        check(np.zeros((5, 4, 3), np.float32), (4, 5, 3))
    with pytest.raises(PictureError, match=r"a: expected \(4, 5, 3\), found \(4, 5\)"):
        check(np.zeros((4, 5), np.float32), (4, 5, 3))
    with pytest.raises(PictureError, match="found uint8"):
        check(np.zeros((4, 5, 3), np.uint8))
    check(np.zeros((4, 5, 3), np.float64))
