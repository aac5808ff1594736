"""Statistics of natural scenes: normalised coefficients and the densities that fit them."""

from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.images import Image, to_uint8

Array = npt.NDArray[Any]
"""float64."""

GREY = (0.298936021293775, 0.587043074451121, 0.114020904255103)
"""MATLAB's rgb2gray."""
_TAPS = np.exp(-0.5 * (np.arange(-3, 4) / (7 / 6)) ** 2)
_WINDOW = _TAPS / _TAPS.sum()
_ROUNDING = 1e-9


class Fit(NamedTuple):
    """Asymmetric generalised Gaussians (Lasmar et al., ICIP 2009): one number for each sample."""

    shape: Array
    left: Array
    right: Array
    """Root mean squares of the negative and of the positive values."""


def rounded_grey(image: Image, weights: tuple[float, float, float], offset: float = 0.0) -> Array:
    """Return grey in whole levels of 8 bits, half rounded up as MATLAB does: float64 (H, W)."""
    return np.floor(to_uint8(image) @ np.array(weights) + (offset + 0.5))


def normalised(plane: Array, constant: float, border: int) -> Array:
    """Return (x - mean) / (deviation + constant) in 7x7 Gaussian windows of sigma 7/6.

    Flat areas are exactly zero: elsewhere rounding decides their sign, by the million, and what is
    counted by sign moves with it.

    Args:
        plane: float64 (H, W).
        constant: what keeps flat areas finite; 1 on levels of 8 bits.
        border: of OpenCV: what lies beyond the picture.
    """
    mean = cv2.sepFilter2D(plane, -1, _WINDOW, _WINDOW, borderType=border)
    square = cv2.sepFilter2D(plane * plane, -1, _WINDOW, _WINDOW, borderType=border)
    square -= mean * mean
    np.sqrt(np.abs(square, out=square), out=square)
    square += constant
    rest = plane - mean
    rest[np.abs(rest) < _ROUNDING * constant] = 0.0
    return np.divide(rest, square, out=square)


def halved_bicubic(plane: Array) -> Array:
    """Return float64 (ceil(H / 2), ceil(W / 2)): MATLAB's imresize(x, 0.5), with antialias."""
    taps = _cubic(np.arange(-3.5, 4) / 2)
    taps /= taps.sum()
    filtered = cv2.sepFilter2D(plane, -1, taps, taps, anchor=(3, 3), borderType=cv2.BORDER_REFLECT)
    return np.ascontiguousarray(filtered[::2, ::2])


def _cubic(at: Array) -> Array:
    """Keys' kernel with a = -1/2."""
    x = np.abs(at)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def fitted(samples: Array) -> Fit:
    """Fit (B, N) samples by moments; the shape is looked up in steps of 0.001 from 0.2 to 10.

    A sample without negative or positive values has NaN for what they decide, and shape 0.2, as
    in the authors' code.
    """
    ratio, left, right = moments(samples)
    shapes, ratios = shape_table()
    after = np.clip(np.searchsorted(ratios, ratio), 1, len(ratios) - 1)
    nearer = ratio - ratios[after - 1] <= ratios[after] - ratio
    return Fit(np.where(np.isnan(ratio), shapes[0], shapes[after - nearer]), left, right)


def moments(samples: Array, zero_is_right: bool = False) -> tuple[Array, Array, Array]:
    """Return R of Lasmar et al., and the root mean squares to the left and right, (B,) each."""
    negative = np.minimum(samples, 0.0)
    square, below = _squares(samples), _squares(negative)
    count = samples.shape[1]
    size = (samples.sum(1) - 2 * negative.sum(1)) / count
    fewer = (samples < 0).sum(1)
    more = count - fewer if zero_is_right else (samples > 0).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        left, right = np.sqrt(below / fewer), np.sqrt((square - below) / more)
        g = left / right
        ratio = size**2 / (square / count) * (g**3 + 1) * (g + 1) / (g**2 + 1) ** 2
    return ratio, left, right


def _squares(samples: Array) -> Array:
    return np.einsum("bn,bn->b", samples, samples)


@cache
def shape_table() -> tuple[Array, Array]:
    """Return shapes and their ratio Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)), which rises."""
    from scipy.special import gamma

    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
