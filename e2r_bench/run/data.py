"""The photographs of a set: where each one's pixels are, and how they are read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2r_baselines.degrade import Depth
from e2r_bench.store.info import NO_TRUTH
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import AS_STORED, EightBit, Reading, picture_size, read_image


@dataclass(frozen=True)
class Source:
    """One photograph, or a crop of one: clean, degraded, or both.

    Attributes:
        id: the image's name in every row; a file stem, or photograph and corner.
        scene: what it is a picture of; images of one scene are not independent.
        clean: the clean file, None where there is no truth.
        degraded: the degraded file, None where the degradation is ours to make.
        box: (top, left, side) of a crop, None for the whole picture.
        disparity: file of true disparities, None where depth is the stated model.
    """

    id: str
    scene: str
    clean: Path | None
    degraded: Path | None = None
    box: tuple[int, int, int] | None = None
    disparity: Path | None = None

    @property
    def file(self) -> Path:
        """Return the file that says name and size: the clean one, or the input where it is alone.

        Raises:
            ValueError: it has neither.
        """
        found = self.clean or self.degraded
        if found is None:
            raise ValueError(f"source {self.id!r} has no file")
        return found

    def window(self) -> tuple[slice, slice]:
        """Return the rows and columns of the whole picture that this source is."""
        if self.box is None:
            return slice(None), slice(None)
        top, left, side = self.box
        return slice(top, top + side), slice(left, left + side)

    def size(self) -> tuple[int, int]:
        """Return (height, width) without decoding."""
        return picture_size(self.file) if self.box is None else (self.box[2], self.box[2])


@dataclass(frozen=True)
class Dataset:
    """A named list of sources, in the order that `--limit` cuts.

    Attributes:
        name: as every table and record says it; an embedded set's has its edition in it.
        sources: the pictures; all of them have a truth, or none.
    """

    name: str
    sources: tuple[Source, ...]

    @property
    def truth(self) -> bool:
        """Return whether the pictures have a ground truth."""
        return self.sources[0].clean is not None


def read_clean(source: Source, reading: Reading = AS_STORED) -> EightBit:
    """Decode the clean picture, cropped to the source's box: (H, W, 3) uint8 RGB.

    Raises:
        UsageError: there is no truth.
        PictureError: it cannot be read.
    """
    if source.clean is None:
        raise UsageError(f"{source.file}: {NO_TRUTH}; give pairs, or clean pictures")
    return read_image(source.clean, reading)[source.window()]


def read_degraded(source: Source, reading: Reading = AS_STORED) -> EightBit:
    """Decode the degraded partner.

    Raises:
        UsageError: the set has none.
        PictureError: it cannot be read, or its size is not the clean one's.
    """
    if source.degraded is None:
        raise UsageError(
            f"{source.file.name}: the protocol takes degraded files, and this set has only clean "
            "ones; give pairs, or another --protocol"
        )
    degraded = read_image(source.degraded, reading)
    if degraded.shape[:2] != source.size():
        expected, found = (f"{w}x{h}" for h, w in (source.size(), degraded.shape[:2]))
        raise PictureError(
            f"{source.degraded}: expected {expected}, the size of {source.file.name}, found {found}"
        )
    return degraded


def read_depth(source: Source) -> Depth:
    """Return relative depth in [0, 1] for haze: (H, W) float32, of the source's box.

    From true disparity where there is one: z = f b / (d + offset), with the published calibration
    of the Middlebury 2014 motorcycle pair; unmatched pixels take their nearest matched one. Else
    the stated model: depth rises linearly from 0.25 at the bottom row of the photograph to 1 at
    its top row.
    """
    if source.disparity is None:
        height, width = picture_size(source.file)
        rows = np.linspace(1, 0.25, height, dtype=np.float32)
        return np.broadcast_to(rows[:, None], (height, width))[source.window()]
    from scipy.ndimage import distance_transform_edt

    disparity = np.load(source.disparity)["arr_0"].astype(np.float64)
    nearest = distance_transform_edt(
        ~np.isfinite(disparity), return_distances=False, return_indices=True
    )
    inverse = disparity[tuple(np.asarray(nearest))] + 31.086
    return (inverse.min() / inverse).astype(np.float32)[source.window()]
