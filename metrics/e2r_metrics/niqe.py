"""NIQE, the natural image quality evaluator (Mittal et al., IEEE Signal Processing Letters 2013).

Of one picture alone; lower is better.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.channels import LUMA_STUDIO
from e2r_metrics.images import Image, PerImage, check_image
from e2r_metrics.natural import GREY, Array, fitted, halved_bicubic, normalised, rounded_grey

BLOCK = 96
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


def niqe(image: Image) -> float:
    """Return NIQE as its authors' MATLAB code computes it: of rgb2gray, rounded to 8 bits.

    Blocks of 96 pixels without overlap, two scales; flat blocks count as there.

    Args:
        image: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1], which is rounded to 8 bits.

    Raises:
        PictureError: another shape, dtype or range, NaN, fewer than two blocks, or a picture
            whose blocks are all but one flat.
    """
    return _distance(_features(image, rounded_grey(image, GREY)))


def niqe_basicsr(image: Image) -> float:
    """Return NIQE of Y of BT.601 at 16-235, rounded to 8 bits, as BasicSR does; else as `niqe`."""
    return _distance(_features(image, rounded_grey(image, LUMA_STUDIO, 16.0)))


VARIANTS: Mapping[str, Callable[[Image], float]] = MappingProxyType(
    {"matlab": niqe, "basicsr": niqe_basicsr}
)


def _features(image: Image, grey: Array) -> Array:
    """Return (blocks, 36) features."""
    rows, columns = grey.shape[0] // BLOCK, grey.shape[1] // BLOCK
    if rows * columns < 2:
        raise PictureError(
            f"NIQE needs two blocks of {BLOCK}x{BLOCK} pixels at least, found "
            f"{image.shape[0]}x{image.shape[1]}"
        )
    plane, found = grey[: rows * BLOCK, : columns * BLOCK], []
    for side in (BLOCK, BLOCK // 2):
        coefficients = normalised(plane, 1.0, cv2.BORDER_REPLICATE)
        blocks = coefficients.reshape(rows, side, columns, side).swapaxes(1, 2)
        found.append(_block_features(blocks.reshape(-1, side, side)))
        plane = halved_bicubic(plane)
    return np.concatenate(found, axis=1)


def _block_features(blocks: Array) -> Array:
    """Return (blocks, 18) features of one scale."""
    flat = (len(blocks), -1)
    _, left, right, shape = _scaled(blocks.reshape(flat))
    columns = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        products = blocks * np.roll(blocks, shift, axis=(1, 2))
        mean, left, right, shape = _scaled(products.reshape(flat))
        columns += [shape, mean, left, right]
    return np.stack(columns, axis=1)


def _scaled(samples: Array) -> tuple[Array, Array, Array, Array]:
    """Return mean, scales and shape of the fits, (B,) each."""
    from scipy.special import gamma

    shape, left, right = fitted(samples)
    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    left, right = left * scale, right * scale
    return (right - left) * gamma(2 / shape) / gamma(1 / shape), left, right, shape


def _distance(features: Array) -> float:
    """Return the distance of the picture's Gaussian from that of undistorted photographs."""
    whole = features[~np.isnan(features).any(axis=1)]
    if len(whole) < 2:
        raise PictureError(
            f"NIQE needs two blocks with detail at least, found {len(whole)} of {len(features)}"
        )
    mean, covariance = _model()
    gap = mean - np.nanmean(features, axis=0)
    inverse = np.linalg.pinv((covariance + np.cov(whole, rowvar=False)) / 2)
    return float(np.sqrt(gap @ inverse @ gap))


@cache
def _model() -> tuple[Array, Array]:
    with np.load(Path(__file__).parent / "data" / "niqe.npz", allow_pickle=False) as found:
        return found["mean"], found["covariance"]


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant; it looks at the restored images alone."""
    del files, device
    function = VARIANTS[variant]

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        del clean
        for image in restored:
            check_image(image, "restored")
        return np.array([function(image) for image in restored])

    return measure
