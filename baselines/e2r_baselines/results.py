"""Results that lie on disk: found by (task, image) and read as every other picture is."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from e2r_baselines.degrade import Pixels, Task
from e2r_baselines.method import Draw, Photo, Restored
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pairs import (
    BEGINNINGS,
    ENDINGS,
    EXACT,
    Matching,
    list_pictures,
    partners,
)
from e2r_metrics.base.pictures import Reading, picture_size, read_pixels

_SIDES = frozenset((*ENDINGS, *BEGINNINGS))


@dataclass(frozen=True)
class _Listing:
    """The pictures of one folder, and which of them a name could mean."""

    pictures: Mapping[str, Path]
    by_core: Mapping[str, Mapping[str, Path]]

    @classmethod
    def of(cls, folder: Path, recursive: bool) -> "_Listing":
        pictures = list_pictures(folder, recursive)
        by_core: dict[str, dict[str, Path]] = {}
        for name, path in pictures.items():
            by_core.setdefault(_core(name), {})[name] = path
        return cls(pictures, by_core)

    def near(self, image: str, matching: Matching) -> Mapping[str, Path]:
        """Return all that `partners` could pair with `image`: it looks at each that it is given."""
        if matching.pattern is None:
            return self.by_core.get(_core(image), {})
        stem = image.rpartition("/")[2]
        return {name: path for name, path in self.pictures.items() if stem in name}


def _core(name: str) -> str:
    """Return a name without any part that says which side a file is of: partners have one core."""
    folder, slash, stem = name.lower().rpartition("/")
    return folder + slash + "_".join(p for p in re.split("[-_]", stem) if p not in _SIDES)


@dataclass(frozen=True)
class Results:
    """The pictures of a folder by (task, image), listed once.

    Attributes:
        root: the folder, or the one that has a folder for each task.
        matching: how it is searched, and how names differ.
    """

    root: Path
    matching: Matching = EXACT
    _listed: dict[Path, _Listing] = field(
        default_factory=dict[Path, _Listing], compare=False, repr=False
    )
    _given: dict[Path, tuple[str, str]] = field(
        default_factory=dict[Path, tuple[str, str]], compare=False, repr=False
    )

    def folder(self, task: str) -> Path:
        """Return where the results of a task lie."""
        own = self.root / task
        return own if own.is_dir() else self.root

    def find(self, task: str, image: str) -> Path | None:
        """Return the result of one image, None if there is none.

        Raises:
            UsageError: the folder has no pictures, two of one name, or one that would serve two
                images or two tasks.
        """
        folder = self.folder(task)
        if folder not in self._listed:
            self._listed[folder] = _Listing.of(folder, self.matching.recursive)
        listing = self._listed[folder]
        key = self._key(image, listing, folder)
        return None if key is None else self._only(task, image, listing.pictures[key])

    def _key(self, image: str, listing: _Listing, folder: Path) -> str | None:
        if self.matching.pattern is None and image in listing.pictures:
            return image
        near = listing.near(image, self.matching)
        key = partners([image], near, self.matching, str(folder))[image]
        if key is None or self.matching.pattern is not None:
            return key
        # A clean picture may have many degraded ones, a result has one: both must find each other.
        own = {image: near[key]}
        return key if partners([key], own, self.matching, str(folder))[key] else None

    def _only(self, task: str, image: str, path: Path) -> Path:
        """Return `path` for the first that asks for it; a result is of one picture in one task."""
        for_task, for_image = self._given.setdefault(path, (task, image))
        if for_image != image:
            raise UsageError(
                f"{path}: expected the result of one picture, found it to be that of "
                f"{for_image!r} and {image!r}; rename it, or say how names differ with "
                'pair="{name}_out"'
            )
        if for_task != task:
            raise UsageError(
                f"{path}: expected the result of one task, found it to be that of {for_task} and "
                f"{task}; put each task's results into a folder of its name, such as "
                f"{self.root / task}"
            )
        return path


def read_result(path: Path, photo: Photo, reading: Reading) -> Pixels:
    """Read a picture that a photo became: float32 in [0, 1], no depth lost.

    Raises:
        PictureError: it cannot be read whole, or has another size.
    """
    height, width = photo.pixels.shape[:2]
    found = picture_size(path)
    # Before it is decoded: a picture of the right size is one that its input's reader let pass.
    if found != (height, width):
        raise PictureError(
            f"{path}: expected {width}x{height} as its input is, found {found[1]}x{found[0]}"
        )
    limit = max(reading.most_pixels, height * width)
    pixels = read_pixels(path, Reading(reading.value_range, reading.flatten, limit))
    return pixels / np.float32(255) if pixels.dtype == np.uint8 else pixels.astype(np.float32)


@dataclass(frozen=True)
class FolderRestorer:
    """Reads what somebody else restored."""

    results: Results
    reading: Reading

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw; see `Restorer.restore`.

        Raises:
            PictureError: a photo's picture is missing, cannot be read, or has another size.
            UsageError: names that do not say whose result a picture is.
        """
        for photo in photos:
            path = self.results.find(task.name, photo.id)
            if path is None:
                raise PictureError(
                    f"{self.results.folder(task.name)}: expected one picture named {photo.id!r}, "
                    "found none"
                )
            pixels = read_result(path, photo, self.reading)
            for draw in draws:
                yield Restored(photo.id, draw, pixels)
