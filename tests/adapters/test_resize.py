"""Resize policies: sizes that the model takes, and the way back."""

import numpy as np
import pytest

from e2r_adapters.editors import Sizes
from e2r_adapters.editors.kontext_facts import PREFERRED
from e2r_adapters.resize import fit, lanczos
from e2r_metrics.base.errors import PictureError

EIGHT, SIXTEEN = Sizes(8, 16, PREFERRED), Sizes(16, 32, PREFERRED)


def picture(height, width):
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([y / height, x / width, np.full_like(x, 0.5)], -1)


@pytest.mark.parametrize("policy", ["paper", "aspect", "native"])
def test_a_smooth_picture_comes_back(policy):
    image = picture(41, 55)
    fitted = fit(image, policy, EIGHT)
    assert all(side % 8 == 0 for side in fitted.pixels.shape[:2])
    back = fitted.restore(fitted.pixels)
    assert back.shape == image.shape
    assert np.abs(back - image).max() < 0.02


def test_paper_squashes_and_aspect_keeps_the_shape():
    # SOTS: diffusers' own defaults give 1184x880 for the condition but 1168x880 for the output.
    image = picture(413, 550)
    assert fit(image, "paper", SIXTEEN).pixels.shape == (1024, 1024, 3)
    assert fit(image, "aspect", SIXTEEN).pixels.shape == (880, 1184, 3)


def test_native_only_pads_and_crops():
    image = np.random.default_rng(0).random((33, 40, 3), dtype=np.float32)
    fitted = fit(image, "native", EIGHT)
    assert fitted.pixels.shape == (40, 40, 3)
    assert np.array_equal(fitted.restore(fitted.pixels), image)
    assert np.array_equal(fitted.pixels[33], image[31])


def test_values_outside_the_range_survive():
    image = np.full((32, 32, 3), 1.5, np.float32)
    assert np.allclose(lanczos(image, (48, 40)), 1.5, atol=1e-5)


def test_a_picture_too_small_to_pad_is_named():
    with pytest.raises(PictureError, match="at least 16x16 pixels, found 20x9"):
        fit(picture(9, 20), "native", EIGHT)
