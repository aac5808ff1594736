"""Features with whose they are: a picture may have many rows, and resamples draw pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clustered:
    """Features of pictures: a row for each, or for each of its crops.

    Attributes:
        rows: (R, D) float32; those of a picture stand together.
        pictures: (R,) of which picture each row is, by its place from 0.
    """

    rows: Vector
    pictures: npt.NDArray[np.intp]

    def of(self, places: Sequence[int]) -> "Clustered":
        """Return the rows of some pictures, in the order given."""
        parts = [self.rows[self.pictures == place] for place in places]
        return clustered(parts, self.rows.shape[1])


def clustered(parts: Sequence[Vector], dimension: int) -> Clustered:
    """Return the rows of pictures, (K, D) each, with whose they are."""
    counts = [len(part) for part in parts]
    rows = np.concatenate([np.empty((0, dimension), np.float32), *parts])
    return Clustered(rows, np.repeat(np.arange(len(parts)), counts))
