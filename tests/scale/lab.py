"""One small experiment, which every way to run must end in the same bytes of.

Its methods pickle, count how often they are opened, and die where they are told to.
"""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from e2r_baselines.controls import CLEAN, DEGRADED
from e2r_baselines.method import Build, Compute, Draw, Method, MethodSpec, Photo, Restored, fixed
from e2r_baselines.tasks import Task
from e2r_bench.run.config import Experiment
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.pictures import write_png

_TIMED = frozenset({"timing.jsonl", "costs.json", ".lock", ".lock.json", ".per_image.sqlite"})
# run.json and the pages name their own folder, and how it was passed.
_NAMED = frozenset({"run.json", "report.html", "report.md"})


@dataclass(frozen=True)
class Drawing:
    """Adds noise named by (seed, image, method); obeys the orders in the notes."""

    name: str
    notes: Path | None

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """See `Restorer.restore`."""
        for photo in photos:
            _obey(self.notes, self.name, photo.id)
            for draw in draws:
                noise = rng_for(draw.seed, photo.id, self.name).standard_normal(photo.pixels.shape)
                yield Restored(photo.id, draw, (photo.pixels + 0.05 * noise).astype(np.float32))


def _obey(notes: Path | None, name: str, image: str) -> None:
    if notes is None:
        return
    pause = notes / "pause"
    if pause.is_file():
        time.sleep(float(pause.read_text()))
    if (notes / f"die-always-{name}-{image}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    once = notes / f"die-once-{name}-{image}"
    if once.exists():
        once.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def _open(
    build: Build, files: Mapping[str, Path], compute: Compute, notes: Path | None = None
) -> Drawing:
    if notes is not None:
        (notes / f"opened-{build.name}-{os.getpid()}-{time.monotonic_ns()}").touch()
    return Drawing(build.name, notes)


def _spec(name: str, stochastic: bool, notes: Path | None) -> MethodSpec:
    return MethodSpec(
        name=name, title="a test's own", source="tests", licence="none needed",
        builds=(Build(name),), tasks=frozenset({"denoise"}), open=partial(_open, notes=notes),
        stochastic=stochastic,
    )  # fmt: skip


NAMES = ("first", "second", "third")


def catalog(notes: Path | None = None) -> dict[str, Method]:
    """The controls and three methods; `notes` is where they note what they do, and find orders."""
    mine = (_spec(name, name != "third", notes) for name in NAMES)
    return {spec.name: fixed(spec) for spec in (DEGRADED, CLEAN, *mine)}


CATALOG = catalog()


def pictures(folder: Path, count: int = 24, side: int = 20) -> Path:
    """Write pictures of noise, each named by its number."""
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 256, (side, side, 3), dtype=np.uint8)
        write_png(folder / f"{k:02}.png", pixels)
    return folder


def experiment(data: Path, out: Path) -> Experiment:
    """Three methods, two tasks, two seeds, 24 pictures."""
    return Experiment(
        methods=NAMES, tasks=("denoise25", "derain"), data=(str(data),), seeds=(0, 1),
        metrics=("psnr", "ssim"), device="cpu", offline=True, out=out,
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that must not depend on who made it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _TIMED | _NAMED
    }


def differing(one: Path, two: Path) -> list[str]:
    """Return the names of files that are not the same in both folders."""
    left, right = contents(one), contents(two)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))
