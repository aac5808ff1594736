"""Full-reference metrics against independent implementations on the same pixels."""

import numpy as np
import piq
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab

from e2r_metrics import PictureError, haarpsi
from e2r_metrics.ciede2000 import ciede2000
from e2r_metrics.gmsd import gmsd
from e2r_metrics.l1 import l1
from e2r_metrics.vif import vif

SIZES = [(192, 208), (191, 207)]


def _tensor(image):
    return torch.from_numpy(image).permute(2, 0, 1)[None].double() / 255


@pytest.fixture(params=SIZES, ids=["even", "odd"])
def pair(request, photo, noisy):
    height, width = request.param
    return noisy(15)[:height, :width], photo[:height, :width]


def test_l1_against_numpy(pair):
    x, y = pair
    expected = np.abs(x.astype(float) - y).mean() / 255
    assert l1(x, y) == pytest.approx(expected, rel=1e-12)
    assert l1(x / 255, y / 255) == pytest.approx(expected, rel=1e-12)


def test_ciede2000_against_scikit_image(pair):
    x, y = pair
    expected = deltaE_ciede2000(rgb2lab(x), rgb2lab(y)).mean()
    assert ciede2000(x / 255, y / 255) == pytest.approx(expected, rel=1e-7)
    assert ciede2000(x, y) == pytest.approx(expected, rel=2e-6)


def test_gmsd_against_piq(pair):
    """piq divides the variance by N, the authors' code by N - 1: known, and all of the gap."""
    x, y = pair
    count = -(-x.shape[0] // 2) * -(-x.shape[1] // 2)
    theirs = float(piq.gmsd(_tensor(x), _tensor(y)))
    assert gmsd(x, y) * np.sqrt((count - 1) / count) == pytest.approx(theirs, rel=1e-12)


def test_haarpsi_against_piq(pair, monkeypatch):
    """piq has four digits of YIQ where the authors have three: known, and all of the gap."""
    x, y = pair
    theirs = float(piq.haarpsi(_tensor(x), _tensor(y)))
    assert haarpsi.haarpsi(x, y) == pytest.approx(theirs, abs=1e-5)
    digits = [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
    monkeypatch.setattr(haarpsi, "_YIQ", np.array(digits))
    assert haarpsi.haarpsi(x, y) == pytest.approx(theirs, rel=1e-12)


def test_vif_against_piq(pair):
    x, y = pair
    theirs = float(piq.vif_p(_tensor(x), _tensor(y)))
    assert vif(x, y) == pytest.approx(theirs, rel=1e-8)


def test_vif_rises_above_one_with_contrast(photo):
    dull = (photo / 2 + 60).astype(np.uint8)
    assert vif(photo, dull) > 1 > vif(dull, photo)


@pytest.mark.parametrize(("function", "side"), [(vif, 40), (gmsd, 7), (haarpsi.haarpsi, 15)])
def test_too_small_pictures_are_refused(function, side, photo):
    small = photo[:side]
    with pytest.raises(PictureError, match=f"at least {side + 1}"):
        function(small, small)
    assert np.isfinite(function(photo[: side + 1, :50], photo[: side + 1, :50]))
