"""Where the photographs come from: the embedded `mini` set, or folders, paired by name."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from e2r_baselines.degrade import Depth
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pairs import (
    EXACT,
    SUFFIXES,
    Matching,
    Pair,
    dataset_pairs,
    list_pictures,
    sides_of,
)
from e2r_metrics.base.pictures import AS_STORED, EightBit, Reading, picture_size, read_image

# Crops of the colour photographs in scikit-image's wheel: (top, left) corners, 128 pixels square.
# The data card is docs/data.md; no weight that ships was trained on any of them.
MINI_SIDE = 128
_MINI_GRID: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "astronaut": ((0, 140, 280), (20, 170, 320)),
    "chelsea": ((22, 150), (30, 160, 290)),
    "coffee": ((8, 136, 264), (100, 236, 372)),
    "motorcycle_left": ((150, 290), (40, 170, 300, 430, 560)),
    "rocket": ((140, 280), (180, 310, 440)),
}


@dataclass(frozen=True)
class Source:
    """One clean photograph, or a crop of one, and its degraded partner where there is one.

    Attributes:
        id: the image's name in every row; a file stem, or photograph and corner.
        scene: what it is a picture of; images of one scene are not independent.
        clean: the clean file.
        degraded: the degraded file, None where the degradation is ours to make.
        box: (top, left, side) of a crop, None for the whole picture.
        disparity: file of true disparities, None where depth is the stated model.
    """

    id: str
    scene: str
    clean: Path
    degraded: Path | None = None
    box: tuple[int, int, int] | None = None
    disparity: Path | None = None

    def window(self) -> tuple[slice, slice]:
        """Return the rows and columns of the whole picture that this source is."""
        if self.box is None:
            return slice(None), slice(None)
        top, left, side = self.box
        return slice(top, top + side), slice(left, left + side)

    def size(self) -> tuple[int, int]:
        """Return (height, width) without decoding."""
        return picture_size(self.clean) if self.box is None else (self.box[2], self.box[2])


@dataclass(frozen=True)
class Dataset:
    """A named list of sources, in the order that `--limit` cuts."""

    name: str
    sources: tuple[Source, ...]


def mini() -> Dataset:
    """Return the embedded default: crops of photographs in scikit-image's wheel.

    The order goes round the photographs, so that a limited run still sees several scenes.
    """
    folder = _skimage_data()
    by_photo = [_mini_crops(folder, photo) for photo in _MINI_GRID]
    longest = max(len(crops) for crops in by_photo)
    order = [crops[k] for k in range(longest) for crops in by_photo if k < len(crops)]
    return Dataset("mini", tuple(order))


def _skimage_data() -> Path:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise UsageError("data set 'mini' needs scikit-image: pip install scikit-image")
    return Path(spec.origin).parent / "data"


def _mini_crops(folder: Path, photo: str) -> list[Source]:
    tops, lefts = _MINI_GRID[photo]
    disparity = folder / "motorcycle_disp.npz" if photo == "motorcycle_left" else None
    return [
        Source(
            id=f"{photo}_{top:03d}_{left:03d}",
            scene=photo,
            clean=folder / f"{photo}.png" if photo != "rocket" else folder / "rocket.jpg",
            box=(top, left, MINI_SIDE),
            disparity=disparity,
        )
        for top in tops
        for left in lefts
    ]


def folder(path: Path, matching: Matching = EXACT) -> Dataset:
    """Read a folder of photographs: flat (clean only), or pairs as `e2r_metrics.base.pairs` says.

    Raises:
        UsageError: not a folder, no images, or files without a partner (all are named).
    """
    if not path.is_dir():
        raise UsageError(
            f"--data {path}: expected 'mini' or a folder of images, found no such folder"
        )
    degraded, clean = sides_of(path)
    flat = not (degraded or clean) and not matching.recursive
    if flat and any(file.suffix.lower() in SUFFIXES for file in path.iterdir()):
        found = list_pictures(path)
        sources = [Source(name, name, file) for name, file in found.items()]
    else:
        sources = [_paired(pair) for pair in dataset_pairs(path, matching)]
    return Dataset(_name(path.resolve()), tuple(sources))


def _paired(pair: Pair) -> Source:
    """Return a source; frames of one sequence, and hazes of one photograph, are one scene."""
    sequence = pair.name.rpartition("/")[0]
    return Source(pair.name, sequence or pair.clean.stem, pair.clean, degraded=pair.first)


def _name(path: Path) -> str:
    """Return the set's name; "test" alone would not say of what."""
    split = path.name.lower() in ("test", "train", "val", "valid", "validation")
    return f"{path.parent.name}/{path.name}" if split else path.name


def load_dataset(where: str, matching: Matching = EXACT) -> Dataset:
    """Return `mini`, or the folder at a path; UsageError if it is neither."""
    if where == "mini":
        return mini()
    found = folder(Path(where).expanduser(), matching)
    for source in found.sources:
        _check_name(source)
    return found


def _check_name(source: Source) -> None:
    """Refuse a name that no record can hold: JSON, CSV and pages are UTF-8."""
    try:
        source.id.encode()
    except UnicodeEncodeError as error:
        raise UsageError(
            f"{str(source.clean)!a}: expected a file name in UTF-8, found bytes that are none; "
            "rename it"
        ) from error


def read_clean(source: Source, reading: Reading = AS_STORED) -> EightBit:
    """Decode the clean picture, cropped to the source's box: (H, W, 3) uint8 RGB."""
    return read_image(source.clean, reading)[source.window()]


def read_degraded(source: Source, reading: Reading = AS_STORED) -> EightBit:
    """Decode the degraded partner.

    Raises:
        UsageError: the set has none.
        PictureError: it cannot be read, or its size is not the clean one's.
    """
    if source.degraded is None:
        raise UsageError(
            f"{source.clean.name}: the protocol takes degraded files, and this set has only clean "
            "ones; give pairs, or another --protocol"
        )
    degraded = read_image(source.degraded, reading)
    if degraded.shape[:2] != source.size():
        expected, found = (f"{w}x{h}" for h, w in (source.size(), degraded.shape[:2]))
        raise PictureError(
            f"{source.degraded}: expected {expected}, the size of {source.clean.name}, found "
            f"{found}"
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
        height, width = picture_size(source.clean)
        rows = np.linspace(1, 0.25, height, dtype=np.float32)
        return np.broadcast_to(rows[:, None], (height, width))[source.window()]
    from scipy.ndimage import distance_transform_edt

    disparity = np.load(source.disparity)["arr_0"].astype(np.float64)
    nearest = distance_transform_edt(
        ~np.isfinite(disparity), return_distances=False, return_indices=True
    )
    inverse = disparity[tuple(np.asarray(nearest))] + 31.086
    return (inverse.min() / inverse).astype(np.float32)[source.window()]
