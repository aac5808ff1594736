"""What claims and studies are made of: two arms on one task under one metric, with its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from e2r_bench.statistics.paired import holm
from e2r_bench.statistics.power import detectable
from e2r_bench.studies.compare import Criteria, compare
from e2r_bench.studies.measure import MeasuredArm

ALPHA = 0.05
NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class Part:
    """One comparison.

    Attributes:
        task, metric, first, second: what was compared; the metric as it was asked for.
        metric_id: name and variant that were measured.
        verdict: of this part.
        effect: first minus second; `low`, `high`: 95% interval.
        level: the second arm's value.
        p: of no difference, by permutation; `holm`: adjusted over all parts.
        p_equal: of the test that the difference is smaller than the margin; `holm_equal`: adjusted.
        floor: the smallest p that the scenes or permutations can give.
        permutations: drawn; 0 where all patterns were enumerated.
        n, scenes: images and independent units.
        detectable: the smallest difference that this n finds four times in five.
        margin: absolute, what counts as no difference.
        improves: whether the first arm is the better one.
        build: what the first arm ran with.
        note: why there is no number, or what a proxy is.
    """

    task: str
    metric: str
    first: str
    second: str
    metric_id: str = ""
    verdict: str = NOT_MEASURED
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    p: float | None = None
    holm: float | None = None
    p_equal: float | None = None
    holm_equal: float | None = None
    floor: float | None = None
    permutations: int | None = None
    n: int | None = None
    scenes: int | None = None
    detectable: float | None = None
    margin: float | None = None
    improves: bool | None = None
    build: str = ""
    note: str = ""

    @property
    def measured(self) -> bool:
        """Return whether there is a test of a difference."""
        return self.p is not None

    @property
    def differs(self) -> bool:
        """Return whether the difference is significant, adjusted."""
        return self.holm is not None and self.holm <= ALPHA

    @property
    def equal(self) -> bool:
        """Return whether the difference is shown to be smaller than the margin, adjusted."""
        return self.holm_equal is not None and self.holm_equal <= ALPHA


def measured(
    asked: Part, first: MeasuredArm, second: MeasuredArm, margin: float, criteria: Criteria
) -> Part:
    """Return the part with its numbers, not yet adjusted nor judged.

    Args:
        asked: task, metric and names.
        first, second: the arms.
        margin: what counts as no difference, as a share of the second arm's value.
        criteria: how they are compared.

    Raises:
        UsageError: see `compare`.
    """
    made = compare(first, second, asked.task, asked.metric, margin, criteria)
    test, tost = made.test, made.equivalence
    return replace(
        asked,
        metric_id=made.metric,
        effect=test.effect,
        low=made.interval.low,
        high=made.interval.high,
        level=made.level,
        p=test.p,
        p_equal=tost.p,
        floor=test.floor,
        permutations=test.permutations,
        n=test.n,
        scenes=test.scenes,
        detectable=detectable(made.interval.error, test.scenes - 1),
        margin=tost.margin,
        improves=made.improves > 0,
        build=first.build,
    )


def adjusted(parts: Sequence[Part]) -> list[Part]:
    """Return parts with both p-values adjusted over all that were measured (Holm)."""
    differ = iter(holm([part.p for part in parts if part.p is not None]))
    equal = iter(holm([part.p_equal for part in parts if part.p_equal is not None]))
    return [
        replace(part, holm=next(differ), holm_equal=next(equal)) if part.measured else part
        for part in parts
    ]
