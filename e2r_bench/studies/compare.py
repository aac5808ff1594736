"""Two arms under one metric: what was measured, as the evidence that `judge` takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.statistics import evidence as made
from e2r_bench.statistics.blocks import Kind, clustered_blocks
from e2r_bench.statistics.effects import joined_estimate
from e2r_bench.statistics.jackknife import jackknife_difference
from e2r_bench.statistics.margins import absolute, known_margin, margin_of
from e2r_bench.statistics.sets import distance_of
from e2r_bench.statistics.verdict import Evidence
from e2r_bench.store.fitting import large_enough
from e2r_bench.studies.measure import metric_of
from e2r_bench.studies.sides import Criteria, Side, Sides, check_inputs, shared_images
from e2r_metrics.base.errors import UsageError
from e2r_metrics.catalog import CATALOG
from e2r_metrics.clusters import Clustered

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Comparison:
    """First arm against second on the images that both have.

    Attributes:
        metric: its id.
        evidence: for `judge`; first minus second, in the metric's unit.
        by_training: mean difference of each training.
        spread: standard deviation of the differences between scenes; None for set metrics.
        permutations: asked for; 0 where there was no permutation test.
    """

    metric: str
    evidence: Evidence
    by_training: tuple[float, ...]
    spread: float | None
    permutations: int


def compare(first: Side, second: Side, task: str, metric: str, criteria: Criteria) -> Comparison:
    """Compare two arms on one task under one metric.

    Args:
        first, second: the arms; they must have been fed the same pictures.
        task: the task.
        metric: name or id.
        criteria: session, unit, margins and permutations; those are drawn by a generator named
            after task and metric.

    Raises:
        UsageError: a missing arm, unequal inputs, a metric that was not measured, or values that
            nothing can be said about; see `e2r_bench.statistics.results`.
    """
    key, info = metric_of(first.arms[0][0].store, metric, task)
    sides = Sides(first, second, task, key, info, criteria)
    for row in sides.pairs():
        for one, two in row:
            metric_of(one.store, metric, task)
            metric_of(two.store, metric, task)
            check_inputs(one, two, task)
            check_inputs(sides.any, two, task)
    return _per_image(sides) if info.per_image else _set(sides)


def _per_image(sides: Sides) -> Comparison:
    found = [
        [tuple(arm.values(sides.task, sides.metric) for arm in pair) for pair in row]
        for row in sides.pairs()
    ]
    images = shared_images(sides, [value for row in found for pair in row for value in pair])
    values = np.array([
        [[one[image] - two[image] for image in images] for one, two in row] for row in found
    ])  # fmt: skip
    scenes = sides.units(images)
    margin = known_margin(sides.metric, sides.margins)
    part = sides.part(margin and absolute(margin))
    permutations, scope = sides.criteria.permutations, sides.scope()
    if values.shape[:2] == (1, 1):
        gap = values[0, 0]
        evidence = made.paired_evidence(
            part, gap, np.zeros_like(gap), scenes, sides.generator(), permutations, scope
        )
    else:
        evidence = made.trained_evidence(
            part, values, scenes, sides.generator(), permutations, scope
        )
    means = values.mean(axis=(0, 1))
    by_scene = [means[np.array(scenes) == name].mean() for name in dict.fromkeys(scenes)]
    spread = float(np.std(by_scene, ddof=1)) if len(by_scene) > 1 else None
    trainings = tuple(values.mean(axis=(1, 2)).tolist())
    return Comparison(sides.metric, evidence, trainings, spread, permutations)


def _set(sides: Sides) -> Comparison:
    measure = CATALOG[sides.metric]
    if measure.extractor is None or measure.distance is None:
        raise UsageError(f"{sides.metric} looks at single images, it is no set metric")
    found = [
        [tuple(arm.pictures(sides.task) for arm in pair) for pair in row] for row in sides.pairs()
    ]
    shared = shared_images(sides, [value for row in found for pair in row for value in pair])
    images, _ = large_enough(sides.any.store, sides.task, measure.extractor, shared)
    features = _Features(sides, measure.extractor, measure.distance, tuple(images))
    pairs = [
        [tuple(features.of([files[i] for i in images]) for files in pair) for pair in row]
        for row in found
    ]
    part = sides.part(features.margin())
    return _joined(sides, part, features, pairs)


@dataclass(frozen=True)
class _Features:
    """The features of a set metric on the images that both arms have."""

    sides: Sides
    extractor: str
    kind: "Kind"
    images: tuple[str, ...]

    def of(self, files: "Sequence[Path]") -> Clustered:
        return self.sides.criteria.session.clustered(self.extractor, list(files))

    def clean(self) -> Clustered:
        store, task = self.sides.any.store, self.sides.task
        return self.of([store.clean_path(task, image) for image in self.images])

    def margin(self) -> float:
        """Return the margin; a share is one of the way from the input to the clean pictures."""
        margin = margin_of(self.sides.metric, self.sides.margins)
        if not margin.relative:
            return absolute(margin)
        store, task = self.sides.any.store, self.sides.task
        clean = self.clean()
        degraded = self.of([store.degraded_path(task, image) for image in self.images])
        blocks = clustered_blocks(self.kind, degraded, clean, clean)
        return absolute(margin, distance_of(blocks, 0), distance_of(blocks, 1))


def _joined(
    sides: Sides,
    part: made.Part,
    features: _Features,
    pairs: Sequence[Sequence[tuple[Clustered, ...]]],
) -> Comparison:
    """Return the comparison over all trainings and seeds; one of each has a permutation test."""
    scenes, clean, scope = sides.units(features.images), features.clean(), sides.scope()
    if all(np.array_equal(one.rows, two.rows) for row in pairs for one, two in row):
        evidence = made.identical_evidence(part, scenes, scope)
        return Comparison(sides.metric, evidence, (0.0,) * len(pairs), None, 0)
    kind = features.kind
    blocks = [[clustered_blocks(kind, one, two, clean) for one, two in row] for row in pairs]
    if len(blocks) == len(blocks[0]) == 1:
        permutations = sides.criteria.permutations
        evidence = made.set_evidence(
            part, blocks[0][0], scenes, sides.generator(), permutations, scope
        )
        return Comparison(sides.metric, evidence, (evidence.estimate.value,), None, permutations)
    found = [
        joined_estimate([jackknife_difference(block, scenes) for block in row]) for row in blocks
    ]
    evidence = Evidence(
        part.name, part.metric, joined_estimate(found), None, part.margin, part.higher_is_better,
        scope,
    )  # fmt: skip
    return Comparison(sides.metric, evidence, tuple(estimate.value for estimate in found), None, 0)
