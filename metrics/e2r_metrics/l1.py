"""Mean absolute error on [0, 1]: the "L1" of image editing's tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.images import Image, PerImage, check_pair, check_pairs, peak


def l1(restored: Image, clean: Image) -> float:
    """Return the mean of |restored - clean| over pixels and channels, with white at 1.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        PictureError: another shape, dtype or range, NaN, or unequal sizes.
    """
    check_pair(restored, clean)
    x, y = (np.ascontiguousarray(z) for z in (restored, clean))
    return cv2.norm(x, y, cv2.NORM_L1) / (x.size * peak(restored))


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant; no weights, always on the CPU."""
    del variant, files, device

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([l1(x, y) for x, y in zip(restored, clean, strict=True)])

    return measure
