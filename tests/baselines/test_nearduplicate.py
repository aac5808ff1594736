"""A training set copied at another depth is found: 16 bits are no white picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from e2r_baselines.nearduplicate import find_overlaps
from e2r_metrics.base.errors import PictureError
from e2r_metrics.base.pictures import write_png


@pytest.mark.parametrize("grey", [False, True])
def test_a_copy_in_sixteen_bits_is_found(tmp_path: Path, grey: bool) -> None:
    picture = np.asarray(data.astronaut()[40:232, 120:312])
    if grey:
        picture = picture[..., 1:2].repeat(3, 2)
    write_png(tmp_path / "train.png", picture)
    deep = picture.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "test.png"), deep[..., 0] if grey else deep[..., ::-1])
    (found,) = find_overlaps([tmp_path / "train.png"], [tmp_path / "test.png"])
    assert found.kind == "identical"


def test_a_file_that_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "not.png").write_bytes(b"nothing")
    with pytest.raises(PictureError, match=r"not\.png: expected a whole image file"):
        find_overlaps([tmp_path / "not.png"], [tmp_path / "not.png"])
