"""Without ground truth: does the restored picture, degraded again, explain the input?

Whatever in the input the degradation model cannot make out of the output was changed by the
restorer. The idea is data consistency: Bhadra et al., IEEE TMI 40 (2021). It sees only what the
input still shows: an invention inside the range of the noise, or behind dense haze, passes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from e2r_baselines.tasks import Kind, Task
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import EightBit

Map = npt.NDArray[np.float32]
"""(H, W) float32."""

MIN_SIDE = 16
_WINDOW = 5.0
_HAZE_WINDOW = 6.0
_STREAK_WIDTH = 15
"""Pixels, horizontally: rain is thinner; what is wider is not called rain."""


@dataclass(frozen=True)
class Consistency:
    """What the degradation model leaves unexplained.

    Attributes:
        values: the map; see `unit`.
        unit: "reduced chi-square" (1 where the stated noise explains the residual) or "levels".
        scores: numbers for the whole picture.
    """

    values: Map
    unit: str
    scores: Mapping[str, float]


def consistency(
    task: Task, restored: EightBit, degraded: EightBit, truncate: bool = False
) -> Consistency:
    """Compare an output with its own input under the task's degradation model.

    Args:
        task: its kind chooses the model; noise tasks state sigma.
        restored: (H, W, 3) uint8 RGB.
        degraded: the input, the same size.
        truncate: the protocol truncated noisy inputs to 8 bits instead of rounding.

    Raises:
        PictureError: unequal pictures.
        UsageError: a kind without a model (`has_model`).
    """
    check_pair(restored, degraded)
    if task.kind == "denoise" and task.sigma is not None:
        return _noise(restored, degraded, task.sigma, truncate)
    if task.kind not in _MODELS:
        raise UsageError(
            f"maps: no degradation model for {task.kind!r} tasks; there is one for "
            f"denoise, {', '.join(_MODELS)}"
        )
    values = _MODELS[task.kind](restored.astype(np.float32), degraded.astype(np.float32))
    rms = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    return Consistency(values, "levels", {"unexplained": rms})


def check_pair(restored: EightBit, clean: EightBit) -> None:
    """Raise `PictureError` unless both are (H, W, 3) uint8 of one size and large enough."""
    same = restored.shape == clean.shape and restored.dtype == clean.dtype == np.uint8
    if not same or restored.ndim != 3 or restored.shape[2] != 3:
        raise PictureError(
            "maps: expected two (H, W, 3) uint8 pictures of one size, found "
            f"{restored.shape} {restored.dtype} and {clean.shape} {clean.dtype}"
        )
    if min(restored.shape[:2]) < MIN_SIDE:
        raise PictureError(
            f"maps: expected sides of at least {MIN_SIDE} pixels, found {restored.shape[:2]}"
        )


def has_model(kind: Kind) -> bool:
    """Return whether `consistency` knows the degradation."""
    return kind == "denoise" or kind in _MODELS


def _noise(restored: EightBit, degraded: EightBit, sigma: float, truncate: bool) -> Consistency:
    """Standardise the residual, then test its local mean, variance and whiteness together.

    Under the model each of the six local statistics (a mean per channel, variance, correlation
    with the right and the lower neighbour) is standard normal, up to the clipping's kurtosis;
    the map is the mean of their squares.
    """
    mean, deviation = _clipped_normal(sigma, truncate)
    z = (degraded - mean[restored]) / deviation[restored]
    count = np.float32(4 * np.pi * _WINDOW**2)
    means = _local(z)
    squares = _local(np.mean(z * z, axis=2)) - 1
    right = _local(np.mean(z * np.roll(z, -1, axis=1), axis=2))
    below = _local(np.mean(z * np.roll(z, -1, axis=0), axis=2))
    total = count * np.sum(means * means, axis=2)
    total += 3 * count * (squares * squares / 2 + right * right + below * below)
    return Consistency(
        total / 6,
        "reduced chi-square",
        {
            "inconsistency": float(np.mean(total / 6, dtype=np.float64)),
            "residual_sd_ratio": float(np.sqrt(np.mean(np.square(z, dtype=np.float64)))),
            "residual_correlation": float(np.mean(z[:, 1:] * z[:, :-1], dtype=np.float64)),
        },
    )


@cache
def _clipped_normal(sigma: float, truncate: bool) -> tuple[Map, Map]:
    """Return mean and deviation of the 8-bit input for each clean level, (256,) float32."""
    from scipy.stats import norm

    levels = np.arange(256.0)
    # An input of k comes from [k, k + 1) or [k - 1/2, k + 1/2); the ends take the tails.
    upper = levels[:-1] + (1.0 if truncate else 0.5)
    below = norm.cdf((upper[None] - levels[:, None]) / sigma)
    chances = np.diff(below, axis=1, prepend=0, append=1)
    mean = chances @ levels
    variance = chances @ levels**2 - mean**2
    return mean.astype(np.float32), np.sqrt(np.maximum(variance, 1 / 12)).astype(np.float32)


def _rain(restored: Map, degraded: Map) -> Map:
    """Return the residual that is not rain: O = B + S with S grey, non-negative and thin."""
    residual = degraded - restored
    grey = np.maximum(residual.min(axis=2), 0)
    flat = cv2.morphologyEx(grey, cv2.MORPH_OPEN, np.ones((1, _STREAK_WIDTH), np.uint8))
    left = residual - (grey - flat)[..., None]
    return np.sqrt(_local(np.mean(left * left, axis=2), 2.0))


def _haze(restored: Map, degraded: Map) -> Map:
    """Return the residual of I = J t + A (1 - t), with t and A constant in a window, A by channel.

    The offset is free, so that a shift of colour passes; structure does not.
    """
    mean_x, mean_y = _local(restored, _HAZE_WINDOW), _local(degraded, _HAZE_WINDOW)
    var_x = _spread(restored * restored, mean_x * mean_x)
    var_y = _spread(degraded * degraded, mean_y * mean_y)
    cov = _spread(restored * degraded, mean_x * mean_y)
    slope = np.clip(cov / (var_x + np.float32(1)), 0, None)
    return np.sqrt(np.maximum(var_y - 2 * slope * cov + slope * slope * var_x, 0))


def _spread(product: Map, of_means: Map) -> Map:
    return np.mean(_local(product, _HAZE_WINDOW) - of_means, axis=2)


_MODELS: Mapping[str, Callable[[Map, Map], Map]] = MappingProxyType(
    {"derain": _rain, "dehaze": _haze, "lowlight": _haze}
)


def _local(values: npt.NDArray[np.float32], sigma: float = _WINDOW) -> Map:
    return cv2.GaussianBlur(  # pyright: ignore[reportReturnType]
        values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101
    )
