"""Haar wavelet perceptual similarity (Reisenhofer et al., Signal Processing: Image Comm. 2018)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.gmsd import halved
from e2r_metrics.images import Image, PerImage, check_pair, check_pairs, peak

C, ALPHA = 30.0, 4.2
"""The constants that the paper found best."""
MIN_SIDE = 16
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""As the paper's own code rounds them."""
Plane = npt.NDArray[Any]
"""(H, W) float64."""


def haarpsi(restored: Image, clean: Image) -> float:
    """Return HaarPSI of two colour pictures, in (0, 1]; 1 for equal pictures.

    Means of 2x2 blocks first; Haar responses of luma at two scales are compared and weighed by
    those at the third, chroma (I and Q of YIQ) by its 2x2 means; zeros beyond the border.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        PictureError: another shape, dtype or range, NaN, unequal sizes, or a side below 16.
    """
    check_pair(restored, clean)
    if min(restored.shape[:2]) < MIN_SIDE:
        raise PictureError(
            f"HaarPSI needs sides of at least {MIN_SIDE}, found "
            f"{restored.shape[0]}x{restored.shape[1]}"
        )
    (y1, i1, q1), (y2, i2, q2) = _yiq(restored), _yiq(clean)
    maps, weights = [], []
    for turned in (False, True):
        one, other = _responses(y1, turned), _responses(y2, turned)
        pairs = zip(one[:2], other[:2], strict=True)
        maps.append(sum(_similar(a, b) for a, b in pairs) / 2)
        weights.append(np.maximum(one[2], other[2]))
    chroma = ((i1, i2), (q1, q2))
    maps.append(sum(_similar(abs(_box(a, 2)), abs(_box(b, 2))) for a, b in chroma) / 2)
    weights.append((weights[0] + weights[1]) / 2)
    return _pooled(np.stack(maps), np.stack(weights))


def _yiq(image: Image) -> list[Plane]:
    planes = image.astype(np.float64) @ (_YIQ.T * (255.0 / peak(image)))
    return [halved(planes[..., c]) for c in range(3)]


def _responses(plane: Plane, turned: bool) -> list[Plane]:
    """Return the magnitudes of Haar responses at scales of 2, 4 and 8 pixels."""
    return [abs(_haar(plane, 2**scale, turned)) for scale in (1, 2, 3)]


def _haar(plane: Plane, size: int, turned: bool) -> Plane:
    step, ones = np.repeat([-1.0, 1.0], size // 2), np.full(size, 1.0 / size)
    down, across = (ones, step) if turned else (step, ones)
    return _filtered(plane, across, down)


def _box(plane: Plane, size: int) -> Plane:
    return _filtered(plane, np.full(size, 1.0 / size), np.full(size, 1.0 / size))


def _filtered(plane: Plane, across: Plane, down: Plane) -> Plane:
    """Convolve as MATLAB's conv2(..., 'same') does: an even kernel reaches one pixel further on."""
    before = len(across) // 2 - 1
    return cv2.sepFilter2D(
        plane, -1, across, down, anchor=(before, before), borderType=cv2.BORDER_CONSTANT
    )


def _similar(a: Plane, b: Plane) -> Plane:
    return (2 * a * b + C) / (a * a + b * b + C)


def _pooled(maps: Plane, weights: Plane) -> float:
    """Return the squared logit of the weighted mean of sigmoids; a picture without edges is 1."""
    total = weights.sum()
    if total == 0:
        return float(maps.mean() ** 2)
    mean = float((weights / (1 + np.exp(-ALPHA * maps))).sum() / total)
    return min(float((np.log(mean / (1 - mean)) / ALPHA) ** 2), 1.0)


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant; no weights, always on the CPU."""
    del variant, files, device

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([haarpsi(x, y) for x, y in zip(restored, clean, strict=True)])

    return measure
