"""A small method of the tests' own, and a run made with it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import e2r_bench.plan
from e2r_baselines.method import Build, Compute, Draw, MethodSpec, Photo, Restored
from e2r_baselines.tasks import Task
from e2r_bench.config import Experiment
from e2r_metrics.base.draws import rng_for


@dataclass
class Shaker:
    """Adds noise named by (seed, image), less with more steps; goes wrong as it is told to."""

    fails_on: frozenset[str] = frozenset()
    shrinks: bool = False
    holes: bool = False
    forgets: bool = False

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        if self.fails_on & {photo.id for photo in photos}:
            raise RuntimeError("planted failure")
        for photo in photos:
            for draw in draws[1:] if self.forgets else draws:
                noise = rng_for(draw.seed, photo.id, "shaker").standard_normal(photo.pixels.shape)
                pixels = (photo.pixels + 0.1 / draw.steps * noise).astype(np.float32)
                if self.holes:
                    pixels[0, 0] = np.nan
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
def shaker(monkeypatch: pytest.MonkeyPatch) -> Shaker:
    """Put the method `shaker` into the catalog; set its `fails_on` to make it fail."""
    method = Shaker()
    methods = {**e2r_bench.plan.METHODS, "shaker": spec("shaker", method)}
    monkeypatch.setattr(e2r_bench.plan, "METHODS", methods)
    return method


@pytest.fixture
def experiment(tmp_path: Path, shaker: Shaker) -> Experiment:
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
