"""The terms of SSIM by pixel, strip by strip in buffers that are used again, hence the speed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError

K1, K2 = 0.01, 0.03
_STRIP = 160

Array = npt.NDArray[Any]
"""float32 or float64."""


@dataclass(frozen=True)
class Window:
    """A separable window: odd number of taps that sum to 1, and the covariance normalisation."""

    taps: tuple[float, ...]
    covariance_scale: float = 1.0

    @property
    def radius(self) -> int:
        """Return how many pixels the window reaches to each side."""
        return len(self.taps) // 2


def _gaussian(sigma: float, radius: int) -> tuple[float, ...]:
    taps = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return tuple(taps / taps.sum())


GAUSS = Window(_gaussian(1.5, 5))
"""11x11 Gaussian, sigma 1.5, population covariance: MATLAB's ssim and the paper's own code."""
UNIFORM7 = Window((1 / 7,) * 7, covariance_scale=49 / 48)
"""7x7 box, sample covariance: the defaults of scikit-image."""
WINDOWS: Mapping[str, Window] = MappingProxyType(
    {
        "gauss": GAUSS,
        "gauss_sample": Window(GAUSS.taps, covariance_scale=121 / 120),
        "uniform7": UNIFORM7,
        "uniform7_population": Window(UNIFORM7.taps),
    }
)


class Terms(NamedTuple):
    """Four terms of SSIM by pixel, from local means and variances of x + y and of x - y.

    With M the squared means and V the variances, SSIM is
    (M_s + 2 C1 - M_d) (V_s + 2 C2 - V_d) / ((M_s + 2 C1 + M_d) (V_s + 2 C2 + V_d)): equal pictures
    give exactly 1, and what float32 rounds in the sum cancels between numerator and denominator.
    """

    mean_s: Array
    """M_s"""
    mean_d: Array
    """M_d"""
    var_s: Array
    """V_s + 2 C2"""
    var_d: Array
    """V_d"""


def similarity(terms: Terms, top: float) -> Array:
    """Return SSIM of one strip; overwrites the terms."""
    mean_s, mean_d, var_s, var_d = terms
    c1 = 2 * (K1 * top) ** 2
    value = np.empty_like(mean_s)
    cv2.addWeighted(mean_s, 1, mean_d, -1, c1, dst=value)
    cv2.addWeighted(mean_s, 1, mean_d, 1, c1, dst=mean_s)
    np.subtract(var_s, var_d, out=mean_d)
    var_s += var_d
    value *= mean_d
    mean_s *= var_s
    value /= mean_s
    return value


def strips(
    x: Array,
    y: Array,
    window: Window,
    top: float,
    exact: bool,
    pad: bool,
    rows: int = _STRIP,
) -> Iterator[Terms]:
    """Yield the terms of the windows inside, about `rows` rows at a time, in buffers used again.

    Columns at the border are still there unless the picture was padded, which keeps the buffers
    contiguous; the caller cuts them.
    """
    r = window.radius
    if min(x.shape[:2]) <= 2 * r:
        raise PictureError(
            f"SSIM with a {2 * r + 1}x{2 * r + 1} window needs sides above {2 * r}, "
            f"found {x.shape[0]}x{x.shape[1]}"
        )
    dtype = np.float64 if exact or x.dtype == np.float64 else np.float32
    if pad:
        x, y = (cv2.copyMakeBorder(z, r, r, r, r, cv2.BORDER_REFLECT) for z in (x, y))
    height = x.shape[0] - 2 * r
    buffers = np.empty((5, min(rows, height) + 2 * r, x.shape[1], x.shape[2]), dtype)
    for start in range(0, height, rows):
        stop = min(start + rows, height) + 2 * r
        yield _terms(x[start:stop], y[start:stop], window, top, buffers[:, : stop - start])


def _terms(x: Array, y: Array, window: Window, top: float, buffers: Array) -> Terms:
    """Fill the terms of one strip; the first buffer is for work."""
    work, mean_s, var_s, mean_d, var_d = buffers
    level_x, level_y = _level(x), _level(y)
    level = level_x + level_y
    _add_scaled(x, y, 1, -level, work)
    _filter(work, level, window, 2 * (K2 * top) ** 2, mean_s, var_s)
    level = level_x - level_y
    _add_scaled(x, y, -1, -level, work)
    _filter(work, level, window, 0.0, mean_d, var_d)
    r = window.radius
    return Terms(*(z[r:-r] for z in (mean_s, mean_d, var_s, var_d)))


def _add_scaled(x: Array, y: Array, factor: int, shift: float, out: Array) -> None:
    """Set `out` to x + factor * y + shift: conversion, sum and shift in one pass."""
    depth = cv2.CV_32F if out.dtype == np.float32 else cv2.CV_64F
    cv2.addWeighted(x, 1, y, factor, shift, dst=out, dtype=depth)


def _filter(
    values: Array, level: float, window: Window, c2: float, mean: Array, var: Array
) -> None:
    """Fill `mean` with (local mean + level)^2 and `var` with local variance + c2.

    `values` has `level` taken out, so that float32 holds, and is overwritten.
    """
    taps, r = np.array(window.taps, values.dtype), window.radius
    cv2.sepFilter2D(values, -1, taps, taps, dst=mean)
    values *= values
    scale = window.covariance_scale
    cv2.sepFilter2D(values, -1, taps, taps, dst=var, delta=c2 / scale)
    square, mean, var = values[r:-r], mean[r:-r], var[r:-r]
    np.multiply(mean, mean, out=square)
    var -= square
    if scale != 1.0:
        var *= scale
    mean += level
    mean *= mean


def _level(values: Array) -> float:
    """Return about the mean of a strip, from its middle row; any value near it does."""
    return float(np.float32(values[len(values) // 2].mean()))
