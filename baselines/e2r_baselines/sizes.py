"""Sizes: pad to what a network needs and crop back, or cut into overlapping tiles and blend."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from e2r_baselines.method import Pixels

Padding = Literal["reflect", "edge", "zero"]
"""What stands beyond the right and lower border; NumPy's mode names, "zero" for constant zeros."""

_OVERLAP = 0.25


def pad_to_multiple(pixels: Pixels, multiple: int, padding: Padding, smallest: int = 1) -> Pixels:
    """Extend the right and lower border until both sides are multiples of `multiple`.

    Args:
        pixels: (H, W, C) float32, any size from 1x1.
        multiple: what both sides shall be divisible by.
        padding: what stands in the new pixels; "reflect" repeats itself on pictures smaller than
            the border.
        smallest: no side is left shorter than this; itself a multiple of `multiple`.

    Returns:
        (H', W', C) with the picture in its upper left corner; the picture itself if it fits.
    """
    height, width = pixels.shape[:2]
    down, right = (max(-side % multiple, smallest - side) for side in (height, width))
    if down == right == 0:
        return pixels
    border = ((0, down), (0, right), (0, 0))
    return np.pad(pixels, border, mode="constant" if padding == "zero" else padding)


def tiled(pixels: Pixels, tile: int, run: Callable[[Pixels], Pixels]) -> Pixels:
    """Run on overlapping square tiles and blend them by linear ramps.

    This is another method than `run` on the whole: what is global in a network (channel attention,
    prompts, mean colours) sees one tile.

    Args:
        pixels: (H, W, C) float32.
        tile: side of a tile in pixels; tiles overlap by a quarter of it.
        run: maps a tile to a picture of the same size.

    Returns:
        (H, W, C) float32; `run(pixels)` if one tile holds it all.
    """
    height, width = pixels.shape[:2]
    if height <= tile and width <= tile:
        return run(pixels)
    total = np.zeros_like(pixels)
    weight = np.zeros((height, width, 1), np.float32)
    for rows in spans(height, tile):
        for columns in spans(width, tile):
            share = np.outer(ramp(rows, height), ramp(columns, width))[..., None]
            total[rows, columns] += share * run(pixels[rows, columns])
            weight[rows, columns] += share
    return total / weight


def spans(length: int, tile: int, multiple: int = 1) -> Iterator[slice]:
    """Yield intervals of `tile` that cover `length`, the last one flush with its end.

    They overlap by a quarter or more and begin at multiples of `multiple`, if that divides both.
    """
    if length <= tile:
        yield slice(0, length)
        return
    step = max(1, (tile - int(tile * _OVERLAP)) // multiple) * multiple
    starts = [*range(0, length - tile, step), length - tile]
    yield from (slice(start, start + tile) for start in starts)


def ramp(span: slice, length: int) -> npt.NDArray[np.float32]:
    """Return weights over one interval that fall towards every end inside the picture."""
    size = span.stop - span.start
    ramp = np.ones(size, np.float32)
    overlap = max(1, int(size * _OVERLAP))
    rise = (np.arange(overlap, dtype=np.float32) + 1) / (overlap + 1)
    if span.start > 0:
        ramp[:overlap] *= rise
    if span.stop < length:
        ramp[-overlap:] *= rise[::-1]
    return ramp
