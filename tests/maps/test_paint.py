"""Captions of map pictures: whole, however narrow the picture is."""

import numpy as np
import pytest

from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.paint import _PAD, _width, _wrapped, paint


@pytest.mark.parametrize("width", [64, 128, 481])
@pytest.mark.parametrize("name", SCALES)
def test_captions_fit_and_lose_nothing(name: str, width: int) -> None:
    scale = SCALES[name]
    title = f"{scale.title}, {scale.unit}" if scale.unit else scale.title
    lines = _wrapped(title, width - 2 * _PAD)
    assert " ".join(lines) == title
    words = [line for line in lines if " " in line]
    assert all(_width(line) <= width - 2 * _PAD for line in words)
    painted = paint(np.zeros((40, width), np.float32), scale)
    assert painted.shape[1] == width
    # The last line is inside: the lowest rows hold no ink.
    assert (painted[-1] == 255).all()
    if width >= 128:
        assert all(_width(line) <= width - 2 * _PAD for line in lines)
        assert (painted[40:, -1] == 255).all(), "nothing is cut off at the right"
