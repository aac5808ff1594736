"""Captions of map pictures: whole, however narrow the picture is."""

import numpy as np
import pytest

from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.paint import _PAD, _width, _wrapped, caption, paint
from e2r_bench.maps.sheet import contact_sheet, head


@pytest.mark.parametrize("width", [64, 128, 481])
@pytest.mark.parametrize("name", SCALES)
def test_captions_fit_and_lose_nothing(name: str, width: int) -> None:
    scale = SCALES[name]
    title = f"{scale.title}, {scale.unit}" if scale.unit else scale.title
    lines = _wrapped(title, width - 2 * _PAD)
    assert "".join(lines).replace(" ", "") == title.replace(" ", "")
    assert all(_width(line) <= width - 2 * _PAD for line in lines)
    painted = paint(np.zeros((40, width), np.float32), scale)
    assert painted.shape[1] == width
    # The last line is inside: the lowest rows and the last column hold no ink.
    assert (painted[-1] == 255).all()
    assert (painted[40:, -1] == 255).all(), "nothing is cut off at the right"


def test_a_word_wider_than_the_picture_is_broken_and_whole() -> None:
    name = "a_very_long_name_without_any_space_in_it" * 3
    lines = _wrapped(f"of {name}", 120)
    assert "".join(lines) == f"of{name}"
    assert all(_width(line) <= 120 for line in lines)
    assert len(caption(name, 128)) == 13 * len(_wrapped(name, 120)) + 2 * _PAD


@pytest.mark.parametrize(("height", "width"), [(40, 48), (96, 200), (300, 1200)])
def test_contact_sheet_holds_every_tile_at_one_size(height: int, width: int) -> None:
    photo = np.zeros((height, width, 3), np.uint8)
    photos = {"input": photo, "restored": photo + 80, "ground truth": photo + 160}
    maps = {name: np.full((height, width), 7, np.float32) for name in SCALES}
    sheet = contact_sheet(head(("m\u00e9thode", "derain", "x" * 90)), photos, maps, SCALES)
    assert (sheet[:, -1] == 255).all(), "no caption is cut off"
    factor = -(-160 // width) if width < 160 else min(1, 480 / width)
    area = round(height * factor) * round(width * factor)
    shown = [int((sheet == level).all(axis=-1).sum()) for level in (80, 160)]
    # Ink of captions may have the same grey.
    assert all(area <= count < area * 1.1 for count in shown)


def test_a_head_is_of_letters_that_the_font_has() -> None:
    assert head(("m\u00e9thode", "derain")) == "m\\xe9thode, derain"
