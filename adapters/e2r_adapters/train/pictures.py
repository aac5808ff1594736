"""Training pairs: a clean picture and its degraded twin, from files or painted."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from e2r_baselines.degrade import degrade
from e2r_baselines.procedural import dead_leaves
from e2r_baselines.tasks import TASKS, Task
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import PictureError, UsageError, unknown
from e2r_metrics.base.pairs import Pair as Files
from e2r_metrics.base.pictures import EightBit, Reading, eight_bit, read_image

MADE = ("denoise", "dehaze")
"""Kinds of task that are trained on clean pictures too. Rain is none: painted streaks are not those
of any set, and pairs of it are to be had."""


@dataclass(frozen=True, eq=False)
class Pair:
    """One training pair.

    Attributes:
        task: the training task.
        name: the degraded file's name as pairing says it, or the index of a painted pair.
        key: sha256 over size and pixels of both pictures; what caches and records go by.
        clean, degraded: (H, W, 3) uint8 RGB of equal size.
        files: the files that were read; empty for painted pairs.
        caption: its own instruction; "" for its task's.
    """

    task: str
    name: str
    key: str
    clean: EightBit
    degraded: EightBit
    files: tuple[Path, ...] = ()
    caption: str = ""


def content_hash(*pictures: EightBit) -> str:
    """Return the sha256 of the sizes and pixels of some pictures, in hexadecimal."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.shape}".encode())
        digest.update(np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()


def read_pair(task: str, files: Files, reading: Reading, caption: str = "") -> Pair:
    """Decode one pair of files; UsageError for a broken file or unequal sizes."""
    clean, degraded = _read(files.clean, reading), _read(files.first, reading)
    if clean.shape != degraded.shape:
        sizes = " and ".join(f"{p.shape[1]}x{p.shape[0]}" for p in (clean, degraded))
        raise UsageError(f"{files.first}: expected the size of {files.clean}, found {sizes}")
    key = content_hash(clean, degraded)
    return Pair(task, files.name, key, clean, degraded, (files.clean, files.first), caption)


def clean_pair(task: str, name: str, path: Path, reading: Reading) -> Pair:
    """Read a clean picture that stands for both sides: it is degraded when it is shown."""
    clean = _read(path, reading)
    return Pair(task, name, content_hash(clean, clean), clean, clean, (path,))


def made_pair(task: str, name: str, path: Path, seed: int, index: int, reading: Reading) -> Pair:
    """Read a clean picture and degrade it as the task says, clipped and rounded to 8 bits.

    Haze takes the stated model of depth: it rises from 0.25 at the bottom row to 1 at the top row.

    Args:
        task: of a kind in `MADE`; the bare kind denoise cycles through sigma 15, 25 and 50.
        name: of the picture; with the seed, it decides every draw.
        path: the clean file.
        seed: the pairs seed.
        index: place of the picture among those drawn, which the cycle goes by.
        reading: see `Reading`.
    """
    clean = _read(path, reading)
    pixels = np.divide(clean, 255, dtype=np.float32)
    rng = rng_for(seed, f"{task}/{name}", "training-pair-noise")
    rows = np.linspace(1, 0.25, clean.shape[0], dtype=np.float32)
    depth = np.broadcast_to(rows[:, None], clean.shape[:2])
    degraded = eight_bit(degrade(_degradation(task, index), pixels, depth, rng))
    return Pair(task, name, content_hash(clean, degraded), clean, degraded, (path,))


def _read(path: Path, reading: Reading) -> EightBit:
    try:
        return read_image(path, reading)
    except PictureError as error:
        # A training cannot go on without one of its pictures.
        raise UsageError(str(error)) from error


def painted_pair(task: str, seed: int, index: int, side: int, made: bool = True) -> Pair:
    """Paint a dead-leaves scene and degrade it as the task says, rounded to 8 bits.

    Args:
        task: a task name; the bare kind "denoise" cycles through sigma 15, 25 and 50.
        seed: with the index, decides every draw. The clean scenes of two tasks differ.
        index: number of the pair.
        side: height and width in pixels.
        made: False for a scene that stands for both sides: it is degraded when it is shown.
    """
    rng = rng_for(seed, f"{task}/{index}", "training-pair")
    scene, depth = dead_leaves(rng, side)
    clean = eight_bit(scene)
    pixels = np.divide(clean, 255, dtype=np.float32)
    known = _degradation(task, index)
    degraded = eight_bit(degrade(known, pixels, depth, rng)) if made else clean
    return Pair(task, f"{index:05d}", content_hash(clean, degraded), clean, degraded)


def _degradation(task: str, index: int) -> Task:
    if task == "denoise":
        return TASKS[("denoise15", "denoise25", "denoise50")[index % 3]]
    if task in TASKS:
        return TASKS[task]
    raise unknown("training task", task, ("denoise", *TASKS))


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
    check_size(pair, side)
    height, width = pair.clean.shape[:2]
    rng = rng_for(0, pair.key, "training-crop")
    y, x = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    window = (slice(y, y + side), slice(x, x + side))
    return pair.clean[window], pair.degraded[window]


def check_size(pair: Pair, side: int) -> None:
    """Raise `UsageError` for a pair that no window of a side can be cut from."""
    height, width = pair.clean.shape[:2]
    if min(height, width) < side:
        raise UsageError(
            f"pair {pair.name!r} of {pair.task}: expected at least {side}x{side} pixels to crop, "
            f"found {width}x{height}"
        )
