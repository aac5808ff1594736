"""One pair to two pictures of one size and one depth, cut as a protocol says."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.base.pairs import Pair
from e2r_metrics.base.pictures import Reading, read_pixels
from e2r_metrics.images import Image, to_unit
from e2r_metrics.view import View

Pixels = npt.NDArray[Any]


class Given(NamedTuple):
    """A pair that a caller has in hand.

    Attributes:
        name: the picture's.
        first: restored or degraded: a file, or pixels that `check_image` lets pass.
        clean: the truth, likewise.
    """

    name: str
    first: Path | Image
    clean: Path | Image


def read_pair(pair: Pair | Given, reading: Reading, view: View) -> tuple[Pixels, Pixels]:
    """Return both pictures of a pair: (H, W, 3), uint8, or float32 where one of them is deeper.

    Pixels that were given keep their depth where both have one.

    Raises:
        PictureError: a file that cannot be read, two sizes, or nothing left by the view.
    """
    first = _pixels(pair.first, reading)
    clean = first if pair.clean is pair.first else _pixels(pair.clean, reading)
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


def _pixels(side: Path | Image, reading: Reading) -> Pixels:
    return read_pixels(side, reading) if isinstance(side, Path) else side


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
