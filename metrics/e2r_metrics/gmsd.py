"""Gradient magnitude similarity deviation (Xue et al., IEEE TIP 2014)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.channels import LUMA_FULL
from e2r_metrics.images import Image, PerImage, check_pair, check_pairs, luma

CONSTANT = 170.0
"""T of the paper, on levels of 8 bits."""
MIN_SIDE = 8
_PREWITT = np.array([[1, 0, -1]] * 3, np.float64) / 3
Plane = npt.NDArray[Any]
"""(H, W) float64."""


def gmsd(restored: Image, clean: Image) -> float:
    """Return the standard deviation of the gradient similarity; 0 for equal pictures.

    Full-range luma is averaged over 2x2 blocks, its gradient is Prewitt's, both with zeros beyond
    the border, and the deviation has N - 1, as in the authors' MATLAB code; luma is not rounded.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        PictureError: another shape, dtype or range, NaN, unequal sizes, or a side below 8.
    """
    check_pair(restored, clean)
    if min(restored.shape[:2]) < MIN_SIDE:
        raise PictureError(
            f"GMSD needs sides of at least {MIN_SIDE}, found "
            f"{restored.shape[0]}x{restored.shape[1]}"
        )
    x, y = (_gradient(halved(luma(z, LUMA_FULL, 0.0))) for z in (restored, clean))
    similarity = (2 * x * y + CONSTANT) / (x * x + y * y + CONSTANT)
    return float(similarity.std(ddof=1))


def halved(plane: Plane) -> Plane:
    """Return means of 2x2 blocks of (H, W), with zeros beyond an odd last row or column."""
    height, width = plane.shape
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)))
    blocks = padded.reshape((height + 1) // 2, 2, (width + 1) // 2, 2)
    return blocks.mean((1, 3))


def _gradient(plane: Plane) -> Plane:
    across, down = (
        cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_CONSTANT)
        for kernel in (_PREWITT, np.ascontiguousarray(_PREWITT.T))
    )
    return np.hypot(across, down)


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant; no weights, always on the CPU."""
    del variant, files, device

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([gmsd(x, y) for x, y in zip(restored, clean, strict=True)])

    return measure
