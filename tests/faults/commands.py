"""The commands of the campaign, small enough to be killed a hundred times."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2r_baselines.controls import CLEAN, DEGRADED
from e2r_baselines.method import Build, Compute, Draw, MethodSpec, Photo, Restored, fixed
from e2r_baselines.tasks import Task
from e2r_bench.cli import main
from e2r_bench.run.config import Experiment
from e2r_bench.run.runner import run_experiment
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import write_png


@dataclass(frozen=True)
class Softener:
    """Draws a little noise named by (seed, image): stochastic, stepped, and quick."""

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """See `Restorer.restore`."""
        for photo in photos:
            for draw in draws:
                noise = rng_for(draw.seed, photo.id, "softener").standard_normal(photo.pixels.shape)
                pixels = photo.pixels + 0.1 / draw.steps * noise
                yield Restored(photo.id, draw, pixels.astype(np.float32))


def _open(build: Build, files: Mapping[str, Path], compute: Compute) -> Softener:
    return Softener()


SOFTENER = MethodSpec(
    name="softener", title="a test's own", source="tests", licence="none needed",
    builds=(Build("softener"),), tasks=frozenset({"denoise"}), open=_open, stochastic=True,
    stepped=True,
)  # fmt: skip
CATALOG = {spec.name: fixed(spec) for spec in (DEGRADED, CLEAN, SOFTENER)}


def pictures(folder: Path, count: int = 4, side: int = 24, first: int = 0) -> Path:
    """Write pictures of noise, each named by its number."""
    for k in range(count):
        pixels = np.random.default_rng(first + k).integers(0, 256, (side, side, 3), dtype=np.uint8)
        write_png(folder / f"{k}.png", pixels)
    return folder


def experiment(data: Path, out: Path) -> Experiment:
    """Two tasks, two seeds, two step counts, two metrics, on a folder of clean pictures."""
    return Experiment(
        methods=("softener",), tasks=("denoise25", "derain"), data=(str(data),), seeds=(0, 1),
        steps=(1, 4), metrics=("psnr", "ssim"), device="cpu", offline=True, out=out,
    )  # fmt: skip


def run_command(data: Path, out: Path) -> Callable[[], int]:
    """The main job, with a method of our own."""

    def command() -> int:
        return 1 if run_experiment(experiment(data, out), methods=CATALOG).failures else 0

    return command


def line_or_refused(data: Path, out: Path) -> Callable[[], int]:
    """The main job; a folder that is in use is exit code 2, as on the command line."""

    def command() -> int:
        try:
            return run_command(data, out)()
        except UsageError:
            return 2

    return command


def line_command(*words: object) -> Callable[[], int]:
    """A command of the command line."""

    def command() -> int:
        return main([str(word) for word in words])

    return command
