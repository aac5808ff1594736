"""One arm's numbers: its values and pictures, and the metrics that a task was measured by."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from e2r_baselines.method import Draw
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import MetricInfo, marked
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError

Unit = Literal["scene", "image"]


@dataclass(frozen=True)
class MeasuredArm:
    """One method at one draw in one run: a side of a comparison.

    Attributes:
        store: the run.
        method: name of the method's instance there.
        draw: seed and steps.
    """

    store: Store
    method: str
    draw: Draw

    @property
    def build(self) -> str:
        """Return what it ran with, and whether that is a miniature."""
        info = self.store.info.methods[self.method]
        return marked(info.build) if info.miniature else info.build

    def values(self, task: str, metric: str) -> Mapping[str, float]:
        """Return image -> value of a per-image metric id; failed images are left out."""
        return self.store.values(self.method, task, self.draw, metric)

    def pictures(self, task: str) -> Mapping[str, Path]:
        """Return image -> restored file, for the files that are there."""
        cells = (Cell(self.method, task, self.draw, image) for image in self.store.images(task))
        return {cell.image: self.store.path(cell) for cell in cells if self.store.has(cell)}

    def __str__(self) -> str:
        return f"{self.method} at seed {self.draw.seed}, {self.draw.steps} steps"


def arm_of(store: Store, method: str, seed: int, steps: int) -> MeasuredArm:
    """Return a method's arm at a seed and a number of steps, as far as it has them."""
    info = store.info.methods[method]
    return MeasuredArm(
        store, method, Draw(seed if info.stochastic else 0, steps if info.stepped else 0)
    )


def measured_metrics(store: Store, task: str) -> Iterator[tuple[str, MetricInfo]]:
    """Yield id and row of every metric that a task was measured by, in the run's order."""
    for key, info in store.info.metrics.items():
        if info.missing is None and store.has_metric(task, key):
            yield key, info


def metric_of(store: Store, name: str, task: str) -> tuple[str, MetricInfo]:
    """Return id and row of a metric as this run measured it for a task.

    Args:
        store: the run.
        name: a bare name, or name:variant.
        task: the protocol may have chosen another variant for it.

    Raises:
        UsageError: it was not asked for, or it was not measured; the reason is given.
    """
    bare = name.partition(":")[0]
    key = f"{bare}:{store.info.tasks[task].variants.get(bare, '')}"
    if key not in store.info.metrics or name not in (bare, key):
        raise UsageError(f"{store.folder}: {name} was not asked for; give --metrics {bare}")
    info = store.info.metrics[key]
    if info.missing is not None:
        command = f"; to fetch: {info.fetch}" if info.fetch else ""
        raise UsageError(f"{key} not measured: {info.missing}{command}")
    return key, info


def units_of(store: Store, task: str, images: Sequence[str], unit: Unit = "scene") -> list[str]:
    """Return the independent unit of each image: its scene, or the image itself."""
    scenes = store.scenes(task)
    return [scenes[image] if unit == "scene" else image for image in images]


def summary_lines(store: Store) -> Mapping[tuple[str, str, Draw, str], Mapping[str, Any]]:
    """Return the lines of a run's summary by method, task, draw and metric id; read once.

    Raises:
        UsageError: the run has not got that far.
    """
    return {
        (line["method"], line["task"], Draw(int(line["seed"]), int(line["steps"])),
         f"{line['metric']}:{line['variant']}"): line
        for line in store.summary().to_dict("records")
    }  # fmt: skip


def summary_value(arm: MeasuredArm, task: str, name: str) -> float:
    """Return an arm's one value of a metric: a mean, or that of the whole set.

    Raises:
        UsageError: it was not measured, or failed.
    """
    key, _ = metric_of(arm.store, name, task)
    line = summary_lines(arm.store).get((arm.method, task, arm.draw, key))
    if line is None or line["status"] != "ok":
        raise UsageError(f"{arm.store.folder}: no value of {key} for {arm.method} on {task}")
    return float(line["value"])
