"""From two arms' values to the evidence that `judge` takes; identical arms have an answer too."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from e2r_bench.statistics.blocks import Blocks
from e2r_bench.statistics.diagnose import shape_of
from e2r_bench.statistics.effects import crossed_estimate
from e2r_bench.statistics.jackknife import jackknife_difference
from e2r_bench.statistics.paired import mean_estimate, sign_flip
from e2r_bench.statistics.results import (
    Estimate,
    Values,
    check_shape,
    is_constant,
    scene_index,
)
from e2r_bench.statistics.scope import Scope
from e2r_bench.statistics.sets import swap_test
from e2r_bench.statistics.verdict import Evidence
from e2r_metrics.base.errors import UsageError


@dataclass(frozen=True)
class Part:
    """What one part is called and how it is read.

    Attributes:
        name: in words, such as "denoise25 psnr:rgb, te_128 against zero_shot".
        metric: its id.
        margin: absolute, in the metric's unit; see `margins.absolute`. None where none is known.
        higher_is_better: the metric's direction.
    """

    name: str
    metric: str
    margin: float | None
    higher_is_better: bool


def paired_evidence(
    part: Part,
    first: Values,
    second: Values,
    scenes: Sequence[str],
    generator: np.random.Generator,
    permutations: int = 9999,
    scope: Scope | None = None,
) -> Evidence:
    """Return the evidence of a per-image metric on the images that both arms have.

    Arms that differ by one and the same amount everywhere, or by nothing, leave no noise to test
    against: their difference is certain for these scenes, and stands with an error of zero.

    Args:
        part: name, metric, margin, direction.
        first, second: (n,) values of the same images.
        scenes: the scene of each.
        generator: draws the signs.
        permutations: how many.
        scope: what was repeated; None for arms that nothing trained.

    Raises:
        UsageError: unequal n, n < 2, values that are not finite, or a single scene.
    """
    if np.shape(first) != np.shape(second):
        raise UsageError(
            f"{part.name}: expected values of the same images, found {len(first)} and "
            f"{len(second)}; compare the images that both have"
        )
    gap = check_shape(np.subtract(first, second), part.name)
    shape = shape_of(gap, scenes, part.higher_is_better)
    if is_constant(gap):
        return _certain(part, gap, scenes, scope or Scope())
    test = sign_flip(gap, scenes, generator, permutations)
    return Evidence(
        part.name, part.metric, mean_estimate(gap, scenes), test.p, part.margin,
        part.higher_is_better, scope or Scope(), shape, test.floor,
    )  # fmt: skip


def _certain(part: Part, gap: Values, scenes: Sequence[str], scope: Scope) -> Evidence:
    count = int(scene_index(scenes, len(gap)).max()) + 1
    value = float(gap.mean()) if abs(float(gap.mean())) > 1e-12 else 0.0
    floor = 2.0 ** (1 - count)
    estimate = Estimate(
        value, 0.0, value, value, 0.95, len(gap), count, "the same difference in every image"
    )
    return Evidence(
        part.name, part.metric, estimate, floor if value else 1.0, part.margin,
        part.higher_is_better, scope, shape_of(gap, scenes, part.higher_is_better), floor,
    )  # fmt: skip


def identical_evidence(part: Part, scenes: Sequence[str], scope: Scope) -> Evidence:
    """Return the evidence of two arms whose pictures are the same: no difference, for certain.

    Raises:
        UsageError: fewer than two scenes.
    """
    return _certain(part, np.zeros(len(scenes)), scenes, scope)


def set_evidence(
    part: Part,
    blocks: Blocks,
    scenes: Sequence[str],
    generator: np.random.Generator,
    permutations: int = 999,
    scope: Scope | None = None,
) -> Evidence:
    """Return the evidence of a set metric, from the Gram blocks of two arms.

    Raises:
        UsageError: fewer than four scenes, or a reference of another size.
    """
    test = swap_test(blocks, scenes, generator, permutations)
    return Evidence(
        part.name, part.metric, jackknife_difference(blocks, scenes), test.p, part.margin,
        part.higher_is_better, scope or Scope(), None, test.floor,
    )  # fmt: skip


def trained_evidence(
    part: Part,
    values: Values,
    scenes: Sequence[str],
    generator: np.random.Generator,
    permutations: int = 9999,
    scope: Scope | None = None,
) -> Evidence:
    """Return the evidence of a per-image metric over several trainings and sampling seeds.

    Signs are flipped on the scenes' means over trainings and seeds: a direction needs that test
    too. One training and one seed give what `paired_evidence` gives.

    Args:
        part: name, metric, margin, direction.
        values: (trainings, seeds, images) differences, first arm minus second.
        scenes: the scene of each image.
        generator: draws the signs.
        permutations: how many.
        scope: what was repeated; None where arms were trained and drawn as often as the shape says.

    Raises:
        UsageError: see `effects.crossed_estimate`.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 3:
        raise UsageError(
            f"{part.name}: expected (trainings, seeds, images) differences, found shape "
            f"{values.shape}"
        )
    scope = scope or Scope(values.shape[0], values.shape[1])
    means = values.mean(axis=(0, 1))
    if is_constant(check_shape(values.ravel(), part.name)):
        return _certain(part, means, scenes, scope)
    estimate = crossed_estimate(values, scenes)
    shape = shape_of(means, scenes, part.higher_is_better)
    p, floor = _flipped(means, scenes, generator, permutations)
    return Evidence(
        part.name, part.metric, estimate, p, part.margin, part.higher_is_better, scope, shape,
        floor,
    )  # fmt: skip


def _flipped(
    means: Values, scenes: Sequence[str], generator: np.random.Generator, permutations: int
) -> tuple[float, float]:
    """Return p and its floor of the sign flip over scenes, for a constant too."""
    if not is_constant(means):
        test = sign_flip(means, scenes, generator, permutations)
        return test.p, test.floor
    # Every pattern of signs but two lies nearer to zero.
    floor = 2.0 ** -float(scene_index(scenes, len(means)).max())
    return (floor if abs(float(means.mean())) > 1e-12 else 1.0), floor
