"""Repeated samples: where seeds disagree, and the Hallucination Index."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from e2r_bench.maps.bands import Map, check_pair
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import EightBit

MIN_SAMPLES = 3
_WINDOW = 2.0
_FLOOR_SIDE = 96


@dataclass(frozen=True)
class Hallucination:
    """The pixelwise Hallucination Index of one input.

    Attributes:
        values: Hellinger distance of every pixel, 0 to 1.
        index: their mean.
        floor: the mean that as many samples of the reference itself would give.
        reference_sd: standard deviation of the reference in levels.
    """

    values: Map
    index: float
    floor: float
    reference_sd: float


def seed_deviation(samples: Sequence[EightBit]) -> Map:
    """Return the standard deviation over seeds (n - 1), RMS over RGB, in levels.

    Args:
        samples: at least two outputs (H, W, 3) uint8 for one input, differing in the seed alone.

    Raises:
        UsageError: fewer than two samples.
        PictureError: unequal sizes.
    """
    _, variance = _moments(samples, 2)
    return np.sqrt(np.mean(variance, axis=2))


def hallucination(samples: Sequence[EightBit], clean: EightBit) -> Hallucination:
    """Return how far the samples' distribution lies from one that hallucinates nothing.

    Hellinger distance of two normal distributions, by pixel and channel: the samples' own, and one
    centred on the truth with the samples' mean variance, so that a soft and a sharp restorer are
    judged at the same apparent noise. After Tivnan et al., MICCAI 2024; pixelwise, without the
    covariance between pixels, which a handful of seeds cannot estimate. With few samples the index
    of a perfect sampler is not 0: read it against `floor`.

    Raises:
        UsageError: fewer than three samples.
        PictureError: unequal sizes.
    """
    mean, variance = _moments(samples, MIN_SAMPLES)
    check_pair(samples[0], clean)
    # Below one level, rounding to 8 bits decides.
    reference = max(float(np.mean(variance, dtype=np.float64)), 1.0)
    values = _distance(mean - clean, variance, reference)
    index = float(np.mean(values, dtype=np.float64))
    return Hallucination(values, index, _floor(len(samples)), reference**0.5)


def _moments(samples: Sequence[EightBit], least: int) -> tuple[Map, Map]:
    if len(samples) < least:
        raise UsageError(f"maps: expected at least {least} seeds, found {len(samples)}")
    for sample in samples:
        check_pair(sample, samples[0])
    stack = np.stack([sample.astype(np.float32) for sample in samples])
    return stack.mean(axis=0), stack.var(axis=0, ddof=1)


def _distance(offset: Map, variance: Map, reference: float) -> Map:
    """Return the Hellinger distance of N(offset, variance) and N(0, reference), mean over channels.

    The variance of a few samples is first averaged over a small window.
    """
    own = cv2.GaussianBlur(variance, (0, 0), _WINDOW) + np.float32(1 / 12)
    total = own + np.float32(reference)
    overlap = np.sqrt(2 * np.sqrt(own * np.float32(reference)) / total)
    squared = 1 - overlap * np.exp(-(offset * offset) / (4 * total))
    return np.sqrt(np.maximum(squared, 0)).mean(axis=2)


@cache
def _floor(count: int) -> float:
    rng = rng_for(0, "hallucination index", f"floor {count}")
    shape = (count, _FLOOR_SIDE, _FLOOR_SIDE, 3)
    drawn = 16 * rng.standard_normal(shape, dtype=np.float32)
    return float(_distance(drawn.mean(axis=0), drawn.var(axis=0, ddof=1), 256.0).mean())
