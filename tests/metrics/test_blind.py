"""NIQE and BRISQUE: against arithmetic written out, and against numbers of the peers' own code."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import convolve
from scipy.special import gamma
from skimage import data

from e2r_metrics import CATALOG, PictureError, UsageError, natural
from e2r_metrics.brisque import live_features, pypi_features, read_machine
from e2r_metrics.niqe import _model, niqe, niqe_basicsr

# Grey as the variant forms it, handed to the peer's own arithmetic (BasicSR 1.4.2 in float64 with
# MATLAB's reduction; brisque 0.2.0), on pictures that every scikit-image has.
BASICSR = {"astronaut": 3.094773, "coffee": 5.735239, "chelsea": 2.625527}
PYPI = {"astronaut": -4.376596, "coffee": 8.632367, "chelsea": 3.376910}


def picture(name):
    return np.ascontiguousarray(getattr(data, name)()[:384, :384])


def _shape(samples):
    shapes = np.arange(0.2, 10.001, 0.001)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    left = np.sqrt(np.mean(samples[samples < 0] ** 2))
    right = np.sqrt(np.mean(samples[samples > 0] ** 2))
    g = left / right
    ratio = np.mean(np.abs(samples)) ** 2 / np.mean(samples**2)
    ratio *= (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    return shapes[np.argmin((ratios - ratio) ** 2)], left, right


def _block(block):
    """One block's 18 features, by the paper."""
    found = []
    for shift in (None, (0, 1), (1, 0), (1, 1), (1, -1)):
        samples = block if shift is None else block * np.roll(block, shift, axis=(0, 1))
        shape, left, right = _shape(samples.ravel())
        scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
        left, right = left * scale, right * scale
        mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
        found += [shape, (left + right) / 2] if shift is None else [shape, mean, left, right]
    return found


def _by_loops(grey):
    at = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
    window = np.outer(at, at) / at.sum() ** 2
    rows, columns = grey.shape[0] // 96, grey.shape[1] // 96
    plane, scales = grey[: rows * 96, : columns * 96], []
    for side in (96, 48):
        mean = convolve(plane, window, mode="nearest")
        spread = np.sqrt(np.abs(convolve(plane**2, window, mode="nearest") - mean**2))
        x = (plane - mean) / (spread + 1)
        corners = [(side * r, side * c) for r in range(rows) for c in range(columns)]
        scales.append([_block(x[r : r + side, c : c + side]) for r, c in corners])
        plane = natural.halved_bicubic(plane)
    features = np.concatenate(scales, axis=1)
    mean, covariance = _model()
    gap = mean - features.mean(0)
    middle = (covariance + np.cov(features, rowvar=False)) / 2
    return np.sqrt(gap @ np.linalg.pinv(middle) @ gap)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_niqe_by_loops(name):
    image = picture(name)
    grey = image @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
    assert niqe(image) == pytest.approx(_by_loops(np.floor(grey + 0.5)), abs=0.03)
    luma = np.round(image @ np.array([65.481, 128.553, 24.966]) / 255 + 16)
    assert niqe_basicsr(image) == pytest.approx(_by_loops(luma), abs=0.03)


def test_niqe_by_loops_to_the_last_digits_where_nothing_is_flat(noisy):
    grey = natural.rounded_grey(noisy(6), natural.GREY)
    assert niqe(noisy(6)) == pytest.approx(_by_loops(grey), rel=1e-9)


def test_halving_against_a_matrix():
    """MATLAB's imresize(x, 0.5) written out: 8 weights of Keys' cubic, mirrored at the border."""
    plane = expected = np.random.default_rng(0).uniform(0, 255, (12, 9))
    for axis in (0, 1):
        size = plane.shape[axis]
        centres = (np.arange(-(-size // 2)) + 0.5) * 2 - 0.5
        at = np.floor(centres)[:, None] + np.arange(-3, 5)
        x = np.abs((centres[:, None] - at) / 2)
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        weights = np.where(x <= 1, near, np.where(x <= 2, far, 0))
        weights /= weights.sum(1, keepdims=True)
        mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
        index = mirror[at.astype(int) % (2 * size)]
        whole = np.zeros((len(centres), size))
        np.add.at(whole, (np.arange(len(centres))[:, None], index), weights)
        expected = whole @ expected if axis == 0 else expected @ whole.T
    assert np.allclose(natural.halved_bicubic(plane), expected, atol=1e-10)


@pytest.mark.parametrize("name", BASICSR)
def test_niqe_against_basicsr(name):
    assert niqe_basicsr(picture(name)) == pytest.approx(BASICSR[name], abs=0.06)


@pytest.mark.parametrize("name", PYPI)
def test_brisque_against_the_package(name, session):
    row = CATALOG["brisque:pypi"]
    if gone := session.missing(row):
        pytest.skip(f"{gone.reason}; {gone.command}")
    value = session.per_image(row, [picture(name)], [])[0]
    assert value == pytest.approx(PYPI[name], abs=0.05)


def test_niqe_and_brisque_rise_with_noise_and_blur(photo, noisy, session):
    blurred = cv2.GaussianBlur(photo, (0, 0), 3)
    metrics = [CATALOG["niqe:matlab"], CATALOG["niqe:basicsr"], CATALOG["brisque:live"]]
    for metric in metrics:
        if gone := session.missing(metric):
            pytest.skip(f"{gone.reason}; {gone.command}")
        clean, noise, blur = session.per_image(metric, [photo, noisy(40), blurred], [])
        assert min(noise, blur) > clean, metric.id


def test_flat_areas_do_not_decide_by_rounding(photo):
    """A saturated area counts as zero whatever its level: shifting the level moves nothing."""
    features = []
    for level in (250, 255):
        image = photo.copy()
        image[:, :100] = level
        image[:, 90:110] = photo[:, 90:110]
        features.append((live_features(image), pypi_features(image)))
    signs = natural.normalised(np.full((32, 32), 250.3), 1.0, cv2.BORDER_REPLICATE)
    assert not signs.any()
    assert np.isfinite(features).all()


def test_small_and_flat_pictures_are_refused(photo):
    with pytest.raises(PictureError, match="two blocks of 96x96"):
        niqe(photo[:150, :150])
    with pytest.raises(PictureError, match="with detail"):
        niqe(np.full((200, 200, 3), 7, np.uint8))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected support vectors"),
        ("kernel_type rbf\ngamma 0.05\nSV\n1 1:2\n", "expected support vectors"),
        ("kernel_type linear\ngamma 0.05\nrho 1\nSV\n1 1:2\n", "Gaussian kernel"),
        ("kernel_type rbf\ngamma 0.05\nrho 1\nSV\n1 37:2\n", "expected support vectors"),
        ("kernel_type rbf\ngamma 0.05\nrho 1\nSV\n1 one:2\n", "expected support vectors"),
    ],
)
def test_other_files_are_no_support_vectors(tmp_path, text, said):
    path = tmp_path / "model"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_machine(path)


def test_what_a_file_of_vectors_leaves_out_is_zero(tmp_path):
    path = tmp_path / "model"
    path.write_text("kernel_type rbf\ngamma 0.5\nrho -3\nSV\n2 1:1 36:-1\n-1 2:0.5\n")
    machine = read_machine(path)
    expected = 2 * np.exp(-0.5 * 2) - np.exp(-0.5 * 0.25) + 3
    assert machine.predict(np.zeros(36)) == pytest.approx(expected, rel=1e-12)
