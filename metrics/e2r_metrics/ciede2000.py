"""CIEDE2000 (Sharma, Wu, Dalal, Color Research and Application 30, 2005): of pixels, and mean."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e2r_metrics.images import Image, PerImage, check_pair, check_pairs, to_uint8

Array = npt.NDArray[Any]
"""float32 or float64."""

_DARK = (6 / 29) ** 3
_WHITE = np.array([0.95047, 1.0, 1.08883])
"""D65, 2 degrees."""
_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
"""Linear sRGB to XYZ (ITU-R BT.709 primaries)."""
_TO_WHITE_XYZ = (_TO_XYZ / _WHITE[:, None]).T


def ciede2000(restored: Image, clean: Image) -> float:
    """Return the mean CIEDE2000 over pixels, sRGB under D65, all weights 1; 0 for equal pictures.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        PictureError: another shape, dtype or range, NaN, or unequal sizes.
    """
    check_pair(restored, clean)
    return float(delta_e(lab(restored), lab(clean)).mean(dtype=np.float64))


def lab(image: Image) -> Array:
    """Return CIELAB under D65, (H, W, 3), of a checked sRGB picture, by the definition.

    OpenCV's own conversion interpolates, which moves differences by up to 0.7. float64 comes out
    of float64 pictures, float32 of others.
    """
    light = _levels()[to_uint8(image)] if image.dtype == np.uint8 else _linear(image)
    xyz = light @ _TO_WHITE_XYZ.astype(light.dtype)
    f = np.where(xyz > _DARK, np.cbrt(xyz), xyz * (841 / 108) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _linear(image: Array) -> Array:
    """Return linear light of values in [0, 1] (IEC 61966-2-1)."""
    return np.where(image > 0.04045, ((image + 0.055) / 1.055) ** 2.4, image / 12.92)


@cache
def _levels() -> Array:
    return _linear(np.arange(256) / 255).astype(np.float32)


def delta_e(lab1: Array, lab2: Array) -> Array:
    """Return CIEDE2000 of two (..., 3) float CIELAB arrays."""
    light1, a1, b1 = np.moveaxis(lab1, -1, 0)
    light2, a2, b2 = np.moveaxis(lab2, -1, 0)
    # Eq. 2 to 7: a is stretched near the neutral axis.
    stretch = 1.5 - 0.5 * _saturation((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    # Eq. 8 to 11. dH^2 without angles: the squared chord less the squared chroma difference.
    d_light, d_chroma = light2 - light1, c2 - c1
    d_hue_squared = np.maximum((a2 - a1) ** 2 + (b2 - b1) ** 2 - d_chroma**2, 0)
    # 2 sqrt(c1 c2) sin(dh / 2) has the sign of the cross product.
    d_hue = np.copysign(np.sqrt(d_hue_squared), a1 * b2 - a2 * b1)
    chroma = (c1 + c2) / 2
    hue = _mean_hue(a1, b1, a2, b2, c1, c2)
    # Eq. 15 to 22.
    weight = (
        1
        - 0.17 * np.cos(hue - np.pi / 6)
        + 0.24 * np.cos(2 * hue)
        + 0.32 * np.cos(3 * hue + np.pi / 30)
        - 0.20 * np.cos(4 * hue - np.deg2rad(63))
    )
    offset = ((light1 + light2) / 2 - 50) ** 2
    s_light = 1 + 0.015 * offset / np.sqrt(20 + offset)
    s_chroma = 1 + 0.045 * chroma
    s_hue = 1 + 0.015 * chroma * weight
    turn = np.deg2rad(30) * np.exp(-(((np.rad2deg(hue) - 275) / 25) ** 2))
    rotation = -2 * _saturation(chroma) * np.sin(2 * turn)
    light, chromatic, hued = d_light / s_light, d_chroma / s_chroma, d_hue / s_hue
    squared = light**2 + chromatic**2 + hued**2 + rotation * chromatic * hued
    return np.sqrt(np.maximum(squared, 0))


def _saturation(chroma: Array) -> Array:
    powered = chroma**7
    return np.sqrt(powered / (powered + 25.0**7))


def _mean_hue(a1: Array, b1: Array, a2: Array, b2: Array, c1: Array, c2: Array) -> Array:
    """Return the mean hue angle in [0, 2 pi): the direction of the sum of unit vectors.

    Eq. 14 says it by cases; a grey colour has no hue, and the other one's is taken.
    """
    x, y = a1 * c2 + a2 * c1, b1 * c2 + b2 * c1
    grey = (c1 == 0) | (c2 == 0)
    x, y = np.where(grey, a1 + a2, x), np.where(grey, b1 + b2, y)
    return np.arctan2(y, x) % (2 * np.pi)


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant; no weights, always on the CPU."""
    del variant, files, device

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([ciede2000(x, y) for x, y in zip(restored, clean, strict=True)])

    return measure
