"""Peak signal-to-noise ratio, exact: no epsilon, identical images give infinity."""

from collections.abc import Mapping, Sequence
from math import inf, log10
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.channels import CHANNELS, Channel, channel_named
from e2r_metrics.images import Image, PerImage, channel_peak, check_pair, check_pairs, on_channel


def psnr(restored: Image, clean: Image) -> float:
    """Return 10 log10(peak^2 / MSE) in dB over all pixels of R, G and B.

    8-bit images are summed in integers, so the value is exact to the last bit of the logarithm.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        UsageError: another shape, dtype or range, NaN, or unequal sizes.
    """
    return psnr_on(restored, clean, CHANNELS["rgb"])


def psnr_y(restored: Image, clean: Image) -> float:
    """Return PSNR in dB on Y of BT.601 at 16-235, not rounded, with peak 255 (MATLAB, BasicSR).

    Arguments and errors as `psnr`.
    """
    return psnr_on(restored, clean, CHANNELS["y"])


def psnr_y_full(restored: Image, clean: Image) -> float:
    """Return PSNR in dB on Y of BT.601 at full range (YIQ), not rounded, with peak 255.

    Arguments and errors as `psnr`. It lies 1.32 dB below `psnr_y`.
    """
    return psnr_on(restored, clean, CHANNELS["y_full"])


def psnr_on(restored: Image, clean: Image, channel: Channel) -> float:
    """Return PSNR in dB on one channel; `psnr` is that on "rgb". Arguments and errors as `psnr`."""
    check_pair(restored, clean)
    x, y = on_channel(restored, channel), on_channel(clean, channel)
    return decibel(squared_error(x, y), x.size, channel_peak(restored, channel))


def pooled_decibel(values: Sequence[float]) -> float:
    """Return the PSNR of the mean error of pictures from their PSNRs, all on one peak, in dB.

    It never exceeds the mean of the PSNRs, which papers report as often (Jensen's inequality).
    """
    return decibel(float(np.mean(shares_of_peak(values))), 1, 1.0)


def shares_of_peak(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the mean squared errors behind PSNRs in dB, as shares of the squared peak."""
    return np.power(10.0, np.asarray(values, np.float64) / -10)


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant, a channel's name; no weights, always on the CPU."""
    del files, device
    channel = channel_named(variant)

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        return np.array([psnr_on(x, y, channel) for x, y in zip(restored, clean, strict=True)])

    return measure


def squared_error(x: Image, y: Image) -> float:
    """Return the sum of squared differences; exact for uint8, float64 otherwise.

    Args:
        x: (H, W, C), uint8, float32 or float64.
        y: the same shape and dtype.
    """
    if x.dtype == np.float32:
        x, y = cast(Image, x.astype(np.float64)), cast(Image, y.astype(np.float64))
    total = cv2.norm(np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.NORM_L2SQR)
    return round(total) if x.dtype == np.uint8 else total


def error_map(x: Image, y: Image) -> npt.NDArray[np.float64]:
    """Return the squared differences by pixel, summed over channels, (H, W) float64.

    Its sum is `squared_error`. Arguments as there.
    """
    difference = x.astype(np.float64) - y
    return np.einsum("hwc,hwc->hw", difference, difference)


def decibel(error: float, count: int, top: float) -> float:
    """Return 10 log10(top^2 count / error) in dB; infinity where the squared error is 0."""
    return inf if error == 0 else 10 * log10(top * top * count / error)
