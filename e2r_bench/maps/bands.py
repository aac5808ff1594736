"""Unfaithful, lost, invented: the error split by frequency and by what the truth explains.

Pictures are split into three detail bands (differences of Gaussians of luma) and what is left
below them (RGB). In each band and window the output is regressed on the truth, out = a truth + r:

    E[(out - truth)^2] = (1 - a)^2 E[truth^2] + E[r^2]

A slope below 1 is detail that was lost; a slope above 1 is detail overdone, which counts as
invented. The residual r is split by its spectrum: the energy of its finest band, continued to the
coarser ones as white noise would go on, is leftover noise, up to twice the level that is typical of
the picture; what is beyond that is called invented. Pictures are steeper than white, so invented
structure stands out, while a faithful but noisy output does not, if its noise is roughly even. A
hallucination that is white and everywhere passes for noise, which is why noise is reported beside
the others; noise smoothed into blotches is structure that the truth lacks: invented.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import cv2
import numpy as np

from e2r_baselines.consistency import Map, check_pair
from e2r_metrics.base.pictures import EightBit

_EDGES = (0.0, 1.0, 2.0, 4.0)
"""Standard deviations, in pixels, of the Gaussians whose differences are the bands."""
_WINDOWS = (3.0, 4.0, 6.0)
"""Standard deviation of the window of local statistics, per band."""
_MARGINS = (1.0, 2.2, 3.0)
"""Residual energy, over what the finest band predicts for white noise, that white noise exceeds in
fewer than 1 of 1000 windows (simulated)."""
_TYPICAL, _SLACK = 2.0, 2.0
"""Noise is even up to this multiple of its median deviation, plus these levels."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of BT.601, full range."""
FLAG = 6.0
"""Levels from which a pixel counts as unfaithful, lost or invented in the shares."""


@dataclass(frozen=True)
class Bands:
    """The maps, in RMS levels; `noise` is the deviation of white leftover noise in luma."""

    unfaithful: Map
    lost: Map
    invented: Map
    noise: Map

    def scores(self) -> dict[str, float]:
        """Return image-level scores: RMS levels of each map, and % of pixels from `FLAG` on."""
        found = {"noise": _rms(self.noise)}
        for name in ("unfaithful", "lost", "invented"):
            values = getattr(self, name)
            found[name] = _rms(values)
            found[f"{name}_share"] = float(100 * np.mean(values >= FLAG))
        return found


def band_split(restored: EightBit, clean: EightBit) -> Bands:
    """Split the error of a restored picture.

    Args:
        restored: (H, W, 3) uint8 RGB, sides of at least 16.
        clean: the same size.

    Raises:
        PictureError: unequal or too small pictures.
    """
    check_pair(restored, clean)
    out, truth = (image.astype(np.float32) for image in (restored, clean))
    low = _blur(out - truth, _EDGES[-1])
    unfaithful = np.sqrt(np.mean(low * low, axis=2))
    pairs = list(zip(_details(out @ LUMA), _details(truth @ LUMA), strict=True))
    noise = _white_level(*pairs[0])
    lost = np.zeros_like(unfaithful)
    invented = np.zeros_like(unfaithful)
    for band, (o, t) in enumerate(pairs):
        gone, extra = _band(o, t, band, noise)
        lost += gone
        invented += extra
    return Bands(unfaithful, np.sqrt(lost), np.sqrt(invented), np.sqrt(noise))


def texture(restored: EightBit) -> Map:
    """Return the local RMS of an output's finest detail band, luma, levels: it needs no truth."""
    fine = _details(restored.astype(np.float32) @ LUMA)[0]
    return np.sqrt(_blur(fine * fine, _WINDOWS[0]))


def _blur(values: Map, sigma: float) -> Map:
    if sigma == 0:
        return values
    # Three deviations to each side: OpenCV's default for floats, four, costs a third more.
    side = 2 * round(3 * sigma) + 1
    return cv2.GaussianBlur(values, (side, side), sigma, borderType=cv2.BORDER_REFLECT_101)  # pyright: ignore[reportReturnType]


def _details(luma: Map) -> list[Map]:
    smooth = [_blur(luma, sigma) for sigma in _EDGES]
    return [fine - coarse for fine, coarse in pairwise(smooth)]


def _moments(o: Map, t: Map, band: int) -> tuple[Map, Map, Map]:
    """Return local E[t^2], E[o^2] and E[o t] of a band."""
    sigma = _WINDOWS[band]
    return _blur(t * t, sigma), _blur(o * o, sigma), _blur(o * t, sigma)


def _slope(truth: Map, cross: Map, prior: Map | np.float32) -> Map:
    """Return the local slope; where the truth has no detail, it is drawn to 1: nothing to lose."""
    return np.asarray((cross + prior) / (truth + prior), np.float32)


def _white_level(o: Map, t: Map) -> Map:
    """Return the local variance of the white noise that the finest band's residual shows."""
    truth, out, cross = _moments(o, t, 0)
    residual = _residual(truth, out, cross, _slope(truth, cross, np.float32(1)))
    level = residual / np.float32(_gain(0) ** 2)
    cap = _TYPICAL * float(np.sqrt(np.median(level))) + _SLACK
    return np.minimum(level, np.float32(cap * cap))


def _residual(truth: Map, out: Map, cross: Map, slope: Map) -> Map:
    return np.maximum(out - 2 * slope * cross + slope * slope * truth, 0)


def _band(o: Map, t: Map, band: int, noise: Map) -> tuple[Map, Map]:
    """Return the lost and the invented energy of one band, in levels squared."""
    truth, out, cross = _moments(o, t, band)
    floor = noise * np.float32(_gain(band) ** 2)
    if band > 0:
        floor = _blur(floor, _WINDOWS[band])
    slope = _slope(truth, cross, floor + np.float32(1))
    beside = np.square(slope - 1) * truth
    residual = _residual(truth, out, cross, slope)
    excess = np.maximum(residual - np.float32(_MARGINS[band]) * floor, 0)
    return np.where(slope < 1, beside, 0), excess + np.where(slope > 1, beside, 0)


def _rms(values: Map) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


@cache
def _gain(band: int) -> float:
    """Return the standard deviation of unit white noise in a band."""
    impulse = np.zeros((65, 65), np.float32)
    impulse[32, 32] = 1
    return float(np.sqrt(np.sum(np.square(_details(impulse)[band], dtype=np.float64))))
