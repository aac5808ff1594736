"""Peak signal-to-noise ratio, exact: no epsilon, identical images give infinity."""

from collections.abc import Callable, Mapping, Sequence
from math import inf, log10
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.images import (
    LUMA_FULL,
    LUMA_STUDIO,
    Image,
    PerImage,
    check_pair,
    check_pairs,
    luma,
    peak,
)


def psnr(restored: Image, clean: Image) -> float:
    """Return 10 log10(peak^2 / MSE) in dB over all pixels of R, G and B.

    8-bit images are summed in integers, so the value is exact to the last bit of the logarithm.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        UsageError: another shape, dtype or range, NaN, or unequal sizes.
    """
    check_pair(restored, clean)
    return _decibel(_squared_error(restored, clean), restored.size, peak(restored))


def psnr_y(restored: Image, clean: Image) -> float:
    """Return PSNR in dB on Y of BT.601 at 16-235, not rounded, with peak 255 (MATLAB, BasicSR).

    Arguments and errors as `psnr`.
    """
    return _on_luma(restored, clean, LUMA_STUDIO, 16.0)


def psnr_y_full(restored: Image, clean: Image) -> float:
    """Return PSNR in dB on Y of BT.601 at full range (YIQ), not rounded, with peak 255.

    Arguments and errors as `psnr`. It lies 1.32 dB below `psnr_y`.
    """
    return _on_luma(restored, clean, LUMA_FULL, 0.0)


VARIANTS: Mapping[str, Callable[[Image, Image], float]] = {
    "rgb": psnr,
    "y": psnr_y,
    "y_full": psnr_y_full,
}


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant; no weights, always on the CPU."""
    del files, device
    function = VARIANTS[variant]

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([function(x, y) for x, y in zip(restored, clean, strict=True)])

    return measure


def _on_luma(
    restored: Image, clean: Image, weights: tuple[float, float, float], offset: float
) -> float:
    check_pair(restored, clean)
    x, y = luma(restored, weights, offset), luma(clean, weights, offset)
    return _decibel(_squared_error(x, y), x.size, 255.0)


def _squared_error(x: Image, y: Image) -> float:
    if x.dtype == np.float32:
        x, y = cast(Image, x.astype(np.float64)), cast(Image, y.astype(np.float64))
    total = cv2.norm(np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.NORM_L2SQR)
    return round(total) if x.dtype == np.uint8 else total


def _decibel(squared_error: float, count: int, top: float) -> float:
    return inf if squared_error == 0 else 10 * log10(top * top * count / squared_error)
