"""What MUSIQ looks at: patches of a picture at three sizes, and where each of them lies."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from e2r_metrics.base.errors import PictureError
from e2r_metrics.images import Image, to_unit

PATCH, GRID = 32, 10
LONGER_SIDES = (224, 384)
"""The two sizes beside the picture's own."""
_RADIUS, _SIGMA = 1.5, 0.5
"""TensorFlow's Gaussian kernel of resizing, in pixels of the input."""

Array = npt.NDArray[np.float32]


class Patches(NamedTuple):
    """N patches of all sizes.

    Attributes:
        pixels: float32 (N, 3, 32, 32) RGB in [-1, 1], 0 beyond the picture.
        places: int64 (N,), below 100: the cell of a 10x10 grid over the picture.
        scales: int64 (N,): 0 and 1 for `LONGER_SIDES`, 2 for the picture's own size.
    """

    pixels: Tensor
    places: Tensor
    scales: Tensor


def prepare(image: Image) -> Patches:
    """Return the patches of a checked picture, (H, W, 3).

    Raises:
        PictureError: so narrow that a smaller size has no pixel across.
    """
    whole = to_unit(image) * 2 - 1
    sizes = [gaussian_resize(whole, *_size(whole, longer)) for longer in LONGER_SIDES]
    parts = [_cut(pixels) for pixels in (*sizes, whole)]
    scales = [np.full(len(places), scale) for scale, (_, places) in enumerate(parts)]
    pixels = np.concatenate([part for part, _ in parts]).transpose(0, 3, 1, 2)
    places = np.concatenate([part for _, part in parts])
    return Patches(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.from_numpy(places),
        torch.from_numpy(np.concatenate(scales)),
    )


def _size(pixels: Array, longer: int) -> tuple[int, int]:
    """Return height and width with that longer side, rounded half to even in float32."""
    height, width = pixels.shape[:2]
    ratio = np.float32(longer) / np.float32(max(height, width))
    size = int(np.rint(np.float32(height) * ratio)), int(np.rint(np.float32(width) * ratio))
    if min(size) < 1:
        raise PictureError(
            f"MUSIQ looks at pictures with a longer side of {longer}; expected one pixel across "
            f"at least, found {height}x{width}"
        )
    return size


def gaussian_resize(pixels: Array, height: int, width: int) -> Array:
    """Return (height, width, C) from float32 (H, W, C), as `tf.image.resize` by "gaussian".

    Sampled at half-pixel centres, without antialias, weights inside the picture made to sum to 1.
    """
    rows, columns = (_weights(*n) for n in ((pixels.shape[0], height), (pixels.shape[1], width)))
    return np.einsum("hy,yxc->hxc", rows, np.einsum("wx,yxc->ywc", columns, pixels, optimize=True),
                     optimize=True)  # fmt: skip


def _weights(source: int, target: int) -> Array:
    """Return the (target, source) weights of one axis; TensorFlow finds centres in float32."""
    step = np.float32(1) / (np.float32(target) / np.float32(source))
    centres = (np.arange(target, dtype=np.float32) + np.float32(0.5)) * step
    away = np.abs(np.arange(source, dtype=np.float32) + np.float32(0.5) - centres[:, None])
    weights = np.where(away < _RADIUS, np.exp(-(away**2) / (2 * _SIGMA**2)), 0.0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _cut(pixels: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return (n, 32, 32, 3) patches by rows, the picture in the middle of zeros, and places."""
    counts = [-(-side // PATCH) for side in pixels.shape[:2]]
    spare = [count * PATCH - side for count, side in zip(counts, pixels.shape[:2], strict=True)]
    whole = np.pad(pixels, [*((part // 2, part - part // 2) for part in spare), (0, 0)])
    rows, columns = counts
    patches = whole.reshape(rows, PATCH, columns, PATCH, 3).swapaxes(1, 2)
    places = _cells(rows)[:, None] * GRID + _cells(columns)
    return patches.reshape(-1, PATCH, PATCH, 3), places.ravel()


def _cells(count: int) -> npt.NDArray[np.int64]:
    """Return the row or column of the grid for each of `count` patches: nearest, in float32."""
    cells = np.floor(np.arange(count, dtype=np.float32) * (np.float32(GRID) / np.float32(count)))
    return np.minimum(cells, GRID - 1).astype(np.int64)
