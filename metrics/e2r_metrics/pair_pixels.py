"""One pair of files to two pictures of one size and one depth, cut as a protocol says."""

from typing import Any

import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.base.pairs import Pair
from e2r_metrics.base.pictures import Reading, read_pixels
from e2r_metrics.images import to_unit
from e2r_metrics.view import View

Pixels = npt.NDArray[Any]


def read_pair(pair: Pair, reading: Reading, view: View) -> tuple[Pixels, Pixels]:
    """Return both pictures of a pair: (H, W, 3), uint8, or float32 where one file is deeper.

    Raises:
        PictureError: a file that cannot be read, two sizes, or nothing left by the view.
    """
    first = read_pixels(pair.first, reading)
    clean = first if pair.clean == pair.first else read_pixels(pair.clean, reading)
    if first.shape != clean.shape:
        raise PictureError(
            f"{pair.name}: expected restored and clean of one size, found {_size(first)} and "
            f"{_size(clean)}; resize or cut one of them"
        )
    try:
        first, clean = view.apply(first), view.apply(clean)
    except PictureError as error:
        raise PictureError(f"{pair.name}: {error}") from error
    if first.dtype == clean.dtype:
        return first, clean
    return to_unit(first), to_unit(clean)


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
