"""Both sides of a comparison: the arms of every training and seed, fed the same pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.statistics.evidence import Part
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.margins import Margin
from e2r_bench.statistics.scope import Scope
from e2r_bench.studies.measure import MeasuredArm, Unit, units_of
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_bench.store.info import MetricInfo
    from e2r_metrics import Session

PERMUTATIONS = 999


@dataclass(frozen=True)
class Criteria:
    """How two arms are compared; fixed before anything is run.

    Attributes:
        session: computes features.
        unit: what is independent: scenes, or (for these pictures only) images.
        permutations: of each test.
        margins: those that replace the metrics' own, by bare name.
        incomplete: pictures that an arm lacks are left out of all, and n says how many are left;
            else arms of unequal n are refused.
    """

    session: "Session"
    unit: Unit = "scene"
    permutations: int = PERMUTATIONS
    margins: Mapping[str, Margin] = field(default_factory=dict[str, Margin])
    incomplete: bool = False


@dataclass(frozen=True)
class Side:
    """An arm as it is compared: at every training and sampling seed.

    Attributes:
        name: in words.
        arms: (trainings, seeds), each at least one; an arm that nothing trains has one training.
        trained: whether the trainings are trainings of it.
    """

    name: str
    arms: tuple[tuple[MeasuredArm, ...], ...]
    trained: bool = False

    @property
    def drawn(self) -> bool:
        """Return whether a sampling seed decides what comes out."""
        arm = self.arms[0][0]
        return arm.store.info.methods[arm.method].stochastic

    def at(self, training: int, seed: int) -> MeasuredArm:
        """Return the arm of a training and a seed; what is not repeated is always the same."""
        row = self.arms[0 if len(self.arms) == 1 else training]
        return row[0 if len(row) == 1 else seed]


@dataclass(frozen=True)
class Sides:
    """Both arms on one task, under one metric."""

    first: Side
    second: Side
    task: str
    metric: str
    info: "MetricInfo"
    criteria: Criteria

    @property
    def any(self) -> MeasuredArm:
        """Return one arm, for what all have in common."""
        return self.first.arms[0][0]

    @property
    def name(self) -> str:
        """Return the part in words."""
        return f"{self.task} {self.metric}: {self.first.name} against {self.second.name}"

    @property
    def margins(self) -> Mapping[str, Margin]:
        """Return the margins that are given, over the one that the metric states itself."""
        return stated((self.info,), self.criteria.margins)

    def generator(self) -> np.random.Generator:
        """Return what draws the permutations: the same ones for every pair of arms."""
        return rng_for(0, f"{self.task} {self.metric}", "permutations")

    def units(self, images: Sequence[str]) -> list[str]:
        """Return the independent unit of each image."""
        return units_of(self.any.store, self.task, images, self.criteria.unit)

    def shape(self) -> tuple[int, int]:
        """Return how many trainings and seeds stand against each other.

        Raises:
            UsageError: two numbers of them, neither of them one.
        """
        sizes = [(len(side.arms), len(side.arms[0])) for side in (self.first, self.second)]
        for one, two, what in zip(*sizes, ("trainings", "seeds"), strict=True):
            if one != two and min(one, two) != 1:
                raise UsageError(f"{self.name}: unequal numbers of {what}, {one} and {two}")
        return max(size[0] for size in sizes), max(size[1] for size in sizes)

    def scope(self) -> Scope:
        """Return what was repeated, and so what a verdict may speak of."""
        trainings, seeds = self.shape()
        trained = self.first.trained or self.second.trained
        drawn = self.first.drawn or self.second.drawn
        return Scope(trainings if trained else 0, seeds if drawn else 0)

    def pairs(self) -> list[list[tuple[MeasuredArm, MeasuredArm]]]:
        """Return the two arms of every training and seed."""
        trainings, seeds = self.shape()
        return [
            [(self.first.at(k, s), self.second.at(k, s)) for s in range(seeds)]
            for k in range(trainings)
        ]

    def part(self, margin: float | None) -> Part:
        """Return how the part is read."""
        return Part(self.name, self.metric, margin, self.info.higher_is_better)


def check_inputs(first: MeasuredArm, second: MeasuredArm, task: str) -> None:
    """Refuse arms that were not fed the same pictures.

    Raises:
        UsageError: a task that one of them lacks or does not serve, or other data, degradation or
            images.
    """
    for arm in (first, second):
        why = arm.store.info.methods[arm.method].unserved.get(task)
        if why is not None:
            raise UsageError(f"{arm.method} was not planned on {task}: {why}")
    one, two = (arm.store.info.tasks.get(task) for arm in (first, second))
    if one is None or two is None:
        raise UsageError(f"task {task!r}: expected it in both arms' runs; run it there")
    for name in ("data", "degradation", "images"):
        if getattr(one, name) != getattr(two, name):
            raise UsageError(
                f"{task}: the arms were fed different {name}: {first.store.folder} and "
                f"{second.store.folder} cannot be compared"
            )


def shared_images(sides: Sides, every: Sequence[Mapping[str, object]]) -> list[str]:
    """Return the images of all arms; in the run's order.

    Raises:
        UsageError: an arm that is missing or lacks images.
    """
    arms = [arm for row in sides.pairs() for pair in row for arm in pair]
    for arm, found in zip(arms, every, strict=True):
        if not found:
            raise UsageError(
                f"missing arm: {arm} has nothing for {sides.task} in {arm.store.folder}; run it "
                "there"
            )
    most = max(range(len(every)), key=lambda k: len(every[k]))
    for arm, found in zip(arms, every, strict=True):
        if found.keys() != every[most].keys() and not sides.criteria.incomplete:
            raise UsageError(
                f"{sides.task}: unequal n between arms, {len(found)} images of {arm.method} and "
                f"{len(every[most])} of {arms[most].method}; run both on the same images"
            )
    images = arms[0].store.images(sides.task)
    return [image for image in images if all(image in found for found in every)]
