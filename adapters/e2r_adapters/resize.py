"""Resize policies: how a picture of any size meets a model with sizes of its own, and comes back.

Condition and output always have the same grid; diffusers' defaults would give them different ones.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from e2r_adapters.editors.editor import Resize, Sizes
from e2r_baselines.method import Pixels
from e2r_metrics.base.errors import PictureError

PAPER_SIDE = 1024
ICEDIT_WIDTH = 512
MEGAPIXEL_STEP = 32


@dataclass(frozen=True)
class Fitted:
    """A picture at the size that the model is given, and the way back.

    Attributes:
        pixels: (H, W, 3) float32, both sides multiples of the model's.
        restore: takes an (H, W, 3) result to the size of the original.
    """

    pixels: Pixels
    restore: Callable[[Pixels], Pixels]


def fit(image: Pixels, policy: Resize, sizes: Sizes) -> Fitted:
    """Bring a picture to a size that the model takes.

    Args:
        image: (h, w, 3) float32.
        policy: "paper" squashes to 1024x1024 with Lanczos, whatever the aspect; "aspect" resizes to
            the one of the model's preferred sizes with the nearest aspect; "icedit", ICEdit's
            inference, makes it 512 wide and as high as the aspect allows in whole multiples;
            "megapixel" is Qwen-Image-Edit's rule, see `megapixel`; "native" only pads, by
            reflection, to the next multiple, and crops back.
        sizes: what the model takes.

    Raises:
        PictureError: the picture is too small to be padded.
    """
    height, width = image.shape[:2]
    if policy == "native":
        return _padded(image, sizes)
    if policy == "paper":
        target = (PAPER_SIDE, PAPER_SIDE)
    elif policy == "icedit":
        rows = ICEDIT_WIDTH * height // width // sizes.multiple * sizes.multiple
        target = (ICEDIT_WIDTH, max(rows, sizes.least))
    elif policy == "megapixel":
        target = megapixel(width, height)
    else:
        target = min(sizes.preferred, key=lambda size: abs(size[0] / size[1] - width / height))
    return Fitted(lanczos(image, target), lambda result: lanczos(result, (width, height)))


def megapixel(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) that Qwen-Image-Edit's pipelines give a picture.

    1024^2 pixels at its aspect, each side rounded to 32: the aspect moves by up to 1.5%.
    """
    wide = math.sqrt(PAPER_SIDE**2 * (width / height))
    rounded = (round(side / MEGAPIXEL_STEP) for side in (wide, wide / (width / height)))
    across, down = (max(1, count) * MEGAPIXEL_STEP for count in rounded)
    return across, down


def _padded(image: Pixels, sizes: Sizes) -> Fitted:
    height, width = image.shape[:2]
    below, right = -height % sizes.multiple, -width % sizes.multiple
    if min(height, width) < sizes.least:
        raise PictureError(
            f"expected a picture of at least {sizes.least}x{sizes.least} pixels, found "
            f"{width}x{height}; use --set resize=aspect"
        )
    if not (below or right):
        return Fitted(image, lambda result: result)
    padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REFLECT_101)
    return Fitted(np.asarray(padded, np.float32), lambda result: result[:height, :width])


def lanczos(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize to (width, height) with Pillow's Lanczos, in float: nothing is rounded or clipped."""
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS))
        for plane in np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    ]
    return np.stack(planes, axis=-1)
