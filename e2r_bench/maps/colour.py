"""Colour differences: CIEDE2000 and the signed error."""

from functools import cache

import numpy as np

from e2r_bench.maps.bands import LUMA, Map, check_pair
from e2r_metrics.base.pictures import EightBit

_DARK = np.float32((6 / 29) ** 3)
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
_TO_WHITE_XYZ = (_TO_XYZ / _WHITE[:, None]).T.astype(np.float32)


def signed_error(restored: EightBit, clean: EightBit) -> Map:
    """Return restored minus clean in luma (BT.601, full range), levels in [-255, 255]."""
    check_pair(restored, clean)
    difference = restored.astype(np.float32) - clean.astype(np.float32)
    return np.asarray(difference @ LUMA, np.float32)


def ciede2000(restored: EightBit, clean: EightBit) -> Map:
    """Return CIEDE2000 of every pixel, sRGB under D65, all weights 1.

    Formulas and their numbers: Sharma, Wu and Dalal, Color Research and Application 30 (2005).

    Raises:
        PictureError: unequal or too small pictures.
    """
    check_pair(restored, clean)
    return delta_e(_lab(restored), _lab(clean))


def _lab(image: EightBit) -> Map:
    """Return CIELAB under D65, float32 (H, W, 3), from 8-bit sRGB by the definition.

    OpenCV's own conversion interpolates, which moves differences by up to 0.7.
    """
    xyz = _linear()[image] @ _TO_WHITE_XYZ
    f = np.where(xyz > _DARK, np.cbrt(xyz), xyz * np.float32(841 / 108) + np.float32(4 / 29))
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


@cache
def _linear() -> Map:
    """Return linear light of each 8-bit level (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    curve = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    return curve.astype(np.float32)


def delta_e(lab1: Map, lab2: Map) -> Map:
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


def _saturation(chroma: Map) -> Map:
    powered = chroma**7
    return np.sqrt(powered / (powered + np.float32(25.0**7)))


def _mean_hue(a1: Map, b1: Map, a2: Map, b2: Map, c1: Map, c2: Map) -> Map:
    """Return the mean hue angle in [0, 2 pi): the direction of the sum of unit vectors.

    Eq. 14 says it by cases; a grey colour has no hue, and the other one's is taken.
    """
    x, y = a1 * c2 + a2 * c1, b1 * c2 + b2 * c1
    grey = (c1 == 0) | (c2 == 0)
    x, y = np.where(grey, a1 + a2, x), np.where(grey, b1 + b2, y)
    return np.arctan2(y, x) % np.float32(2 * np.pi)
