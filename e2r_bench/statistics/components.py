"""Variance of a metric over images and seeds, and how many seeds it takes."""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from e2r_bench.statistics.results import Values
from e2r_metrics.base.errors import UsageError

MIN_SEEDS = 3
"""Two seeds have one degree of freedom: their interval spans a factor of a thousand."""
TAILS = 3.0
"""Excess kurtosis that seeds are granted; a normal distribution has 0, Laplace's 3."""
_MOST = 10**6


@dataclass(frozen=True)
class Components:
    """Variance of a per-image metric over images and seeds.

    Attributes:
        image: between images, over all seeds.
        seed: between seeds, over all images; near zero where each image draws its own noise.
        interaction: what a seed does to one image and not to another; with one restoration per
            image and seed it holds all other noise too.
        of_mean: of the mean over these images, from one seed to another.
        seeds: how many there were.
    """

    image: float
    seed: float
    interaction: float
    of_mean: float
    seeds: int

    @property
    def per_image_spread(self) -> float:
        """Return the standard deviation over seeds of one image's value."""
        return math.sqrt(self.seed + self.interaction)


def components(values: Values) -> Components:
    """Split the variance of (images, seeds) values: a two-way random-effects analysis.

    Negative estimates are zero. Source: Searle, Casella & McCulloch, Variance Components (1992).

    Raises:
        UsageError: one seed, one image, values that are not finite, or no spread.
    """
    if values.ndim != 2 or values.shape[1] < 2:
        raise UsageError(
            f"a study of seeds needs at least two, found {values.shape[-1]}; give --seeds 0,1,2,3"
        )
    images, seeds = values.shape
    if images < 2:
        raise UsageError(f"a study of seeds needs at least two images, found {images}")
    if not np.isfinite(values).all():
        raise UsageError("expected finite values; identical pictures have infinite PSNR")
    if np.ptp(values) == 0:
        raise UsageError("all values are equal: a constant has no variance to split")
    grand = values.mean()
    by_image, by_seed = values.mean(axis=1), values.mean(axis=0)
    mean_square_image = seeds * np.sum((by_image - grand) ** 2) / (images - 1)
    mean_square_seed = images * np.sum((by_seed - grand) ** 2) / (seeds - 1)
    rest = values - by_image[:, None] - by_seed[None] + grand
    mean_square_rest = np.sum(rest**2) / ((images - 1) * (seeds - 1))
    return Components(
        max(0.0, float(mean_square_image - mean_square_rest) / seeds),
        max(0.0, float(mean_square_seed - mean_square_rest) / images),
        float(mean_square_rest),
        float(by_seed.var(ddof=1)),
        seeds,
    )


@dataclass(frozen=True)
class SeedsNeeded:
    """How many seeds bring the mean over these images to a half-width.

    Attributes:
        low, high: 95% interval; None where the seeds at hand say nothing, or for more than a
            million.
        enough: the number that is enough with a chance of 80%; plan with this one.
        words: the same in a line.
    """

    low: int | None
    high: int | None
    enough: int | None
    words: str


def seeds_needed(
    variance: float, seeds: int, half_width: float, level: float = 0.95
) -> SeedsNeeded:
    """Return an interval on the number of seeds for a half-width of the mean.

    The variance between few seeds is hardly known. It gets the chi-square interval with degrees of
    freedom cut for tails heavier than normal (`TAILS`), and each end the number of seeds whose t
    interval is as narrow as asked for.

    Args:
        variance: of the mean over images between seeds: `Components.of_mean`, or of a set metric.
        seeds: how many it was estimated from.
        half_width: asked for, in the metric's unit.
        level: coverage of the mean's interval, and of the interval on seeds.

    Raises:
        UsageError: a half-width that is not above zero, a negative variance, or one seed.
    """
    if not half_width > 0 or variance < 0 or seeds < 2:
        raise UsageError(
            "seeds needed: expected a half-width above 0, a variance and two seeds, found "
            f"{half_width}, {variance}, {seeds}"
        )
    if seeds < MIN_SEEDS:
        return SeedsNeeded(
            None, None, None, f"not resolved: {seeds} seeds do not tell a spread; give {MIN_SEEDS}"
        )
    freedom = cut_freedom(seeds)
    tail = (1 - level) / 2
    ends = [variance * freedom / float(stats.chi2.isf(q, freedom)) for q in (tail, 1 - tail, 0.8)]
    low, high, enough = (_smallest(end, half_width, level) for end in ends)
    top = "a million or more" if high is None else str(high)
    plan = "no number below a million is" if enough is None else f"{enough} are"
    words = (
        f"between {low or _MOST} and {top} ({level:.0%}); {plan} enough with a chance of 80%; more "
        "where single seeds fail by far"
    )
    return SeedsNeeded(low, high, enough, words)


def cut_freedom(seeds: int) -> float:
    """Return degrees of freedom of a variance whose values have excess kurtosis `TAILS`.

    The variance of a sample variance is sigma^4 (2 / (n - 1) + kurtosis / n).
    """
    return 2 / (2 / (seeds - 1) + TAILS / seeds)


def _smallest(variance: float, half_width: float, level: float) -> int | None:
    """Return the smallest number of seeds, at least two, whose t interval is narrow enough."""

    def wide(seeds: int) -> bool:
        quantile = float(stats.t.isf((1 - level) / 2, seeds - 1))
        return quantile * math.sqrt(variance / seeds) > half_width

    if wide(_MOST):
        return None
    low, high = 2, _MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if wide(middle) else (low, middle)
    return low
