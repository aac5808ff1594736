"""Visual information fidelity in the pixel domain (Sheikh and Bovik, IEEE TIP 2006)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.channels import LUMA_FULL
from e2r_metrics.images import Image, PerImage, check_pair, check_pairs, luma

NOISE = 2.0
"""Variance of the noise of vision, on levels of 8 bits."""
MIN_SIDE = 41
_TINY = 1e-10
Plane = npt.NDArray[Any]
"""(H, W) float64."""


def vif(restored: Image, clean: Image) -> float:
    """Return VIF of `restored` with respect to `clean`; not symmetric, 1 for equal pictures.

    Four scales of full-range luma, Gaussians of 17, 9, 5 and 3 taps (sigma a fifth of them),
    windows inside the picture. Above 1 where contrast was raised. A clean picture without any
    information loses none: 1.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        PictureError: another shape, dtype or range, NaN, unequal sizes, or a side below 41.
    """
    check_pair(restored, clean)
    if min(restored.shape[:2]) < MIN_SIDE:
        raise PictureError(
            f"VIF over four scales needs sides of at least {MIN_SIDE}, found "
            f"{restored.shape[0]}x{restored.shape[1]}"
        )
    x, y = (luma(z, LUMA_FULL, 0.0).astype(np.float64, copy=False) for z in (restored, clean))
    kept = whole = 0.0
    for scale in range(4):
        taps = _gaussian(2 ** (4 - scale) + 1)
        if scale:
            x, y = (np.ascontiguousarray(_inside(z, taps)[::2, ::2]) for z in (x, y))
        more = _information(x, y, taps)
        kept, whole = kept + more[0], whole + more[1]
    return (kept + _TINY) / (whole + _TINY)


def _information(x: Plane, y: Plane, taps: Plane) -> tuple[float, float]:
    """Return the bits that vision gets of the clean picture through the restored one, and of it."""
    mean_x, mean_y = _inside(x, taps), _inside(y, taps)
    var_x = np.maximum(_inside(x * x, taps) - mean_x**2, 0)
    var_y = np.maximum(_inside(y * y, taps) - mean_y**2, 0)
    cov = _inside(x * y, taps) - mean_x * mean_y
    # x = gain y + what does not come from y
    gain = cov / (var_y + _TINY)
    rest = var_x - gain * cov
    flat, dull = var_y < _TINY, var_x < _TINY
    gain[flat | dull] = 0
    rest = np.where(flat, var_x, np.where(dull, 0, rest))
    var_y[flat] = 0
    against = gain < 0
    rest = np.maximum(np.where(against, var_x, rest), _TINY)
    gain[against] = 0
    kept = np.log2(1 + gain**2 * var_y / (rest + NOISE)).sum()
    return float(kept), float(np.log2(1 + var_y / NOISE).sum())


def _gaussian(size: int) -> Plane:
    at = np.arange(size) - size // 2
    taps = np.exp(-0.5 * (at / (size / 5)) ** 2)
    return taps / taps.sum()


def _inside(plane: Plane, taps: Plane) -> Plane:
    """Filter, and keep the windows that lie inside the picture."""
    r = len(taps) // 2
    return cv2.sepFilter2D(plane, -1, taps, taps)[r:-r, r:-r]


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant; no weights, always on the CPU."""
    del variant, files, device

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([vif(x, y) for x, y in zip(restored, clean, strict=True)])

    return measure
