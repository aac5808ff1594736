"""Multi-scale structural similarity (Wang, Simoncelli, Bovik, Asilomar 2003)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.images import Image, PerImage, check_pair, check_pairs, peak
from e2r_metrics.ssim import contrast_structure
from e2r_metrics.ssim_terms import GAUSS

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
MIN_SIDE = 2 * GAUSS.radius * 2 ** (len(EXPONENTS) - 1) + 2 ** (len(EXPONENTS) - 1)


def ms_ssim(restored: Image, clean: Image) -> float:
    """Return MS-SSIM: products of powers over five scales by channel, then the mean over channels.

    Between scales 2x2 blocks are averaged; an odd last row or column is dropped. Negative factors
    count as 0.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        UsageError: another shape, dtype or range, NaN, unequal sizes, or a side below 176.
    """
    check_pair(restored, clean)
    if min(restored.shape[:2]) < MIN_SIDE:
        raise PictureError(
            f"MS-SSIM over {len(EXPONENTS)} scales needs sides of at least {MIN_SIDE}, found "
            f"{restored.shape[0]}x{restored.shape[1]}"
        )
    top = peak(restored)
    x, y = restored.astype(np.float64), clean.astype(np.float64)
    value = np.ones(3)
    for scale, exponent in enumerate(EXPONENTS):
        full, factor = contrast_structure(x, y, top)
        last = scale == len(EXPONENTS) - 1
        value = value * np.maximum(full if last else factor, 0.0) ** exponent
        x, y = _halved(x), _halved(y)
    return float(value.mean())


def _halved(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    height, width = x.shape[0] // 2 * 2, x.shape[1] // 2 * 2
    blocks = x[:height, :width].reshape(height // 2, 2, width // 2, 2, -1)
    return np.ascontiguousarray(blocks.mean((1, 3)))


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant; no weights, always on the CPU."""
    del variant, files, device

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([ms_ssim(x, y) for x, y in zip(restored, clean, strict=True)])

    return measure
