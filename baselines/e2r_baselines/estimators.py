"""What is wrong with a picture, seen from it alone: one number a degradation, 1 where it shows.

Plain estimators, no network: what a planner without a language model can go by. Thresholds were set
on scikit-image's photographs, clean and degraded by `e2r_baselines.degradations`; they are rules of
thumb, and a study that uses them measures how often they are wrong.
"""

from collections.abc import Mapping

import numpy as np
from scipy import stats

from e2r_baselines.degrade import Pixels
from e2r_baselines.noise import estimated_sigma

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def levels(pixels: Pixels) -> Mapping[str, float]:
    """Return how strongly each degradation shows, by the name that it has in `DEGRADATIONS`.

    Args:
        pixels: (H, W, 3) float32 RGB in [0, 1], sides of at least 16.

    Returns:
        For noise, jpeg, haze, rain and dark a number that is 1 at the threshold from which it is
        said to be there.
    """
    luma = pixels @ _LUMA
    return {
        "noise": estimated_sigma(pixels) * 255 / 6,
        "jpeg": _blockiness(luma) / 1.3,
        "haze": _dark_channel(pixels) / 0.35,
        "rain": _kurtosis_ratio(luma) / 2.2,
        "dark": 0.22 / max(float(pixels.max(axis=2).mean()), 1e-3),
    }


def _blockiness(luma: Pixels) -> float:
    """Return steps across the borders of 8x8 blocks over those inside, the larger of both axes.

    After Wang, Bovik and Evans (ICIP 2000): what stands out at every eighth pixel is no picture's.
    """
    found: list[float] = []
    for axis in (0, 1):
        steps = np.abs(np.diff(luma, axis=axis)).mean(axis=1 - axis)
        border = np.arange(len(steps)) % 8 == 7
        inside = float(steps[~border].mean())
        found.append(float(steps[border].mean()) / inside if inside > 0 and border.any() else 1.0)
    return max(found)


def _dark_channel(pixels: Pixels) -> float:
    """Return the mean dark channel (He, Sun & Tang, CVPR 2009) over patches of 15 pixels."""
    from scipy.ndimage import minimum_filter

    return float(minimum_filter(pixels.min(axis=2), size=15).mean())


def _kurtosis_ratio(luma: Pixels) -> float:
    """Return the kurtosis of vertical over that of horizontal gradients.

    A falling streak has an edge along all its length and an end at two places only: steps along it
    are rare and strong.
    """
    across, along = (np.diff(luma, axis=axis).ravel() for axis in (1, 0))
    if across.std() == 0 or along.std() == 0:
        return 1.0
    above, below = (float(stats.kurtosis(one, fisher=False)) for one in (along, across))
    return above / below
