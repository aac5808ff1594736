"""Contact sheet of one picture: what its maps were made of, and every map, with captions."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_bench.maps.bands import Map
from e2r_bench.maps.paint import Scale, caption, paint
from e2r_metrics.base.pictures import EightBit

_NARROWEST, _WIDEST, _GAP = 160, 480, 8


def contact_sheet(
    title: str, photos: Mapping[str, EightBit], maps: Mapping[str, Map], scales: Mapping[str, Scale]
) -> EightBit:
    """Return all tiles of a picture in rows under a title, as (H, W, 3) uint8 RGB on white.

    Small pictures are enlarged by a whole factor, so that every caption fits; large ones are made
    smaller, by area. Maps keep the fixed scales of their own files.

    Args:
        title: stands above.
        photos: caption -> (h, w, 3) uint8 RGB, all of one size; they come first.
        maps: name -> (h, w) float32 of that size.
        scales: of every map, by name.
    """
    tiles = [_under(_resized(photo), name) for name, photo in photos.items()]
    tiles += [paint(_resized(values), scales[name]) for name, values in maps.items()]
    height, width = max(len(tile) for tile in tiles), tiles[0].shape[1]
    columns = min(len(tiles), max(2, round(math.sqrt(len(tiles) * height / width))))
    cells = [_padded(tile, height + _GAP, width + _GAP) for tile in tiles]
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % columns)
    rows = [np.concatenate(cells[at : at + columns], 1) for at in range(0, len(cells), columns)]
    return np.concatenate([caption(title, rows[0].shape[1]), *rows])


def _under(photo: EightBit, name: str) -> EightBit:
    return np.concatenate([photo, caption(name, photo.shape[1])])


def _resized(pixels: EightBit | Map) -> npt.NDArray[Any]:
    """Return a picture or a map, of its own kind, at a width that captions and sheet agree on."""
    height, width = pixels.shape[:2]
    if width < _NARROWEST:
        factor = math.ceil(_NARROWEST / width)
        return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    if width <= _WIDEST:
        return pixels
    size = _WIDEST, max(1, round(height * _WIDEST / width))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(pixels.dtype)


def _padded(tile: EightBit, height: int, width: int) -> EightBit:
    down, right = height - tile.shape[0], width - tile.shape[1]
    return np.pad(tile, ((0, down), (0, right), (0, 0)), constant_values=255)


def head(parts: Sequence[str]) -> str:
    """Return names as one line that the drawing's font has: what is not ASCII is escaped."""
    return ", ".join(parts).encode("ascii", "backslashreplace").decode()
