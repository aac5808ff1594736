"""A small method of the tests' own, and a run made with it."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.controls import CLEAN, DEGRADED
from e2r_baselines.method import Build, Compute, Draw, MethodSpec, Photo, Restored, fixed
from e2r_baselines.tasks import Task
from e2r_bench.run.config import Experiment
from e2r_bench.run.plan import Catalog
from e2r_bench.run.runner import Outcome, run_experiment
from e2r_metrics.base.draws import rng_for


@dataclass
class Shaker:
    """Adds noise named by (seed, image), less with more steps; goes wrong as it is told to."""

    fails_on: frozenset[str] = frozenset()
    shrinks: bool = False
    holes: bool = False
    forgets: bool = False
    of255: bool = False
    leaves: bool = False

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        if self.fails_on & {photo.id for photo in photos}:
            raise RuntimeError("planted failure")
        if self.leaves:
            sys.exit(0)
        for photo in photos:
            for draw in draws[1:] if self.forgets else draws:
                noise = rng_for(draw.seed, photo.id, "shaker").standard_normal(photo.pixels.shape)
                pixels = (photo.pixels + 0.1 / draw.steps * noise).astype(np.float32)
                if self.holes:
                    pixels[0, 0] = np.nan
                if self.of255:
                    pixels = pixels * 255
                yield Restored(photo.id, draw, pixels[1:] if self.shrinks else pixels)


def spec(name: str, shaker: Shaker) -> MethodSpec:
    def open_shaker(build: Build, files: Mapping[str, Path], compute: Compute) -> Shaker:
        return shaker

    return MethodSpec(
        name=name,
        title="a test's own",
        source="tests",
        licence="none needed",
        builds=(Build(name),),
        tasks=frozenset({"denoise"}),
        open=open_shaker,
        stochastic=True,
        stepped=True,
    )


@pytest.fixture
def shaker() -> Shaker:
    """The method `shaker` of `catalog`; set its `fails_on` to make it fail."""
    return Shaker()


@pytest.fixture
def catalog(shaker: Shaker) -> Catalog:
    """The controls and the method `shaker`."""
    rows = (fixed(DEGRADED), fixed(CLEAN), fixed(spec("shaker", shaker)))
    return {row.name: row for row in rows}


@pytest.fixture
def run(catalog: Catalog) -> Callable[..., Outcome]:
    """`run_experiment` with the tests' own catalog."""
    return partial(run_experiment, methods=catalog)


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Two tasks, three images, two seeds, two step counts, two metrics without weights."""
    return Experiment(
        methods=("shaker",),
        tasks=("denoise25", "derain"),
        limit=3,
        seeds=(0, 1),
        steps=(1, 4),
        metrics=("psnr", "ssim"),
        device="cpu",
        offline=True,
        out=tmp_path / "run",
    )
