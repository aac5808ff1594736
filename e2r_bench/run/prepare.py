"""From sources to pairs: crop, degrade and round as the protocol says, once, onto disk."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from e2r_baselines.degrade import degrade
from e2r_baselines.method import Photo, Pixels
from e2r_baselines.tasks import Task
from e2r_bench.run.data import Dataset, Source, read_clean, read_degraded, read_depth
from e2r_bench.run.protocols import Protocol
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import AS_STORED, EightBit, Reading, read_image, write_png

_STREAM_SIGMAS = (15.0, 25.0, 50.0)


@dataclass(frozen=True)
class TaskSet:
    """One task on one data set, under one protocol, cut to a limit.

    Attributes:
        task: what the restorers are told.
        dataset: the whole set; a noise stream runs over all of it, whatever the limit.
        sources: the first pictures of it, the ones that are restored.
        protocol: crop, noise and rounding.
        noise_seed: seed of our own degradations.
        reading: how the set's files become pixels.
    """

    task: Task
    dataset: Dataset
    sources: tuple[Source, ...]
    protocol: Protocol
    noise_seed: int
    reading: Reading = AS_STORED

    @property
    def truth(self) -> bool:
        """Return whether the pictures have a ground truth."""
        return self.dataset.truth

    def from_files(self) -> bool:
        """Say whether the degraded pictures are the set's own, not made by us."""
        if not self.truth:
            return True
        if self.task.kind == "denoise":
            return self.protocol.noise == "files"
        return self.dataset.sources[0].degraded is not None

    def degradation(self) -> str:
        """Describe in one string how the degraded pictures came to be."""
        border = self.border
        shaved = f", {border} pixels of each border not scored" if border else ""
        return f"{self._made()}{shaved}"

    @property
    def border(self) -> int:
        """Return how many pixels of each border no metric looks at."""
        return self.protocol.border(self.task.shave)

    def _made(self) -> str:
        if self.from_files():
            return f"files of {self.dataset.name}" + ("" if self.truth else ", without a truth")
        if self.task.kind == "denoise":
            named = {"per-image": f"PCG64 by (seed {self.noise_seed}, image, sigma)"}
            drawn = named.get(self.protocol.noise, f"legacy seed 0, {self.protocol.noise}")
            return f"Gaussian sigma {self.task.sigma:g}, {drawn}, {self.protocol.rounding}"
        what = self.task.says or self.task.kind
        return f"synthetic {what}, PCG64 by (seed {self.noise_seed}, image)"


def prepare(pictures: TaskSet, folder: Path) -> Iterator[tuple[str, PictureError | None]]:
    """Write clean/ and degraded/ PNG pairs, yielding each image's name as it is done.

    Where there is no truth, degraded/ stands alone.

    What is on disk already is kept. Every file is decoded here, so that a broken one is known
    before anything is restored; it comes with its error, and the rest goes on.

    Raises:
        UsageError: a folder that cannot be written, or a broken picture in a set whose noise is
            one stream: that of every later picture would change.
    """
    made = _Made(pictures, folder)
    for source in pictures.sources:
        try:
            made.write(source)
        except PictureError as error:
            yield source.id, error
        else:
            yield source.id, None


class _Made:
    """Makes the pairs of a set one by one; a stream of noise is drawn at most once."""

    def __init__(self, pictures: TaskSet, folder: Path) -> None:
        self._pictures, self._folder = pictures, folder
        drawn = pictures.task.kind == "denoise" and pictures.protocol.noise == "stream"
        streamed = drawn and pictures.truth
        todo = {s.id for s in pictures.sources if not self._there(s)}
        self._stream = _stream(pictures, todo) if streamed and todo else None
        self._truncate = pictures.protocol.rounding == "truncate" and not pictures.from_files()

    def _there(self, source: Source) -> bool:
        clean, degraded = _pair(self._folder, source.id)
        return degraded.is_file() and (source.clean is None or clean.is_file())

    def write(self, source: Source) -> None:
        if self._there(source):
            return
        pictures = self._pictures
        clean_path, degraded_path = _pair(self._folder, source.id)
        known = source.clean is not None
        clean = crop(read_clean(source, pictures.reading), pictures.protocol) if known else None
        made = next(self._stream) if self._stream else degraded_pixels(pictures, source)
        if clean is not None:
            write_png(clean_path, clean)
        write_png(degraded_path, to_eight_bit(made, self._truncate))


def _pair(folder: Path, image: str) -> tuple[Path, Path]:
    return folder / "clean" / f"{image}.png", folder / "degraded" / f"{image}.png"


def degraded_pixels(pictures: TaskSet, source: Source) -> Pixels:
    """Degrade one picture, by a generator that knows only its name: float32, not yet rounded.

    Raises:
        UsageError: the protocol draws noise from one stream, where no picture stands alone.
    """
    protocol, task = pictures.protocol, pictures.task
    if pictures.from_files():
        return to_float(crop(read_degraded(source, pictures.reading), protocol))
    clean = to_float(crop(read_clean(source, pictures.reading), protocol))
    if task.kind == "denoise" and protocol.noise == "reseeded":
        return clean + _legacy_noise(np.random.RandomState(0), clean.shape, task.sigma)
    if task.kind == "denoise" and protocol.noise != "per-image":
        raise UsageError(
            f"protocol {protocol.name!r} draws noise in a stream; prepare the whole set"
        )
    purpose = f"degrade {task.kind}" + (f" {task.sigma:g}" if task.sigma else "")
    rng = rng_for(pictures.noise_seed, source.id, purpose)
    depth = crop_any(read_depth(source), protocol)
    return degrade(task, clean, depth, rng)


def _stream(pictures: TaskSet, wanted: Set[str]) -> Iterator[Pixels]:
    """Draw as AirNet's evaluation does: one legacy stream over all images, sigma after sigma."""
    try:
        yield from _streamed(pictures, wanted)
    except PictureError as error:
        raise UsageError(
            f"{error}; protocol {pictures.protocol.name!r} draws the noise of a whole set in one "
            "stream, so each of its pictures must be there: mend it, or choose another --protocol"
        ) from error


def _streamed(pictures: TaskSet, wanted: Set[str]) -> Iterator[Pixels]:
    rng = np.random.RandomState(0)
    for sigma in _STREAM_SIGMAS:
        for source in pictures.dataset.sources:
            height, width = cropped_size(source.size(), pictures.protocol)
            noise = _legacy_noise(rng, (height, width, 3), sigma)
            if sigma == pictures.task.sigma and source.id in wanted:
                clean = crop(read_clean(source, pictures.reading), pictures.protocol)
                yield to_float(clean) + noise
        if sigma == pictures.task.sigma:
            return


def _legacy_noise(
    rng: np.random.RandomState, shape: tuple[int, ...], sigma: float | None
) -> Pixels:
    if sigma is None:
        raise UsageError("a noise task states no sigma; use denoise15, denoise25 or denoise50")
    return (rng.randn(*shape) * (sigma / 255)).astype(np.float32)


def crop(image: EightBit, protocol: Protocol) -> EightBit:
    """Crop (H, W, 3) as the protocol says; PictureError for one smaller than its squares."""
    return protocol.view.box(*image.shape[:2]).of(image)


def crop_any(plane: Pixels, protocol: Protocol) -> Pixels:
    """Crop a float plane, (H, W) or (H, W, 3), as the protocol says."""
    return protocol.view.box(*plane.shape[:2]).of(plane)


def cropped_size(size: tuple[int, int], protocol: Protocol) -> tuple[int, int]:
    """Return the (height, width) that is left of a picture of `size`."""
    box = protocol.view.box(*size)
    return box.bottom - box.top, box.right - box.left


def to_float(image: EightBit) -> Pixels:
    """Return float32 in [0, 1]."""
    return (image.astype(np.float32) / 255).astype(np.float32)


def to_eight_bit(pixels: Pixels, truncate: bool = False) -> EightBit:
    """Clip to [0, 1] and go to 8 bits, by rounding or by truncation."""
    # In float64: the original computes clip(clean + randn * sigma, 0, 255) in double precision.
    scaled = np.clip(pixels.astype(np.float64) * 255, 0, 255)
    return (scaled if truncate else np.rint(scaled)).astype(np.uint8)


def photo(pictures: TaskSet, source: Source, folder: Path, feed: str) -> Photo:
    """Return what a restorer is handed: the pair's picture, or the unclipped float noise.

    Args:
        pictures: the task's set.
        source: which picture.
        folder: where `prepare` wrote the pairs.
        feed: see `MethodSpec.feed`.
    """
    clean_path, degraded_path = _pair(folder, source.id)
    if feed == "clean":
        return Photo(source.id, to_float(read_image(clean_path)))
    if feed == "both":
        truth = to_float(read_image(clean_path))
        return replace(photo(pictures, source, folder, "degraded"), truth=truth)
    ours = not pictures.from_files() and pictures.task.kind == "denoise"
    if ours and pictures.protocol.rounding == "unclipped":
        return Photo(source.id, degraded_pixels(pictures, source))
    return Photo(source.id, to_float(read_image(degraded_path)))
