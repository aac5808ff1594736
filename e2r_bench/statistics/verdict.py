"""What a verdict is made from, and what it says: evidence, parts without a number, verdicts."""

from dataclasses import dataclass
from typing import Literal

from e2r_bench.statistics.diagnose import Shape
from e2r_bench.statistics.results import Estimate
from e2r_bench.statistics.scope import Scope

Label = Literal[
    "better",
    "better by less than the margin",
    "equivalent",
    "worse",
    "worse by less than the margin",
    "not resolved",
    "not measured",
]
Direction = Literal[-1, 0, 1]
Size = Literal["less than the margin", "more than the margin", "open"]


@dataclass(frozen=True)
class Evidence:
    """What was measured of one part: two arms, one task, one metric.

    Attributes:
        name: the part, in words.
        metric: its id; parts of one metric lend each other their skewness.
        estimate: the first arm minus the second, in the metric's unit.
        p: of no difference, by permutation; None where there is no such test (trainings).
        margin: what counts as no difference, in the metric's unit; None where none is known: there
            is no verdict then.
        higher_is_better: the metric's direction.
        scope: what the verdict may speak of.
        shape: of the scenes' differences; None for set metrics.
        floor: the smallest p that scenes or permutations can give.
    """

    name: str
    metric: str
    estimate: Estimate
    p: float | None
    margin: float | None
    higher_is_better: bool
    scope: Scope
    shape: Shape | None = None
    floor: float = 0.0


@dataclass(frozen=True)
class Unmeasured:
    """A part without a number, and why."""

    name: str
    metric: str
    reason: str


def unmeasured(name: str, metric: str, error: Exception) -> Unmeasured:
    """Return a part without a number; what its error says without the part's own name in front.

    So parts that lack the same have the same reason, which is then said once.
    """
    return Unmeasured(name, metric, str(error).removeprefix(f"{name}: "))


@dataclass(frozen=True)
class Verdict:
    """What may be said about one part.

    Attributes:
        name, metric: the part.
        label: direction and size in words.
        direction: 1 where the first arm is better, -1 where it is worse, 0 where neither is shown.
        leans: where the estimate points, shown or not.
        size: how the difference compares with the margin, where that is shown.
        effect: first minus second, in the metric's unit.
        low, high: simultaneous interval over all parts; it agrees with direction and size.
        alone: 95% interval of this part, had there been no other; without a margin the only one.
        p, holm: two-sided p of no difference, and adjusted over the parts.
        p_within, holm_within: of the test that the difference is smaller than the margin.
        p_outside, holm_outside: of the test that it is larger.
        margin: as given.
        scenes, n: independent units and images.
        detectable: the smallest difference that one part of these finds four times in five.
        scope: what the verdict may speak of.
        notes: what the reader has to know, such as what no test at this n can see.
    """

    name: str
    metric: str
    label: Label
    direction: Direction = 0
    leans: Direction = 0
    size: Size = "open"
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    alone: tuple[float, float] | None = None
    p: float | None = None
    holm: float | None = None
    p_within: float | None = None
    holm_within: float | None = None
    p_outside: float | None = None
    holm_outside: float | None = None
    margin: float | None = None
    scenes: int | None = None
    n: int | None = None
    detectable: float | None = None
    scope: Scope | None = None
    notes: tuple[str, ...] = ()

    @property
    def judged(self) -> bool:
        """Return whether there were tests: it was measured, on enough scenes."""
        return self.p is not None
