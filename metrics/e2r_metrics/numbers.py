"""What scoring two folders gives: numbers, their means with intervals, and what has none."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.weights import Missing
from e2r_metrics.catalog import EXTRACTORS, Metric
from e2r_metrics.clusters import Clustered
from e2r_metrics.parts import POOLED, Pooling
from e2r_metrics.psnr import decibel, shares_of_peak


@dataclass(frozen=True)
class Value:
    """One number: of one image, or of the two sets when `image` is empty."""

    image: str
    metric: Metric
    value: float


@dataclass(frozen=True)
class Summary:
    """One metric over all pairs.

    Attributes:
        metric: the row of the catalog.
        n: number of pairs.
        value: the mean over images, or the value of the sets.
        low: lower end of the 95% Student interval of the mean; NaN for set metrics and n < 2.
        high: its upper end.
    """

    metric: Metric
    n: int
    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Features:
    """What one extractor saw.

    Attributes:
        names: of the pairs.
        restored, clean: of the same pictures, in the order of the names.
    """

    names: tuple[str, ...]
    restored: Clustered
    clean: Clustered

    def told(self, metric: Metric) -> Metric:
        """Return a metric on these features; of crops, its definition says how many they are."""
        return of_crops(metric, len(self.restored.rows))


@dataclass(frozen=True)
class Scores:
    """What `score_folders` found.

    Attributes:
        values: every number, by image, then the set metrics.
        summaries: one per measured metric, in the order asked for.
        missing: why a metric, by id, was not measured: its weights are not here.
        failed: why a picture failed, by "name" (all metrics) or "name metric-id" (that one).
        unmeasured: why a metric, by id, has no value although its weights are here.
        features: by extractor, so that set metrics of two methods can be compared.
        broken: those of `unmeasured` whose weights are not what they should be.
    """

    values: tuple[Value, ...]
    summaries: tuple[Summary, ...]
    missing: Mapping[str, Missing]
    failed: Mapping[str, str]
    unmeasured: Mapping[str, str]
    features: Mapping[str, Features] = field(default_factory=dict[str, Features])
    broken: frozenset[str] = frozenset()


def of_crops(metric: Metric, count: int) -> Metric:
    """Return a metric whose definition says how many crops a value is of, where it is of crops."""
    row = EXTRACTORS.get(metric.extractor or "")
    if row is None or row.patch is None:
        return metric
    return replace(metric, definition=f"{metric.definition}; {count} crops")


def summary_of(
    metric: Metric, values: Sequence[Value], n: int, pooling: Pooling = "images"
) -> Summary:
    """Return the summary of one metric of pictures from all values, n of which are its own.

    Args:
        metric: a row of the catalog.
        values: of all metrics.
        n: how many of them are this metric's.
        pooling: "images" is the mean over pictures; "error" the PSNR of the mean squared error,
            its interval from the errors' own; other metrics than PSNR have the mean all the same.
    """
    own = np.array([row.value for row in values if row.metric is metric])
    if pooling == "error" and metric.name == POOLED:
        value, low, high = _mean(shares_of_peak(own.tolist()))
        # The larger the error, the smaller the PSNR; an interval's end below 0 has none.
        ends = (decibel(max(end, 0.0), 1, 1.0) for end in (value, high, low))
        return Summary(metric, n, *ends) if n > 1 else Summary(metric, n, next(ends))
    return Summary(metric, n, *_mean(own))


def _mean(own: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the mean of values and the ends of its 95% Student interval, NaN where none is."""
    n, mean = len(own), float(own.mean())
    if n < 2 or not math.isfinite(mean):
        return mean, math.nan, math.nan
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975) * own.std(ddof=1) / math.sqrt(n))
    return mean, mean - half, mean + half
