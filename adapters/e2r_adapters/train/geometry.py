"""One geometry for both pictures of a pair: a window, a mirror, quarter turns; pixels only move.

No step resamples, so what is one pixel in both stays one pixel in both, at any size.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Geometry:
    """Where the pixels of a picture go.

    Attributes:
        top, left: of the window.
        side: of the window, in pixels.
        mirrored: from left to right, after the window is cut.
        turns: counter-clockwise quarters, after that.
    """

    top: int
    left: int
    side: int
    mirrored: bool = False
    turns: int = 0


def draw_geometry(
    size: tuple[int, int], side: int, augment: Collection[str], rng: np.random.Generator
) -> Geometry:
    """Draw a geometry for pictures of a size.

    Args:
        size: (height, width) of both pictures, each at least `side`.
        side: of the window.
        augment: which of "flip" and "turn" are drawn; the window always is.
        rng: every draw comes from it, the same number of them whatever is asked for.
    """
    top, left = (int(rng.integers(whole - side + 1)) for whole in size)
    mirrored, turns = bool(rng.integers(2)), int(rng.integers(4))
    return Geometry(
        top, left, side, mirrored and "flip" in augment, turns if "turn" in augment else 0
    )


def moved(picture: npt.NDArray[Any], how: Geometry) -> npt.NDArray[Any]:
    """Return an (H, W, ...) picture of any dtype as (side, side, ...)."""
    rows, columns = (slice(start, start + how.side) for start in (how.top, how.left))
    window = picture[rows, columns]
    if how.mirrored:
        window = window[:, ::-1]
    return np.ascontiguousarray(np.rot90(window, how.turns))
