"""Features on disk, keyed by what was looked at and by what looked: never by a name."""

import hashlib
import io
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.cache import cache_folder
from e2r_metrics.base.files import tidy, write_bytes
from e2r_metrics.clusters import Vector


class FeatureStore:
    """A folder of pictures' features that any number of processes may read and write.

    They are written to a temporary name and renamed, so they are there whole or not at all; two
    processes that compute the same ones write the same bytes.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder; None is the project's cache folder."""
        self.folder = folder or cache_folder() / "features"
        tidy(self.folder)

    def get(self, extractor: str, image: str) -> Vector | None:
        """Return a picture's features, or None if they were never computed or were damaged.

        They are (D,) float32, of an extractor of crops (K, D).

        Args:
            extractor: key of network, weights and preprocessing.
            image: key of the pixels, from `content_key`.
        """
        try:
            with self._path(extractor, image).open("rb") as stream:
                found = np.load(stream, allow_pickle=False)
        except (OSError, ValueError, EOFError, BadZipFile):
            return None
        # What opens may be an archive, of another kind, or hold what no network gives.
        good = isinstance(found, np.ndarray) and found.dtype == np.float32
        return found if good and np.isfinite(found).all() else None

    def put(self, extractor: str, image: str, vector: Vector) -> None:
        """Keep features, (D,) or (K, D) float32; keys as in `get`.

        Raises:
            UsageError: the folder cannot be written.
        """
        buffer = io.BytesIO()
        np.save(buffer, vector, allow_pickle=False)
        # Right below the folder, where what a kill leaves is found without a walk through all.
        write_bytes(self._path(extractor, image), buffer.getvalue(), aside=self.folder)

    def _path(self, extractor: str, image: str) -> Path:
        return self.folder / extractor / image[:2] / f"{image}.npy"


def content_key(pixels: npt.NDArray[Any]) -> str:
    """Return the key of an image: the SHA-256 of its shape and its pixels, features' in 8 bits."""
    digest = hashlib.sha256(str(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def extractor_key(identity: str, preprocessing: str, weights: tuple[str, ...]) -> str:
    """Return the key of an extractor: readable id and a digest of all that defines it."""
    digest = hashlib.sha256("\x1f".join((identity, preprocessing, *weights)).encode())
    return f"{identity}-{digest.hexdigest()[:12]}"
