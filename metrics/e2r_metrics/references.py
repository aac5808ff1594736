"""Set metrics against what a file says of the clean pictures: see `reference_files`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pairs import list_pictures
from e2r_metrics.base.pictures import read_pixels
from e2r_metrics.catalog import EXTRACTORS, Metric
from e2r_metrics.numbers import Scores, Summary, Value, of_crops
from e2r_metrics.parts import USUAL, Parts
from e2r_metrics.session import Session
from e2r_metrics.view import WHOLE

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """What a file says of the clean pictures.

    Attributes:
        words: file, digest, content, n and extractor, as every protocol line has it.
        extractor: id of the extractor that it was made with.
        features: (n, D) float32 or float64; None where there are moments alone.
        moments: mean (D,) and covariance (D, D) with n - 1, float64; None where there are features.
    """

    words: str
    extractor: str
    features: npt.NDArray[Any] | None = None
    moments: tuple[Float64, Float64] | None = None

    def check(self, metric: Metric) -> None:
        """Raise `UsageError` where a metric cannot be computed from this."""
        if metric.extractor is None:
            raise UsageError(
                f"{metric.id} compares pictures: a CLEAN file serves metrics of sets only, such as "
                "--metrics fid:pytorch-fid; give the folder of clean pictures"
            )
        if metric.extractor != self.extractor:
            raise UsageError(
                f"{metric.id} is of features of {metric.extractor}, the CLEAN file of "
                f"{self.extractor}: expected one extractor; choose the variant that has it"
            )
        if self.features is None and metric.distance != "frechet":
            raise UsageError(
                f"{metric.id} needs the features of clean pictures; the CLEAN file has their mean "
                "and covariance alone, which serve Frechet distances"
            )


def score_reference(
    restored: Path,
    reference: Reference,
    metrics: Sequence[Metric],
    session: Session,
    parts: Parts = USUAL,
    watch: Callable[[int, int], None] | None = None,
) -> Scores:
    """Score a folder of restored pictures against what a file says of the clean ones.

    Args:
        restored: folder of pictures, of any number.
        reference: from `read_reference`.
        metrics: of sets, all of its extractor.
        session: weights, networks and the feature store.
        parts: how files are read; nothing may be cut, since nobody cuts what is in the file.
        watch: called with the number of pictures done and their total; None is silent.

    Raises:
        UsageError: a metric that the file does not serve, parts that pair or cut, or no pictures.
    """
    for metric in metrics:
        reference.check(metric)
    matching = parts.matching
    if parts.view != WHOLE or matching.pattern is not None or matching.order != "name":
        raise UsageError(
            "expected whole pictures beside a CLEAN file, found --crop, --shave, --depth, --pair "
            "or --order: nothing in the file can be cut or paired"
        )
    missing = {m.id: gone for m in metrics if (gone := session.missing(m))}
    here = [parts.told(m) for m in metrics if m.id not in missing]
    if not here:
        return Scores((), (), missing, {}, {})
    names, ours, failed = _restored(restored, reference.extractor, session, parts, watch)
    if len(names) < 2:
        few = f"a set metric needs at least two pictures, found {len(names)}"
        return Scores((), (), missing, failed, {m.id: few for m in here})
    told = (_told(of_crops(m, len(ours)), reference) for m in here)
    values = [Value("", m, _value(session, m, ours, reference)) for m in told]
    summaries = tuple(Summary(row.metric, len(names), row.value) for row in values)
    return Scores(tuple(values), summaries, missing, failed, {})


def _told(metric: Metric, reference: Reference) -> Metric:
    return replace(metric, definition=f"{metric.definition}; {reference.words}")


def _value(
    session: Session, metric: Metric, ours: npt.NDArray[np.float32], reference: Reference
) -> float:
    if reference.moments is not None:
        return session.moments_value(metric, ours, *reference.moments)
    if reference.features is None:
        raise UsageError("expected features or moments, found neither")
    return session.set_value(metric, ours, reference.features)


def _restored(
    folder: Path,
    extractor: str,
    session: Session,
    parts: Parts,
    watch: Callable[[int, int], None] | None,
) -> tuple[list[str], npt.NDArray[np.float32], dict[str, str]]:
    pictures = list_pictures(folder, parts.matching.recursive)
    names: list[str] = []
    found: list[npt.NDArray[np.float32]] = []
    failed: dict[str, str] = {}
    for done, (name, path) in enumerate(pictures.items(), 1):
        try:
            found.append(session.features(extractor, [read_pixels(path, parts.reading)]))
            names.append(name)
        except PictureError as error:
            failed[name] = str(error)
        if watch:
            watch(done, len(pictures))
    size = EXTRACTORS[extractor].dimension
    return names, np.concatenate(found) if found else np.empty((0, size), np.float32), failed
