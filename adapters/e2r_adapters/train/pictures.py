"""Training pairs: a clean picture and its degraded twin, from folders or painted."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from e2r_baselines.degrade import degrade
from e2r_baselines.method import Pixels
from e2r_baselines.procedural import dead_leaves
from e2r_baselines.tasks import TASKS, Task
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError

EightBit = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

PROCEDURAL = "procedural"
_LAYOUTS = (("clean", "degraded"), ("target", "input"))
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})


@dataclass(frozen=True, eq=False)
class Pair:
    """One training pair.

    Attributes:
        task: the training task.
        name: the file name, or the index of a painted pair.
        key: sha256 over size and pixels of both pictures; what caches and records go by.
        clean, degraded: (H, W, 3) uint8 RGB of equal size.
        files: the clean and the degraded file; empty for painted pairs.
    """

    task: str
    name: str
    key: str
    clean: EightBit
    degraded: EightBit
    files: tuple[Path, ...] = ()


def content_hash(*pictures: EightBit) -> str:
    """Return the sha256 of the sizes and pixels of some pictures, in hexadecimal."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.shape}".encode())
        digest.update(np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()


def list_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Pair the files of `clean/` with `degraded/`, or of `target/` with `input/`, by name.

    Returns:
        (clean, degraded) paths, sorted by name. The suffix may differ.

    Raises:
        UsageError: no such folders, no pictures, or a file without partner.
    """
    for clean, degraded in _LAYOUTS:
        if (folder / clean).is_dir() and (folder / degraded).is_dir():
            return _match(_pictures(folder / clean), _pictures(folder / degraded), folder)
    raise UsageError(f"{folder}: expected folders clean/ and degraded/, or target/ and input/")


def _pictures(folder: Path) -> dict[str, Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return {path.stem: path for path in found}


def _match(
    clean: dict[str, Path], degraded: dict[str, Path], folder: Path
) -> list[tuple[Path, Path]]:
    alone = sorted(clean.keys() ^ degraded.keys())
    if alone:
        path = clean.get(alone[0], degraded.get(alone[0]))
        raise UsageError(
            f"{path}: no partner of the same name; {len(alone)} such files in {folder}"
        )
    if not clean:
        raise UsageError(f"{folder}: expected pictures, found none")
    return [(clean[stem], degraded[stem]) for stem in sorted(clean)]


def read_pair(task: str, clean: Path, degraded: Path) -> Pair:
    """Decode one pair of files; UsageError for a broken file or unequal sizes."""
    pictures = (_decode(clean), _decode(degraded))
    if pictures[0].shape != pictures[1].shape:
        sizes = " and ".join(f"{p.shape[1]}x{p.shape[0]}" for p in pictures)
        raise UsageError(f"{degraded}: expected the size of {clean}, found {sizes}")
    key = content_hash(*pictures)
    return Pair(task, clean.stem, key, pictures[0], pictures[1], (clean, degraded))


def _decode(path: Path) -> EightBit:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise UsageError(f"{path}: expected a whole image file, found: {error}") from error


def painted_pair(task: str, seed: int, index: int, side: int) -> Pair:
    """Paint a dead-leaves scene and degrade it as the task says, rounded to 8 bits.

    Args:
        task: a task name; the bare kind "denoise" cycles through sigma 15, 25 and 50.
        seed: with the index, decides every draw. The clean scenes of two tasks differ.
        index: number of the pair.
        side: height and width in pixels.
    """
    rng = rng_for(seed, f"{task}/{index}", "training-pair")
    clean, depth = dead_leaves(rng, side)
    clean = _eight_bit(clean)
    pixels: Pixels = np.divide(clean, 255, dtype=np.float32)
    hurt = degrade(_degradation(task, index), pixels, depth, rng)
    degraded = _eight_bit(hurt)
    return Pair(task, f"{index:05d}", content_hash(clean, degraded), clean, degraded)


def _eight_bit(pixels: Pixels) -> EightBit:
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def _degradation(task: str, index: int) -> Task:
    if task == "denoise":
        return TASKS[("denoise15", "denoise25", "denoise50")[index % 3]]
    if task in TASKS:
        return TASKS[task]
    raise UsageError(f"unknown task {task!r}: known: denoise, {', '.join(TASKS)}")


def squared(pair: Pair, side: int, fit: Literal["squash", "crop"]) -> tuple[EightBit, EightBit]:
    """Make both pictures of a pair square, by the same window or the same resize.

    Args:
        pair: any size.
        side: of the result in pixels.
        fit: "squash" resizes bilinearly and ignores the aspect, as the paper's training does;
            "crop" cuts one window, whose place is a function of the pair's content.

    Raises:
        UsageError: the picture is too small to crop.
    """
    from PIL import Image

    if fit == "squash":
        size, how = (side, side), Image.Resampling.BILINEAR
        both = (Image.fromarray(p).resize(size, how) for p in (pair.clean, pair.degraded))
        clean, degraded = (np.asarray(image) for image in both)
        return clean, degraded
    height, width = pair.clean.shape[:2]
    if min(height, width) < side:
        raise UsageError(
            f"pair {pair.name!r} of {pair.task}: expected at least {side}x{side} pixels to crop, "
            f"found {width}x{height}"
        )
    rng = rng_for(0, pair.key, "training-crop")
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    window = (slice(y, y + side), slice(x, x + side))
    return pair.clean[window], pair.degraded[window]
