"""Resize policies: how a picture of any size meets a model with sizes of its own, and comes back.

Condition and output always have the same grid; diffusers' defaults would give them different ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from e2r_baselines.method import Pixels
from e2r_metrics.base.errors import UsageError

Resize = Literal["paper", "aspect", "native"]

PAPER_SIDE = 1024
# Widths and heights that FLUX.1 Kontext was trained at (Black Forest Labs, 2025).
_PREFERRED = (
    (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184),
    (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752),
    (1456, 720), (1504, 688), (1568, 672),
)  # fmt: skip


@dataclass(frozen=True)
class Fitted:
    """A picture at the size that the model is given, and the way back.

    Attributes:
        pixels: (H, W, 3) float32, both sides multiples of the model's.
        restore: takes an (H, W, 3) result to the size of the original.
    """

    pixels: Pixels
    restore: Callable[[Pixels], Pixels]


def fit(image: Pixels, policy: Resize, multiple: int) -> Fitted:
    """Bring a picture to a size that the model takes.

    Args:
        image: (h, w, 3) float32.
        policy: "paper" squashes to 1024x1024 with Lanczos, whatever the aspect; "aspect" resizes to
            the one of Kontext's preferred sizes with the nearest aspect; "native" only pads, by
            reflection, to the next multiple, and crops back.
        multiple: side of a token in pixels.

    Raises:
        UsageError: the picture is too small to be padded.
    """
    height, width = image.shape[:2]
    if policy == "native":
        return _padded(image, multiple)
    if policy == "paper":
        target = (PAPER_SIDE, PAPER_SIDE)
    else:
        target = min(_PREFERRED, key=lambda size: abs(size[0] / size[1] - width / height))
    return Fitted(lanczos(image, target), lambda result: lanczos(result, (width, height)))


def _padded(image: Pixels, multiple: int) -> Fitted:
    height, width = image.shape[:2]
    below, right = -height % multiple, -width % multiple
    if min(height, width) < 2 * multiple:
        raise UsageError(
            f"expected a picture of at least {2 * multiple}x{2 * multiple} pixels, found "
            f"{width}x{height}; use --resize aspect"
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
