"""A shift is called a shift: to a tenth of a pixel, and nothing is invented once it is undone."""

import cv2
import numpy as np
import pytest

from e2r_bench.maps.bands import band_split
from e2r_bench.maps.compute import after_alignment
from e2r_bench.maps.registration import displacement, inside, moved_truth, register
from e2r_bench.run.mini import PHOTOGRAPHS
from e2r_metrics.base.errors import PictureError
from e2r_metrics.base.pictures import EightBit, read_image


def photograph(name: str, height: int = 200, width: int = 260) -> EightBit:
    photo = PHOTOGRAPHS[name]
    whole = read_image(photo.file(photo.path))
    return np.ascontiguousarray(whole[60 : 60 + height, 80 : 80 + width])


def shifted(photo: EightBit, right: float, down: float) -> EightBit:
    """Move a picture by its Fourier series: independent of any interpolation of ours."""
    y, x = (
        np.fft.fftfreq(n)[s]
        for n, s in zip(photo.shape, (np.s_[:, None], np.s_[None]), strict=False)
    )
    turn = np.exp(-2j * np.pi * (x * right + y * down))[..., None]
    moved = np.fft.ifft2(np.fft.fft2(photo.astype(float), axes=(0, 1)) * turn, axes=(0, 1)).real
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


PHOTOS = {name: photograph(name) for name in ("astronaut", "china", "chelsea", "retina")}


@pytest.mark.parametrize("sigma", [0, 10])
@pytest.mark.parametrize(
    ("right", "down"), [(0.5, 0.0), (0.3, -0.7), (1.0, 1.0), (-2.0, 0.0), (5.2, 3.4)]
)
@pytest.mark.parametrize("name", PHOTOS)
def test_shifts_are_found_to_a_tenth_of_a_pixel(
    name: str, right: float, down: float, sigma: float
) -> None:
    if name == "retina" and sigma:
        pytest.skip("its detail lies below this noise: no motion can be told from it")
    truth = PHOTOS[name]
    output = shifted(truth, right, down)
    noise = np.random.default_rng(0).normal(0, sigma, output.shape)
    found = register(np.clip(np.rint(output + noise), 0, 255).astype(np.uint8), truth)
    assert found.shift == pytest.approx((right, down), abs=0.1)
    assert abs(found.zoom) < 0.1
    assert abs(found.rotation) < 0.1


@pytest.mark.parametrize(("right", "down"), [(0.5, 0.5), (1.0, 0.0), (2.0, -2.0)])
@pytest.mark.parametrize("name", ["astronaut", "china", "chelsea"])
def test_what_is_only_shifted_is_not_invented(name: str, right: float, down: float) -> None:
    truth = PHOTOS[name]
    output = shifted(truth, right, down)[8:-8, 8:-8]  # Off the seam of the Fourier series.
    truth = truth[8:-8, 8:-8]
    assert band_split(output, truth).scores()["invented_share"] > 1
    scores = after_alignment(output, truth).scores
    assert scores["invented_share_aligned"] < 0.5
    assert scores["displacement"] < 0.1
    assert scores["psnr_aligned"] > 30


@pytest.mark.parametrize(("zoom", "turn"), [(1.0, 0.0), (0.0, 0.5)])
def test_zoom_and_rotation_are_named(zoom: float, turn: float) -> None:
    truth = PHOTOS["astronaut"]
    middle = ((truth.shape[1] - 1) / 2, (truth.shape[0] - 1) / 2)
    # OpenCV turns counter-clockwise.
    matrix = cv2.getRotationMatrix2D(middle, -turn, 1 + zoom / 100)
    output = cv2.warpAffine(truth, matrix, truth.shape[1::-1], flags=cv2.INTER_CUBIC)
    found = register(output[10:-10, 10:-10], truth[10:-10, 10:-10])
    assert found.zoom == pytest.approx(zoom, abs=0.1)
    assert found.rotation == pytest.approx(turn, abs=0.05)
    assert "zoomed by" in found.words()


@pytest.mark.parametrize("name", PHOTOS)
def test_what_is_in_place_is_left_in_place_whatever_else_is_wrong(name: str) -> None:
    truth = PHOTOS[name]
    noise = np.random.default_rng(1).normal(0, 25, truth.shape)
    outputs = [
        truth, cv2.GaussianBlur(truth, (0, 0), 1.5), np.uint8(0.5 * truth + 60),
        np.clip(np.rint(truth + noise), 0, 255).astype(np.uint8), np.full_like(truth, 90),
    ]  # fmt: skip
    for output in outputs:
        found = register(output, truth)
        assert not found.moved, found.words()
        assert moved_truth(truth, found) is truth
        assert "in place" in found.words()


def test_another_picture_is_no_motion() -> None:
    assert not register(PHOTOS["astronaut"], PHOTOS["china"]).moved


def test_registering_changes_none_of_its_pictures() -> None:
    # OpenCV's phase correlation writes into its inputs.
    output, truth = shifted(PHOTOS["china"], 2, 1), PHOTOS["china"].copy()
    before = output.copy()
    register(output, truth)
    assert np.array_equal(output, before)
    assert np.array_equal(truth, PHOTOS["china"])


def test_local_displacement_is_seen_where_it_is() -> None:
    truth = PHOTOS["astronaut"]
    output = truth.copy()
    output[60:140, 60:140] = shifted(truth, 0.8, 0)[60:140, 60:140]
    far = displacement(output, truth)
    assert np.nanmedian(far[75:125, 75:125]) == pytest.approx(0.8, abs=0.15)
    assert np.nan_to_num(far[165:]).max() < 0.05


def test_the_window_is_what_the_moved_truth_covers() -> None:
    truth = PHOTOS["astronaut"]
    found = register(shifted(truth, 2, 0), truth)
    rows, columns = inside(truth.shape, found)
    assert rows.start == columns.start
    assert rows.start in (5, 6)
    maps = after_alignment(shifted(truth, 2, 0), truth).values
    assert maps["invented_aligned"].shape == truth.shape[:2]
    assert not maps["invented_aligned"][:5].any()


def test_unequal_pictures_are_refused() -> None:
    with pytest.raises(PictureError, match="expected two"):
        register(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 31, 3), np.uint8))
