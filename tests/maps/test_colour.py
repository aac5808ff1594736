"""CIEDE2000 and the signed error."""

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from e2r_bench.maps.colour import ciede2000, signed_error
from e2r_bench.run.data import read_clean
from e2r_bench.run.mini import mini
from e2r_metrics.ciede2000 import delta_e

# Pairs of Sharma, Wu and Dalal (2005), table 1, that sit on the formula's discontinuities.
SHARMA = [
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, -1, 2), (50, 0, 0), 2.3669),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.4410), (91.1528, -1.6435, 0.0447), 1.4441),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), SHARMA)
def test_published_pairs(first: tuple, second: tuple, expected: float) -> None:
    found = delta_e(np.array([first], np.float64), np.array([second], np.float64))
    assert float(found[0]) == pytest.approx(expected, abs=1e-4)


def test_agrees_with_scikit_image_on_photographs() -> None:
    one, two = (read_clean(source) for source in mini().sources[:2])
    expected = deltaE_ciede2000(rgb2lab(one), rgb2lab(two))
    # float32 against float64: differences reach 100, and this is at most one part in 10^5.
    np.testing.assert_allclose(ciede2000(one, two), expected, atol=1e-3)


def test_identical_pictures_and_greys_do_not_differ() -> None:
    photo = read_clean(mini().sources[0])
    assert float(ciede2000(photo, photo).max()) == 0
    grey = np.full((16, 16, 3), 90, np.uint8)
    assert np.isfinite(ciede2000(grey, np.zeros_like(grey))).all()


def test_signed_error_has_a_sign_and_is_in_levels() -> None:
    clean = np.full((16, 16, 3), 100, np.uint8)
    restored = clean.copy()
    restored[:, 8:] += 10
    found = signed_error(restored, clean)
    np.testing.assert_allclose(found[:, 8:], 10, atol=1e-4)
    np.testing.assert_allclose(signed_error(clean, restored), -found, atol=1e-4)
