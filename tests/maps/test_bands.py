"""The band split: what is lost, invented, unfaithful, and what is only noise."""

import cv2
import numpy as np
import pytest

from e2r_bench.maps.bands import FLAG, band_split
from e2r_bench.run.data import read_clean
from e2r_bench.run.mini import mini
from e2r_metrics.base.errors import PictureError

PHOTOS = [read_clean(source) for source in mini().sources[:5]]


def eight_bit(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("photo", PHOTOS)
def test_truth_against_itself_is_quiet(photo: np.ndarray) -> None:
    bands = band_split(photo, photo)
    for values in (bands.unfaithful, bands.lost, bands.invented, bands.noise):
        assert values.shape == photo.shape[:2]
        assert float(values.max()) == 0


@pytest.mark.parametrize("sigma", [3, 8, 15, 25])
@pytest.mark.parametrize("photo", PHOTOS)
def test_faithful_but_noisy_is_not_invented(photo: np.ndarray, sigma: int) -> None:
    # Kept off black and white: clipping makes noise uneven and shifts the mean.
    truth = eight_bit(60 + photo * 0.5)
    noisy = eight_bit(truth + np.random.default_rng(sigma).normal(0, sigma, truth.shape))
    scores = band_split(noisy, truth).scores()
    assert scores["invented_share"] < 1
    assert scores["lost_share"] < 1
    assert scores["unfaithful_share"] < 1
    # Luma of independent noise in R, G and B has 0.668 of its deviation.
    assert scores["noise"] == pytest.approx(0.668 * sigma, rel=0.15)


@pytest.mark.parametrize("photo", PHOTOS)
def test_blur_loses_and_does_not_invent(photo: np.ndarray) -> None:
    scores = band_split(cv2.GaussianBlur(photo, (0, 0), 2), photo).scores()
    # The halo of a blurred hard edge is not proportional to the edge: some of it counts as extra.
    assert scores["lost"] > 1.8 * scores["invented"]
    assert scores["lost"] > 1.5 * scores["unfaithful"]


def test_colour_shift_is_unfaithful_and_nothing_else() -> None:
    photo = eight_bit(60 + PHOTOS[0] * 0.5)
    scores = band_split(eight_bit(photo + np.array([20.0, 0, -20])), photo).scores()
    assert scores["unfaithful"] == pytest.approx(20 * np.sqrt(2 / 3), rel=0.01)
    assert scores["lost_share"] == 0
    assert scores["invented_share"] == 0


def test_detail_on_a_plain_wall_is_invented() -> None:
    plain = np.full((96, 96, 3), 128, np.uint8)
    texture = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 120, (96, 96, 1)), (0, 0), 1.5)
    spoilt = plain.copy()
    spoilt[32:64, 32:64] = eight_bit(128 + texture[32:64, 32:64, None])
    bands = band_split(spoilt, plain)
    assert float(np.mean(bands.invented[38:58, 38:58] >= FLAG)) > 0.9
    assert float(bands.lost.max()) < FLAG


def test_oversharpening_counts_as_invented() -> None:
    photo = PHOTOS[0].astype(np.float32)
    sharp = eight_bit(photo + 1.5 * (photo - cv2.GaussianBlur(photo, (0, 0), 1.5)))
    scores = band_split(sharp, PHOTOS[0]).scores()
    assert scores["invented"] > 5 * scores["lost"]


@pytest.mark.parametrize(
    "other", [np.zeros((32, 31, 3), np.uint8), np.zeros((32, 32, 3), np.float32)]
)
def test_unequal_pictures_are_refused(other: np.ndarray) -> None:
    with pytest.raises(PictureError, match="expected two"):
        band_split(np.zeros((32, 32, 3), np.uint8), other)


def test_tiny_pictures_are_refused() -> None:
    with pytest.raises(PictureError, match="at least 16"):
        band_split(np.zeros((8, 32, 3), np.uint8), np.zeros((8, 32, 3), np.uint8))
