"""Every pair of arms on a page, judged together: one family of tests, however many are looked at.

The reader picks the best arm after seeing the numbers, so all pairs count, not the winner's alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from e2r_bench.report.arms import Arm, facts_of
from e2r_bench.statistics.evidence import Part, paired_evidence, trained_evidence
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.margins import absolute, known_margin
from e2r_bench.statistics.results import Values
from e2r_bench.statistics.scope import Scope
from e2r_bench.statistics.verdict import Evidence, Unmeasured, Verdict, unmeasured
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError

_PERMUTATIONS = 9999
"""Enough for a p that is small among hundreds of parts."""


@dataclass(frozen=True)
class Pair:
    """The first arm against the second under one metric of one task."""

    task: str
    key: str
    first: Arm
    second: Arm

    @property
    def name(self) -> str:
        """Return the part in words."""
        return f"{self.task} {self.key}: {self.first.name} against {self.second.name}"


@dataclass(frozen=True)
class Bench:
    """The verdicts of a page.

    Attributes:
        verdicts: of each pair, first minus second.
    """

    verdicts: Mapping[Pair, Verdict]

    @property
    def tested(self) -> int:
        """Return how many pairs share the level of 5%."""
        return sum(verdict.judged for verdict in self.verdicts.values())

    def of(self, task: str, key: str, first: Arm, second: Arm) -> Verdict | None:
        """Return the verdict of first against second, turned round where it was judged so."""
        asked = Pair(task, key, first, second)
        turned = self.verdicts.get(Pair(task, key, second, first))
        return self.verdicts.get(asked) or (turned and replace(reverse(turned), name=asked.name))


def bench_of(wanted: Iterable[tuple[str, str, Sequence[Arm]]]) -> Bench:
    """Judge every pair of arms.

    Args:
        wanted: task, metric id and the arms that have numbers of it.
    """
    pairs = [Pair(task, key, *two) for task, key, arms in wanted for two in combinations(arms, 2)]
    found = judge([_evidence(pair) for pair in pairs])
    return Bench(dict(zip(pairs, found, strict=True)))


def _evidence(pair: Pair) -> Evidence | Unmeasured:
    """Return what is known of a pair; a reason where nothing can be tested."""
    try:
        return _measured(pair)
    except UsageError as reason:
        return unmeasured(pair.name, pair.key, reason)


def _measured(pair: Pair) -> Evidence:
    _, higher = facts_of((pair.first, pair.second), pair.key)
    margin = known_margin(pair.key, stated(pair.first.store.info.metrics.values(), {}))
    if margin is not None and margin.relative:
        raise UsageError(f"{pair.key} is one number for all pictures: no test by picture")
    part = Part(pair.name, pair.key, margin and absolute(margin), higher)
    images, (first, second) = _shared(pair)
    scenes = pair.first.scenes(pair.task, images)
    generator = rng_for(0, f"{pair.task} {pair.key}", "permutations")
    scope = Scope(seeds=len(first) if pair.first.drawn or pair.second.drawn else 0)
    if len(first) == 1:
        return paired_evidence(part, first[0], second[0], scenes, generator, _PERMUTATIONS, scope)
    gaps = np.subtract(first, second)[None]
    return trained_evidence(part, gaps, scenes, generator, _PERMUTATIONS, scope)


def _shared(pair: Pair) -> tuple[list[str], tuple[Values, Values]]:
    """Return the images that both arms have, and (seeds, images) values of each.

    An arm that nothing draws is the same at every seed of the other.

    Raises:
        UsageError: two numbers of seeds, neither of them one; no image, or an infinite value.
    """
    found = [arm.by_seed(pair.task, pair.key) for arm in (pair.first, pair.second)]
    counts = {len(seeds) for seeds in found} - {1}
    if len(counts) > 1:
        raise UsageError(f"{pair.name}: unequal numbers of seeds cannot be paired")
    every = [seed for seeds in found for seed in seeds]
    images = [image for image in every[0] if all(image in seed for seed in every)]
    rows = max(map(len, found))
    first, second = (
        np.broadcast_to([[seed[i] for i in images] for seed in seeds], (rows, len(images)))
        for seeds in found
    )
    if not images or not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UsageError(f"{pair.name}: no image, or an infinite value (identical pictures)")
    return images, (first, second)


def reverse(verdict: Verdict) -> Verdict:
    """Return the verdict of the second arm against the first."""
    turned = {"better": "worse", "worse": "better"}
    head, rest = verdict.label.partition(" ")[::2]
    label = f"{turned.get(head, head)} {rest}".strip() if head in turned else verdict.label
    low, high, alone = verdict.low, verdict.high, verdict.alone
    return replace(
        verdict,
        label=label,  # pyright: ignore[reportArgumentType]
        direction=-verdict.direction,  # pyright: ignore[reportArgumentType]
        leans=-verdict.leans,  # pyright: ignore[reportArgumentType]
        effect=None if verdict.effect is None else -verdict.effect,
        low=None if high is None else -high,
        high=None if low is None else -low,
        alone=None if alone is None else (-alone[1], -alone[0]),
    )
