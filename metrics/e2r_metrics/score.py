"""Two folders to numbers in one pass: each file is decoded once, for all metrics.

Files are decoded, and metrics without networks computed, in threads beside the networks; at most
a few pictures are in memory at a time.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import E2RError, PictureError, WeightsError
from e2r_metrics.base.pairs import Pair, pair_folders
from e2r_metrics.base.weights import Missing
from e2r_metrics.catalog import EXTRACTORS, Metric
from e2r_metrics.clusters import clustered
from e2r_metrics.numbers import Features, Scores, Summary, Value, summary_of
from e2r_metrics.pair_pixels import Given, read_pair
from e2r_metrics.parts import USUAL, Parts, Pooling
from e2r_metrics.session import Session
from e2r_metrics.usable import lacking

NO_REFERENCE = "it compares with a clean picture, and there is none"
_AHEAD = 4


def score_folders(
    restored: Path,
    clean: Path,
    metrics: Sequence[Metric],
    session: Session,
    parts: Parts = USUAL,
    watch: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score a folder of restored images against a folder of clean ones; see `score_pairs`.

    Args:
        restored: folder of images; sizes may be mixed.
        clean: folder with a partner of the same size for each.
        metrics, session, parts, watch: as in `score_pairs`.

    Raises:
        UsageError: files without partner, folders that are none, or see `score_pairs`.
    """
    pairs = pair_folders(restored, clean, parts.matching)
    return score_pairs(pairs, metrics, session, parts, watch)


def score_pairs(
    pairs: Sequence[Pair | Given],
    metrics: Sequence[Metric],
    session: Session,
    parts: Parts = USUAL,
    watch: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score pairs of pictures, in their order.

    A picture that cannot be read or measured is recorded by name, and so is a metric whose weights
    are not what they should be; the rest goes on.

    Args:
        pairs: of files, or of pixels in memory; sizes may be mixed.
        metrics: rows of the catalog.
        session: weights, networks and the feature store.
        parts: what else the numbers depend on; every protocol says what of it is not usual.
        watch: called with the number of pairs done and their total; None is silent.

    Raises:
        UsageError: a metric that means other pictures than `parts.reference`.
    """
    for metric in metrics:
        parts.check(metric)
    blind = [m for m in metrics if parts.reference == "none" and m.scope != "single"]
    missing, broken = lacking([m for m in metrics if m not in blind], session.missing)
    gone = {*missing, *broken, *(m.id for m in blind)}
    here = [parts.told(m) for m in metrics if m.id not in gone]
    made = _Made([], {m.extractor: _Gathered([], [], []) for m in here if m.extractor}, {}, broken)
    for done, (pair, images, light) in enumerate(_decoded(pairs, here, session, parts), 1):
        if isinstance(images, PictureError):
            made.failed[pair.name] = str(images)
        else:
            _measure(made, pair, images, here, light, session)
        if watch:
            watch(done, len(pairs))
    whole = [m for m in here if m.id not in made.broken]
    found = _scores(made, whole, missing, session, parts.pooling)
    untold = {m.id: NO_REFERENCE for m in blind} | made.broken
    return replace(found, unmeasured={**untold, **found.unmeasured}, broken=frozenset(made.broken))


_Images = tuple[npt.NDArray[Any], npt.NDArray[Any]]


@dataclass(frozen=True)
class _Gathered:
    """What one extractor saw: names, and the features of both pictures, (K, D) each."""

    names: list[str]
    restored: list[npt.NDArray[np.float32]]
    clean: list[npt.NDArray[np.float32]]


@dataclass(frozen=True)
class _Made:
    """What gathers while pictures go by: values, features by extractor, failures, and why metrics
    have weights that cannot be used."""

    values: list[Value]
    features: dict[str, _Gathered]
    failed: dict[str, str]
    broken: dict[str, str]


def _measure(
    made: _Made,
    pair: Pair | Given,
    images: _Images,
    metrics: Sequence[Metric],
    light: Mapping[str, float | E2RError],
    session: Session,
) -> None:
    for metric in metrics:
        if not metric.per_image or metric.id in made.broken:
            continue
        try:
            value = light.get(metric.id)
            if isinstance(value, E2RError):
                raise value
            if value is None:
                value = float(session.per_image(metric, images[:1], images[1:])[0])
            made.values.append(Value(pair.name, metric, value))
        except PictureError as error:
            made.failed[f"{pair.name} {metric.id}"] = str(error)
        except WeightsError as error:
            made.broken[metric.id] = str(error)
    _gather(made, pair, images, metrics, session)


def _gather(
    made: _Made, pair: Pair | Given, images: _Images, metrics: Sequence[Metric], session: Session
) -> None:
    """Add the features of a pair, by every extractor whose weights can be used."""
    for extractor, gathered in made.features.items():
        mine = [m.id for m in metrics if m.extractor == extractor]
        if made.broken.keys() & mine:
            continue
        try:
            restored, clean = (session.features(extractor, [image]) for image in images)
        except PictureError as error:
            made.failed.update({f"{pair.name} {key}": str(error) for key in mine})
        except WeightsError as error:
            made.broken.update(dict.fromkeys(mine, str(error)))
        else:
            gathered.names.append(pair.name)
            gathered.restored.append(restored)
            gathered.clean.append(clean)


def _scores(
    made: _Made,
    metrics: Sequence[Metric],
    missing: Mapping[str, Missing],
    session: Session,
    pooling: Pooling,
) -> Scores:
    features = {name: _features(name, one) for name, one in made.features.items() if one.names}
    summaries: list[Summary] = []
    unmeasured: dict[str, str] = {}
    for metric in metrics:
        if metric.extractor:
            seen = features.get(metric.extractor)
            count = len(seen.names) if seen else 0
            if seen is None or count < 2:
                unmeasured[metric.id] = f"a set metric needs at least two pairs, found {count}"
                continue
            told = seen.told(metric)
            value = session.set_value(metric, seen.restored.rows, seen.clean.rows)
            made.values.append(Value("", told, value))
            summaries.append(Summary(told, count, value))
        elif count := sum(row.metric is metric for row in made.values):
            summaries.append(summary_of(metric, made.values, count, pooling))
        else:
            unmeasured[metric.id] = "every picture failed"
    return Scores(tuple(made.values), tuple(summaries), missing, made.failed, unmeasured, features)


def _features(extractor: str, seen: _Gathered) -> Features:
    size = EXTRACTORS[extractor].dimension
    sides = (clustered(side, size) for side in (seen.restored, seen.clean))
    return Features(tuple(seen.names), *sides)


_Decoded = tuple[Pair | Given, "_Images | PictureError", dict[str, "float | E2RError"]]


def _decoded(
    pairs: Sequence[Pair | Given],
    metrics: Sequence[Metric],
    session: Session,
    parts: Parts,
) -> Iterator[_Decoded]:
    """Yield pairs in order with their pixels and the values that need no network or program."""
    light = [m for m in metrics if m.per_image and not m.weights and not m.program]

    def work(pair: Pair | Given) -> _Decoded:
        try:
            images = read_pair(pair, parts.reading, parts.view)
        except PictureError as error:
            return pair, error, {}
        return pair, images, {m.id: _light(session, m, images) for m in light}

    with ThreadPoolExecutor(max_workers=workers()) as pool:
        rest = iter(pairs)
        waiting: list[Future[_Decoded]] = [
            pool.submit(work, pair) for pair in islice(rest, _AHEAD + workers())
        ]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(work, pair) for pair in islice(rest, 1)]


def _light(session: Session, metric: Metric, images: _Images) -> float | E2RError:
    try:
        return float(session.per_image(metric, images[:1], images[1:])[0])
    except (PictureError, WeightsError) as error:
        return error


def workers() -> int:
    """Return how many threads decode and measure: the processors that are ours, at most 8."""
    return max(1, min(8, _cpus()))


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
