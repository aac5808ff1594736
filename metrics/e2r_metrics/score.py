"""Two folders to numbers in one pass: each file is decoded once, for all metrics.

Files are decoded, and metrics without networks computed, in threads beside the networks; at most
a few pictures are in memory at a time.
"""

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from e2r_metrics.catalog import Metric
from e2r_metrics.decode import read_image
from e2r_metrics.errors import MetricError
from e2r_metrics.pairs import Pair, pair_folders
from e2r_metrics.session import Session
from e2r_metrics.weights import Missing

_AHEAD = 4


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
class Scores:
    """What `score_folders` found.

    Attributes:
        values: every number, by image, then the set metrics.
        summaries: one per measured metric, in the order asked for.
        missing: why a metric, by id, was not measured.
    """

    values: tuple[Value, ...]
    summaries: tuple[Summary, ...]
    missing: Mapping[str, Missing]


def score_folders(
    restored: Path,
    clean: Path,
    metrics: Sequence[Metric],
    session: Session,
    watch: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score a folder of restored images against a folder of clean ones.

    Args:
        restored: folder of 8-bit images; sizes may be mixed.
        clean: folder with a partner of the same name and size for each.
        metrics: rows of the catalog.
        session: weights, networks and the feature store.
        watch: called with the number of pairs done and their total; None is silent.

    Raises:
        MetricError: files without partner, unreadable files, or pairs of unequal size.
    """
    pairs = pair_folders(restored, clean)
    missing = {m.id: gone for m in metrics if (gone := session.missing(m))}
    here = [m for m in metrics if m.id not in missing]
    values: list[Value] = []
    features: dict[str, tuple[list[npt.NDArray[np.float32]], list[npt.NDArray[np.float32]]]] = {
        m.extractor: ([], []) for m in here if m.extractor
    }
    for done, (pair, images, light) in enumerate(_decoded(pairs, here, session), 1):
        values += _of_images(pair, images, here, light, session)
        for extractor, sets in features.items():
            for image, gathered in zip(images, sets, strict=True):
                gathered.append(session.features(extractor, [image]))
        if watch:
            watch(done, len(pairs))
    if features and len(pairs) < 2:
        raise MetricError(f"set metrics need at least two pairs, found {len(pairs)}")
    for metric in here:
        if metric.extractor:
            ours, theirs = (np.concatenate(part) for part in features[metric.extractor])
            values.append(Value("", metric, session.set_value(metric, ours, theirs)))
    return Scores(tuple(values), tuple(_summary(m, values, len(pairs)) for m in here), missing)


_Images = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def _decoded(
    pairs: Sequence[Pair], metrics: Sequence[Metric], session: Session
) -> Iterator[tuple[Pair, _Images, dict[str, float]]]:
    """Yield pairs in order with their pixels and the values that need no network."""
    light = [m for m in metrics if m.per_image and not m.weights]

    def work(pair: Pair) -> tuple[Pair, _Images, dict[str, float]]:
        images = read_image(pair.restored), read_image(pair.clean)
        if images[0].shape != images[1].shape:
            raise MetricError(
                f"{pair.name}: expected restored and clean of one size, found "
                f"{_size(images[0])} and {_size(images[1])}"
            )
        values = {m.id: float(session.per_image(m, images[:1], images[1:])[0]) for m in light}
        return pair, images, values

    with ThreadPoolExecutor(max_workers=_workers()) as pool:
        rest = iter(pairs)
        waiting: list[Future[tuple[Pair, _Images, dict[str, float]]]] = [
            pool.submit(work, pair) for pair in islice(rest, _AHEAD + _workers())
        ]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(work, pair) for pair in islice(rest, 1)]


def _workers() -> int:
    return max(1, min(8, _cpus()))


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _of_images(
    pair: Pair,
    images: _Images,
    metrics: Sequence[Metric],
    light: Mapping[str, float],
    session: Session,
) -> Iterator[Value]:
    for metric in metrics:
        if metric.id in light:
            yield Value(pair.name, metric, light[metric.id])
        elif metric.per_image:
            value = float(session.per_image(metric, images[:1], images[1:])[0])
            yield Value(pair.name, metric, value)


def _summary(metric: Metric, values: Sequence[Value], n: int) -> Summary:
    own = np.array([row.value for row in values if row.metric is metric])
    if not metric.per_image:
        return Summary(metric, n, float(own[0]))
    mean = float(own.mean())
    if n < 2 or not math.isfinite(mean):
        return Summary(metric, n, mean)
    from scipy.special import stdtrit

    half = float(stdtrit(n - 1, 0.975) * own.std(ddof=1) / math.sqrt(n))
    return Summary(metric, n, mean, mean - half, mean + half)


def _size(image: npt.NDArray[np.uint8]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
