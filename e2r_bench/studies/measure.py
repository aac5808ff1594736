"""Two arms of a run, or of two runs, under one metric: values, features, and their comparison."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.runs import ROWS, MetricInfo, Run, read_rows
from e2r_bench.statistics import jackknife, paired, sets
from e2r_bench.statistics.blocks import Kind, make_blocks
from e2r_bench.statistics.results import Equivalence, Estimate, Verified

if TYPE_CHECKING:
    from e2r_metrics import Session

Unit = Literal["scene", "image"]


@dataclass(frozen=True)
class Cell:
    """One method at one draw in one run: an arm of a comparison."""

    run: Run
    method: str
    draw: Draw

    @property
    def build(self) -> str:
        """Return what it ran with, and whether that is a miniature."""
        info = self.run.info.methods[self.method]
        return f"{info.build} (miniature)" if info.miniature else info.build


@dataclass(frozen=True)
class Comparison:
    """First arm against second on the images that both have.

    Attributes:
        test: of no difference.
        interval: 95%, of first minus second.
        equivalence: against the margin.
        level: mean or distance of the second arm, which relative margins refer to.
        improves: first minus second in the metric's direction; above zero is better.
    """

    test: Verified
    interval: Estimate
    equivalence: Equivalence
    level: float
    improves: float


def metric_of(run: Run, name: str, task: str) -> tuple[str, MetricInfo]:
    """Return id and row of a metric as this run measured it for a task.

    Args:
        run: the run.
        name: a bare name, or name:variant.
        task: the protocol may have chosen another variant for it.

    Raises:
        UsageError: it was not asked for, or it was not measured; the reason is given.
    """
    bare = name.partition(":")[0]
    key = f"{bare}:{run.info.tasks[task].variants.get(bare, '')}"
    if key not in run.info.metrics or name not in (bare, key):
        raise UsageError(f"{run.folder}: {name} was not asked for; give --metrics {bare}")
    info = run.info.metrics[key]
    if info.missing is not None:
        raise UsageError(f"{key} not measured: {info.missing}; to fetch: {info.fetch}")
    return key, info


def values_of(cell: Cell, task: str, metric: str) -> dict[str, float]:
    """Return image -> value for a per-image metric id; failed images are left out."""
    name, _, variant = metric.partition(":")
    return {
        row.image: row.value
        for row in read_rows(cell.run.folder / ROWS)
        if (row.method, row.task, row.seed, row.steps)
        == (cell.method, task, cell.draw.seed, cell.draw.steps)
        and (row.metric, row.variant) == (name, variant)
        and row.value is not None
    }


def scenes_of(run: Run, task: str, images: Sequence[str], unit: Unit = "scene") -> list[str]:
    """Return the independent unit of each image: its scene, or the image itself."""
    info = run.info.tasks[task]
    scenes = dict(zip(info.images, info.scenes, strict=True))
    return [scenes[image] if unit == "scene" else image for image in images]


def restored_images(cell: Cell, task: str) -> dict[str, Path]:
    """Return image -> restored file, for the files that are there."""
    paths = {
        i: cell.run.restored_path(cell.method, task, cell.draw, i) for i in cell.run.images(task)
    }
    return {image: path for image, path in paths.items() if path.is_file()}


def set_kind(metric: str) -> Kind:
    """Return how a set metric id is computed.

    Raises:
        UsageError: it is not a set metric.
    """
    from e2r_metrics import CATALOG

    row = CATALOG[metric]
    kinds: Mapping[str, Kind] = {
        "frechet": "frechet", "kid": "kid", "mmd": "mmd_v" if row.variant == "v" else "mmd_u",
    }  # fmt: skip
    if row.module not in kinds:
        raise UsageError(f"{metric} looks at single images, it is no set metric")
    return kinds[row.module]


def compare(
    first: Cell,
    second: Cell,
    task: str,
    metric: str,
    session: "Session",
    margin: float,
    unit: Unit = "scene",
    permutations: int = 999,
) -> Comparison:
    """Compare two arms on one task under one metric.

    Args:
        first, second: the arms; they must have been fed the same pictures.
        task: the task.
        metric: name or id.
        session: computes features.
        margin: what counts as no difference, as a share of the second arm's value.
        unit: what is independent: scenes, or (for these pictures only) images.
        permutations: drawn by a generator named after task and metric.

    Raises:
        UsageError: a missing arm, unequal inputs, a metric that was not measured, or values that
            nothing can be said about; see `statistics.results`.
    """
    key, info = metric_of(first.run, metric, task)
    metric_of(second.run, metric, task)
    _same_inputs(first, second, task)
    generator = rng_for(0, f"{task} {key}", "permutations")
    if info.per_image:
        test, interval, level = _per_image(first, second, task, key, unit, generator, permutations)
    else:
        test, interval, level = _set(
            first, second, task, key, unit, generator, permutations, session
        )
    tost = paired.equivalence(interval, margin * abs(level)) if level else None
    if tost is None:
        raise UsageError(
            f"{key} on {task}: the second arm's value is 0, no share of it is a margin"
        )
    sign = 1 if info.higher_is_better else -1
    return Comparison(test, interval, tost, level, sign * test.effect)


def _same_inputs(first: Cell, second: Cell, task: str) -> None:
    one, two = (cell.run.info.tasks.get(task) for cell in (first, second))
    if one is None or two is None:
        raise UsageError(f"task {task!r}: expected it in both arms' runs; run it there")
    for name in ("data", "degradation", "images"):
        if getattr(one, name) != getattr(two, name):
            raise UsageError(
                f"{task}: the arms were fed different {name}: {first.run.folder} and "
                f"{second.run.folder} cannot be compared"
            )


def _per_image(
    first: Cell,
    second: Cell,
    task: str,
    key: str,
    unit: Unit,
    generator: np.random.Generator,
    permutations: int,
) -> tuple[Verified, Estimate, float]:
    ours, theirs = values_of(first, task, key), values_of(second, task, key)
    images = _shared(first, second, task, ours, theirs)
    scenes = scenes_of(first.run, task, images, unit)
    one = np.array([ours[image] for image in images])
    two = np.array([theirs[image] for image in images])
    gap = paired.differences(one, two)
    test = paired.sign_flip(gap, scenes, generator, permutations)
    return test, paired.mean_estimate(gap, scenes), float(two.mean())


def _set(
    first: Cell,
    second: Cell,
    task: str,
    key: str,
    unit: Unit,
    generator: np.random.Generator,
    permutations: int,
    session: "Session",
) -> tuple[Verified, Estimate, float]:
    from e2r_metrics import CATALOG

    ours, theirs = restored_images(first, task), restored_images(second, task)
    images = _shared(first, second, task, ours, theirs)
    scenes = scenes_of(first.run, task, images, unit)
    extractor = CATALOG[key].extractor or ""
    clean = [first.run.clean_path(task, image) for image in images]
    files = ([ours[i] for i in images], [theirs[i] for i in images], clean)
    blocks = make_blocks(set_kind(key), *(session.features(extractor, part) for part in files))
    test = sets.swap_test(blocks, scenes, generator, permutations)
    estimate = jackknife.jackknife_difference(blocks, scenes)
    return test, estimate, sets.distance_of(blocks, 1)


def _shared(
    first: Cell, second: Cell, task: str, ours: Mapping[str, object], theirs: Mapping[str, object]
) -> list[str]:
    """Return the images of both arms; an arm that is missing or lacks images is refused."""
    for cell, found in ((first, ours), (second, theirs)):
        if not found:
            raise UsageError(
                f"missing arm: {cell.method} at seed {cell.draw.seed}, {cell.draw.steps} steps has "
                f"nothing for {task} in {cell.run.folder}; run it there"
            )
    if ours.keys() != theirs.keys():
        raise UsageError(
            f"{task}: unequal n between arms, {len(ours)} images of {first.method} and "
            f"{len(theirs)} of {second.method}; run both on the same images"
        )
    return [image for image in first.run.images(task) if image in ours]
