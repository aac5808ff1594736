"""Crops of a picture in two grids, for distances over many crops (Mentzer et al., NeurIPS 2020)."""

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError


def corners(height: int, width: int, side: int) -> list[tuple[int, int]]:
    """Return (top, left) of every crop of side x side, the first grid before the second.

    In the first grid crops lie edge to edge from the origin, in the second from side // 2 down and
    across. What is too narrow for a crop at the right and at the bottom is in none.

    Raises:
        PictureError: a picture smaller than one crop.
    """
    if min(height, width) < side:
        raise PictureError(
            f"expected at least {side}x{side} pixels for crops of {side}x{side}, found "
            f"{width}x{height}"
        )
    return [
        (top, left)
        for start in (0, side // 2)
        for top in range(start, height - side + 1, side)
        for left in range(start, width - side + 1, side)
    ]


def crops(image: npt.NDArray[np.uint8], side: int) -> list[npt.NDArray[np.uint8]]:
    """Return the K crops of an (H, W, 3) picture, (side, side, 3) each, as `corners` has them.

    Raises:
        PictureError: see `corners`.
    """
    height, width = image.shape[:2]
    return [
        np.ascontiguousarray(image[top : top + side, left : left + side])
        for top, left in corners(height, width, side)
    ]
