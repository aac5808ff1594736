"""A trust mask with a guarantee: split conformal calibration of any local score.

A pixel is trusted when its score is at most a threshold; a mask of less than 1% of the picture is
emptied. For a calibration picture i let t_i be the largest threshold up to which the mean error
inside its mask never exceeds the bound. The threshold is the k-th smallest t_i with
k = floor(level (n + 1)), or none at all if k = 0.

Proof. A new picture's mask breaks the bound only if t_new < t_(k). If the n + 1 pictures are
exchangeable, so are their t's, and the chance that t_new is among the k smallest of n + 1 is at
most k / (n + 1) <= level. No assumption is made on the score, the restorer or the error.

Pictures of one scene are not exchangeable with those of another: scenes are calibrated as one,
by their smallest t, and the guarantee then holds for all pictures of a new scene at once. After
Adame et al., 2502.09664 (NeurIPS 2025), and Kutiel et al., 2202.05265.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from e2r_bench.maps.bands import Map
from e2r_metrics.base.errors import UsageError

LEAST_SHARE = 0.01
_ERROR_WINDOW = 2.0


@dataclass(frozen=True)
class Trust:
    """A calibrated threshold, with what it promises.

    Attributes:
        threshold: largest score that is trusted; minus infinity where nothing may be.
        bound: the mean error allowed inside a mask, in the unit of the error.
        level: the chance, at most, that a new scene breaks the bound.
        scenes: how many scenes it was calibrated on.
    """

    threshold: float
    bound: float
    level: float
    scenes: int

    def statement(self, unit: str) -> str:
        """Return the guarantee in one sentence, or why there is none."""
        least = least_scenes(self.level)
        if self.scenes < least:
            return (
                f"nothing is trusted: level {self.level:g} needs at least {least} calibration "
                f"scenes, found {self.scenes}"
            )
        return (
            f"with probability at least {1 - self.level:g} over calibration and a new scene "
            f"exchangeable with the {self.scenes} calibration scenes, the mean error inside its "
            f"trusted region is at most {self.bound:g} {unit}"
        )


def least_scenes(level: float) -> int:
    """Return how many calibration scenes a level needs; with fewer, nothing may be trusted."""
    return math.ceil(1 / level - 1e-9) - 1


def calibrate(largest: Mapping[str, float], bound: float, level: float) -> Trust:
    """Return the threshold for a bound and a level.

    Args:
        largest: scene -> the smallest `largest_threshold` of its pictures, held-out pairs only.
        bound: the mean error allowed inside a mask.
        level: in (0, 1), the chance of breaking it.

    Raises:
        UsageError: a level outside (0, 1) or a bound that is not positive.
    """
    if not 0 < level < 1 or bound <= 0:
        raise UsageError(
            f"trust mask: expected a level in (0, 1) and a positive bound, found {level:g} and "
            f"{bound:g}"
        )
    rank = math.floor(level * (len(largest) + 1) + 1e-9)
    ordered = sorted(largest.values())
    threshold = ordered[rank - 1] if rank > 0 else -math.inf
    return Trust(threshold, bound, level, len(largest))


def largest_threshold(score: Map, error: Map, bound: float) -> float:
    """Return the largest threshold up to which the mean error of the mask never exceeds `bound`.

    Args:
        score: (H, W), larger where less trusted; needs no truth.
        error: (H, W), non-negative; `local_error`.
        bound: in the unit of the error.
    """
    order = np.argsort(score, axis=None, kind="stable")
    ranked = score.ravel()[order]
    running = np.cumsum(error.ravel()[order], dtype=np.float64)
    mean = running / np.arange(1, len(ranked) + 1)
    # A threshold takes all pixels of one score at once, and less than the least share is no mask.
    ends = np.append(ranked[1:] > ranked[:-1], True)
    ends[: math.ceil(LEAST_SHARE * len(ranked)) - 1] = False
    broken = np.flatnonzero(ends & (mean > bound))
    if not len(broken):
        return math.inf
    # Just below the score that opens the mask which breaks the bound.
    return float(np.nextafter(np.float32(ranked[broken[0]]), np.float32(-np.inf)))


def trusted(score: Map, trust: Trust) -> npt.NDArray[np.bool_]:
    """Return the mask of a picture, (H, W) bool."""
    mask = score <= trust.threshold
    return mask if mask.mean() >= LEAST_SHARE else np.zeros_like(mask)


def local_error(error: Map) -> Map:
    """Return an error map averaged over a small window, which is what trust is about."""
    return cv2.GaussianBlur(np.abs(error), (0, 0), _ERROR_WINDOW)  # pyright: ignore[reportReturnType]


def smallest_by_scene(values: Sequence[float], scenes: Sequence[str]) -> dict[str, float]:
    """Return the smallest value of each scene."""
    found: dict[str, float] = {}
    for value, scene in zip(values, scenes, strict=True):
        found[scene] = min(value, found.get(scene, math.inf))
    return found
