"""Two arms under one metric: the test of no difference, the interval, and equivalence."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.statistics import jackknife, paired, sets
from e2r_bench.statistics.blocks import make_blocks
from e2r_bench.statistics.results import Equivalence, Estimate, Verified
from e2r_bench.studies.measure import MeasuredArm, Unit, metric_of, units_of
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.catalog import CATALOG

if TYPE_CHECKING:
    from e2r_metrics import Session

PERMUTATIONS = 999


@dataclass(frozen=True)
class Criteria:
    """How two arms are compared.

    Attributes:
        session: computes features.
        unit: what is independent: scenes, or (for these pictures only) images.
        permutations: of each test.
    """

    session: "Session"
    unit: Unit = "scene"
    permutations: int = PERMUTATIONS


@dataclass(frozen=True)
class Comparison:
    """First arm against second on the images that both have.

    Attributes:
        metric: its id.
        test: of no difference.
        interval: 95%, of first minus second.
        equivalence: against the margin.
        level: mean or distance of the second arm, which relative margins refer to.
        improves: first minus second in the metric's direction; above zero is better.
    """

    metric: str
    test: Verified
    interval: Estimate
    equivalence: Equivalence
    level: float
    improves: float


@dataclass(frozen=True)
class _Sides:
    """Both arms on one task, under one metric id."""

    first: MeasuredArm
    second: MeasuredArm
    task: str
    metric: str
    criteria: Criteria

    def generator(self) -> np.random.Generator:
        return rng_for(0, f"{self.task} {self.metric}", "permutations")

    def units(self, images: list[str]) -> list[str]:
        return units_of(self.first.store, self.task, images, self.criteria.unit)


_Found = tuple[Verified, Estimate, float]
"""The test, the interval, and the second arm's level."""


def compare(
    first: MeasuredArm,
    second: MeasuredArm,
    task: str,
    metric: str,
    margin: float,
    criteria: Criteria,
) -> Comparison:
    """Compare two arms on one task under one metric.

    Args:
        first, second: the arms; they must have been fed the same pictures.
        task: the task.
        metric: name or id.
        margin: what counts as no difference, as a share of the second arm's value.
        criteria: session, unit and permutations, drawn by a generator named after task and metric.

    Raises:
        UsageError: a missing arm, unequal inputs, a metric that was not measured, or values that
            nothing can be said about; see `e2r_bench.statistics.results`.
    """
    key, info = metric_of(first.store, metric, task)
    metric_of(second.store, metric, task)
    _same_inputs(first, second, task)
    sides = _Sides(first, second, task, key, criteria)
    test, interval, level = _per_image(sides) if info.per_image else _set(sides)
    if not level:
        raise UsageError(
            f"{key} on {task}: the second arm's value is 0, no share of it is a margin"
        )
    tost = paired.equivalence(interval, margin * abs(level))
    sign = 1 if info.higher_is_better else -1
    return Comparison(key, test, interval, tost, level, sign * test.effect)


def _same_inputs(first: MeasuredArm, second: MeasuredArm, task: str) -> None:
    one, two = (arm.store.info.tasks.get(task) for arm in (first, second))
    if one is None or two is None:
        raise UsageError(f"task {task!r}: expected it in both arms' runs; run it there")
    for name in ("data", "degradation", "images"):
        if getattr(one, name) != getattr(two, name):
            raise UsageError(
                f"{task}: the arms were fed different {name}: {first.store.folder} and "
                f"{second.store.folder} cannot be compared"
            )


def _per_image(sides: _Sides) -> _Found:
    ours, theirs = (arm.values(sides.task, sides.metric) for arm in (sides.first, sides.second))
    images = _shared(sides, ours, theirs)
    scenes = sides.units(images)
    one = np.array([ours[image] for image in images])
    two = np.array([theirs[image] for image in images])
    gap = paired.differences(one, two)
    test = paired.sign_flip(gap, scenes, sides.generator(), sides.criteria.permutations)
    return test, paired.mean_estimate(gap, scenes), float(two.mean())


def _set(sides: _Sides) -> _Found:
    row = CATALOG[sides.metric]
    if row.extractor is None or row.distance is None:
        raise UsageError(f"{sides.metric} looks at single images, it is no set metric")
    ours, theirs = (arm.pictures(sides.task) for arm in (sides.first, sides.second))
    images = _shared(sides, ours, theirs)
    scenes = sides.units(images)
    clean = [sides.first.store.clean_path(sides.task, image) for image in images]
    files = ([ours[i] for i in images], [theirs[i] for i in images], clean)
    features = (sides.criteria.session.features(row.extractor, part) for part in files)
    blocks = make_blocks(row.distance, *features)
    test = sets.swap_test(blocks, scenes, sides.generator(), sides.criteria.permutations)
    return test, jackknife.jackknife_difference(blocks, scenes), sets.distance_of(blocks, 1)


def _shared(sides: _Sides, ours: Mapping[str, object], theirs: Mapping[str, object]) -> list[str]:
    """Return the images of both arms; an arm that is missing or lacks images is refused."""
    for arm, found in ((sides.first, ours), (sides.second, theirs)):
        if not found:
            raise UsageError(
                f"missing arm: {arm} has nothing for {sides.task} in {arm.store.folder}; run it "
                "there"
            )
    if ours.keys() != theirs.keys():
        raise UsageError(
            f"{sides.task}: unequal n between arms, {len(ours)} images of {sides.first.method} and "
            f"{len(theirs)} of {sides.second.method}; run both on the same images"
        )
    return [image for image in sides.first.store.images(sides.task) if image in ours]
