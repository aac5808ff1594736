"""Numbers for callers: networks are loaded once, features are computed once."""

import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import UsageError, WeightsError, unknown
from e2r_metrics.base.weights import Found, Missing, Resolver
from e2r_metrics.catalog import EXTRACTORS, Extractor, Metric
from e2r_metrics.clusters import Clustered, clustered
from e2r_metrics.command_metric import values_of
from e2r_metrics.composites import measured, missing_parts
from e2r_metrics.features import FeatureStore, content_key, extractor_key
from e2r_metrics.images import Image, PerImage, check_image, to_uint8
from e2r_metrics.patches import crops
from e2r_metrics.usable import opening

Features = npt.NDArray[np.float32] | npt.NDArray[np.float64]
Extract = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
SetFunction = Callable[[Features, Features], float]


class Session:
    """One run's metrics: weights, networks and the feature store."""

    def __init__(
        self, weights: Resolver, store: FeatureStore | None = None, device: str = "cpu"
    ) -> None:
        """Take what the numbers stand on.

        Args:
            weights: finds the files that metrics need.
            store: keeps features between runs; None computes them each time.
            device: the torch device of the networks.
        """
        self.weights = weights
        self.store = store
        self.device = device
        self._per_image: dict[str, PerImage] = {}
        self._extract: dict[str, Extract] = {}
        self._noted: set[str] = set()

    def missing(self, metric: Metric) -> Missing | None:
        """Return why `metric` cannot be measured here, None if it can; may download small files.

        Raises:
            WeightsError: a user's folder holds another file under the name of its weights.
        """
        if metric.composite is not None:
            return missing_parts(metric, self.missing)
        if metric.program is not None and shutil.which(metric.program.words[0]) is None:
            why = f"expected a program {metric.program.words[0]!r}, found none of that name"
            return Missing(metric.id, f"{why}: install it, or correct the line", "", 0)
        for name in metric.weights:
            if isinstance(answer := self.weights.find(name), Missing):
                return answer
        return None

    def lacks(self, metric: Metric) -> str:
        """Return the same in words, "" if it can be measured; a wrong file is a reason too."""
        try:
            gone = self.missing(metric)
        except WeightsError as error:
            return str(error)
        return gone.words if gone else ""

    def per_image(
        self, metric: Metric, restored: Sequence[Image], clean: Sequence[Image]
    ) -> npt.NDArray[np.float64]:
        """Return (B,) values of a metric with `per_image`.

        Args:
            metric: a row of the catalog.
            restored: B images (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1]; sizes may be
                mixed.
            clean: their partners, of the same size and dtype; not looked at by metrics with scope
                "single".

        Raises:
            UsageError: bad pixels, or weights that are missing.
            WeightsError: weights that are here and cannot be opened.
        """
        if not metric.per_image:
            raise UsageError(f"{metric.id} compares sets; use features() and set_value()")
        if metric.composite is not None:
            return measured(metric.composite, self.per_image, restored, clean)
        if metric.program is not None:
            return values_of(metric, metric.program, restored, clean)
        if metric.id not in self._per_image:
            module = metric_module(metric)
            files = self._files(metric.weights, metric.id)
            with opening(files):
                self._per_image[metric.id] = module.open_metric(metric.variant, files, self.device)
        return self._per_image[metric.id](restored, clean)

    def features(
        self, extractor: str, images: Sequence[Image] | Sequence[Path]
    ) -> npt.NDArray[np.float32]:
        """Return (N, D) float32 features; only pictures the store does not know are computed.

        An extractor of crops has a row for each; `clustered` says whose they are.

        Args:
            extractor: a key of `EXTRACTORS`, as in `Metric.extractor`.
            images: arrays as in `per_image`, or files; floats are rounded to 8 bits first.

        Raises:
            PictureError: bad pixels, an unreadable file, or a picture smaller than a crop.
            UsageError: an unknown extractor, or weights that are missing.
            WeightsError: weights that are here and cannot be opened.
        """
        return self.clustered(extractor, images).rows

    def clustered(self, extractor: str, images: Sequence[Image] | Sequence[Path]) -> Clustered:
        """Return the same features with the picture that each row is of.

        What resamples must draw pictures and never crops: those of one picture are alike.

        Raises:
            PictureError, UsageError: as `features`.
        """
        row = _known(extractor)
        key = self._extractor_key(row)
        return clustered([self._rows(row, key, image) for image in images], row.dimension)

    def set_value(self, metric: Metric, restored: Features, clean: Features) -> float:
        """Return the distance of two sets of features, (N, D) and (M, D).

        Raises:
            UsageError: a metric of single images, or unusable features.
        """
        if metric.per_image:
            raise UsageError(f"{metric.id} looks at single images; use per_image()")
        if metric.module == "frechet":
            self._note_few(metric, len(restored), len(clean))
        module = metric_module(metric)
        function: SetFunction = module.open_set(metric.variant)
        return function(restored, clean)

    def moments_value(
        self,
        metric: Metric,
        restored: Features,
        mean: npt.NDArray[np.float64],
        covariance: npt.NDArray[np.float64],
    ) -> float:
        """Return a Frechet distance of (N, D) features from a known mean and covariance.

        Raises:
            UsageError: unusable features.
        """
        from e2r_metrics.frechet import frechet_to_moments

        self._note_few(metric, len(restored), len(restored))
        return frechet_to_moments(restored, mean, covariance)

    def extractor_key(self, extractor: str) -> str:
        """Return what an extractor's features stand on: its id, preprocessing and weights."""
        return self._extractor_key(EXTRACTORS[extractor])

    def _note_few(self, metric: Metric, n: int, m: int) -> None:
        from e2r_metrics.frechet import few_images_note

        row = EXTRACTORS.get(metric.extractor or "")
        note = few_images_note(n, m, "images" if row is None or row.patch is None else "crops")
        if note and note not in self._noted:
            self._noted.add(note)
            logging.getLogger("e2r_metrics").warning("%s: %s", metric.id, note)

    def _rows(self, row: Extractor, key: str, image: Image | Path) -> npt.NDArray[np.float32]:
        """Return (K, D): one row of a whole picture, or one of each of its crops."""
        pixels = _pixels(image)
        if row.patch is None:
            parts, shape = [pixels], (row.dimension,)
        else:
            parts = crops(pixels, row.patch)
            shape = (len(parts), row.dimension)
        name = content_key(pixels)
        found = self.store.get(key, name) if self.store else None
        if found is None or found.shape != shape:
            extract = self._extractor(_known(row.crops_by or row.id))
            found = np.stack([extract(part) for part in parts]).reshape(shape)
            self._keep(key, name, found)
        return found.reshape(-1, row.dimension)

    def _keep(self, key: str, name: str, vector: npt.NDArray[np.float32]) -> None:
        """Put features into the store; a full or sealed cache ends nothing."""
        if self.store is None:
            return
        try:
            self.store.put(key, name, vector)
        except UsageError as error:
            folder, self.store = self.store.folder, None
            logging.getLogger("e2r_metrics").warning(
                "%s: expected a cache that can be written, found: %s; features are computed anew "
                "each time; E2R_CACHE names another folder", folder, error.__cause__ or error,
            )  # fmt: skip

    def _extractor(self, row: Extractor) -> Extract:
        if row.id not in self._extract:
            module = import_module(f"e2r_metrics.{row.module}")
            files = self._files(row.weights, row.id)
            with opening(files):
                self._extract[row.id] = module.open_extractor(row.id, files, self.device)
        return self._extract[row.id]

    def _extractor_key(self, row: Extractor) -> str:
        hashes = tuple(self.weights.hashes(name) for name in row.weights)
        return extractor_key(row.id, row.preprocessing, hashes)

    def _files(self, names: Sequence[str], user: str) -> Mapping[str, Path]:
        answers = {name: self.weights.find(name) for name in names}
        for answer in answers.values():
            if isinstance(answer, Missing):
                raise UsageError(f"{user}: {answer.reason}; to fetch: {answer.command}")
        return {name: answer.path for name, answer in answers.items() if isinstance(answer, Found)}


def _known(extractor: str) -> Extractor:
    if extractor not in EXTRACTORS:
        raise unknown("feature extractor", extractor, EXTRACTORS)
    return EXTRACTORS[extractor]


def metric_module(metric: Metric) -> Any:
    """Import the module of a metric: one of ours, or a plugin's by its full name."""
    full = metric.module if "." in metric.module else f"e2r_metrics.{metric.module}"
    return import_module(full)


def _pixels(image: Image | Path) -> npt.NDArray[np.uint8]:
    if isinstance(image, Path):
        from e2r_metrics.base.pictures import read_image

        return read_image(image)
    check_image(image)
    return to_uint8(image)
