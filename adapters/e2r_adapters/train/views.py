"""What of a sample is shown in an epoch: both pictures by one geometry, degraded, and a wording.

Everything is a function of (seed, epoch, index of the sample) and of the sample itself, so that
order, workers and resume change nothing.
"""

from dataclasses import dataclass

import numpy as np

from e2r_adapters.train.geometry import draw_geometry, moved
from e2r_adapters.train.pictures import Pair, check_size, content_hash, squared
from e2r_adapters.train.profiles import Profile
from e2r_adapters.train.variation import Variation
from e2r_baselines.method import Photo, Pixels
from e2r_baselines.random_degradations import PIPELINES
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.pictures import EightBit, eight_bit


@dataclass(frozen=True)
class Place:
    """Which view of a sample.

    Attributes:
        index: of the sample among the repeated pairs.
        variant: number of the draw; see `Variation.variant`.
        side: in pixels.
    """

    index: int
    variant: int
    side: int


@dataclass(frozen=True, eq=False)
class View:
    """Both pictures as they are shown.

    Attributes:
        key: sha256 over size and pixels of both; what caches go by.
        clean, degraded: (side, side, 3) uint8 RGB.
    """

    key: str
    clean: EightBit
    degraded: EightBit

    def target(self) -> Pixels:
        """Return the clean picture as float32 in [0, 1]."""
        return np.divide(self.clean, 255, dtype=np.float32)

    def photo(self) -> Photo:
        """Return the degraded picture as float32 in [0, 1], named by the content of both."""
        return Photo(self.key, np.divide(self.degraded, 255, dtype=np.float32))


def draw_view(pair: Pair, place: Place, profile: Profile, variation: Variation, seed: int) -> View:
    """Draw a view.

    Args:
        pair: the sample.
        place: which view.
        profile: how pictures become square where no window is drawn.
        variation: what is drawn.
        seed: of the training.

    Raises:
        UsageError: the picture is too small to cut a window from.
    """
    name = f"{place.variant}/{place.index}"
    if "crop" in variation.augment:
        check_size(pair, place.side)
        clean, degraded = pair.clean, pair.degraded
    else:
        clean, degraded = squared(pair, place.side, profile.fit)
    if not (variation.drawn or variation.curriculum):
        return View(pair.key, clean, degraded)
    rng = rng_for(seed, name, "training-geometry")
    how = draw_geometry(clean.shape[:2], place.side, variation.augment, rng)
    clean, degraded = moved(clean, how), moved(degraded, how)
    if variation.degrade:
        # By the sample too, so that two of one place in two trainings differ.
        rng = rng_for(seed, f"{name}/{pair.task}/{pair.name}", "training-degradation")
        pixels = np.divide(degraded, 255, dtype=np.float32)
        degraded = eight_bit(PIPELINES[variation.degrade](pixels, rng))
    return View(content_hash(clean, degraded), clean, degraded)
