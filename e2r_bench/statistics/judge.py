"""From the evidence of each part to its verdict: a direction, a size, or that neither is known.

Every caller (claims, studies, comparisons) judges here, so that the same data get the same words.
Directions and sizes are two families of tests, each at level `ALPHA` over all parts by Holm's
procedure. A direction needs both the permutation test and the test of the mean that allows for
skewness; a size is shown by one-sided tests against the margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from e2r_bench.statistics.diagnose import warnings_of
from e2r_bench.statistics.margins import unmargined
from e2r_bench.statistics.onesided import interval, p_beyond, shared_skews
from e2r_bench.statistics.paired import holm
from e2r_bench.statistics.power import detectable
from e2r_bench.statistics.verdict import (
    Direction,
    Evidence,
    Label,
    Size,
    Unmeasured,
    Verdict,
)
from e2r_metrics.base.errors import UsageError

ALPHA = 0.05
MIN_SCENES = 10
"""Fewer scenes than these get no verdict of any kind: they show neither tail nor spread."""


def judge(parts: Sequence[Evidence | Unmeasured], alpha: float = ALPHA) -> tuple[Verdict, ...]:
    """Return the verdict of every part, in order.

    Parts on fewer than `MIN_SCENES` scenes, of a metric without a margin, or not measured get no
    test and count for no adjustment: all of that is known before anything is compared.

    Args:
        parts: all that are read together: those of a claim, or of a study's table.
        alpha: level of each of the two families, directions and sizes.

    Raises:
        UsageError: a margin that is not above zero, a p outside [0, 1], or an estimate that is not
            finite.
    """
    tested = [part for part in parts if isinstance(part, Evidence) and _testable(part)]
    for part in tested:
        _check(part)
    ruled = iter(_tested(tested, alpha))
    return tuple(
        next(ruled) if isinstance(part, Evidence) and _testable(part) else _untested(part, alpha)
        for part in parts
    )


def _enough(part: Evidence) -> bool:
    return part.estimate.scenes >= MIN_SCENES


def _testable(part: Evidence) -> bool:
    return _enough(part) and part.margin is not None


def _margin(part: Evidence) -> float:
    """Return the margin of a part that is tested."""
    if part.margin is None or not part.margin > 0:
        raise UsageError(f"{part.name}: margin: expected a number above 0, found {part.margin}")
    return part.margin


def _check(part: Evidence) -> None:
    estimate = part.estimate
    _margin(part)
    if part.p is not None and not 0 <= part.p <= 1:
        raise UsageError(f"{part.name}: expected a p-value in [0, 1], found {part.p}")
    # A NaN is not at least zero either.
    if not (abs(estimate.value) < float("inf") and 0 <= estimate.error < float("inf")):
        raise UsageError(
            f"{part.name}: expected a finite difference and error, found {estimate.value} and "
            f"{estimate.error}"
        )


def _untested(part: Evidence | Unmeasured, alpha: float) -> Verdict:
    if isinstance(part, Unmeasured):
        return Verdict(part.name, part.metric, "not measured", notes=(part.reason,))
    found = part.estimate
    if _enough(part):
        # What it is in the metric's unit is known; what it amounts to, nobody has said.
        why, alone = _no_margin(part.metric), interval(found, 1 - alpha, None)
    else:
        alone = None
        why = (
            f"{found.scenes} scenes: no verdict of any kind below {MIN_SCENES}, and no test; "
            "give more photographs"
        )
    return Verdict(
        part.name, part.metric, "not resolved", effect=found.value, margin=part.margin,
        alone=alone, scenes=found.scenes, n=found.n, scope=part.scope, notes=(why,),
    )  # fmt: skip


def _no_margin(metric: str) -> str:
    return f"no verdict: {unmargined(metric)}; its interval is of this part alone"


@dataclass(frozen=True)
class _Tests:
    """The three p-values of a part, and the skewness that they allowed for."""

    differs: float
    within: float
    outside: float
    shared: float | None


def _tested(parts: Sequence[Evidence], alpha: float) -> list[Verdict]:
    tests = [_tests(part, skew) for part, skew in zip(parts, _shared(parts), strict=True)]
    differs = holm([test.differs for test in tests])
    within = holm([test.within for test in tests])
    outside = holm([test.outside for test in tests])
    rows = zip(parts, tests, differs, within, outside, strict=True)
    return [_verdict(part, test, adjusted, alpha, len(parts)) for part, test, *adjusted in rows]


def _shared(parts: Sequence[Evidence]) -> list[float | None]:
    found: list[float | None] = [None] * len(parts)
    for metric in {part.metric for part in parts}:
        places = [k for k, part in enumerate(parts) if part.metric == metric]
        for k, skew in zip(places, shared_skews([parts[k].estimate for k in places]), strict=True):
            found[k] = skew
    return found


def _tests(part: Evidence, shared: float | None) -> _Tests:
    estimate, margin = part.estimate, _margin(part)
    apart = min(1.0, 2 * min(p_beyond(estimate, 0.0, side, shared) for side in (-1, 1)))
    differs = max(apart, part.p or 0.0)
    within = max(p_beyond(estimate, side * margin, -side, shared) for side in (-1, 1))
    outside = min(1.0, 2 * min(p_beyond(estimate, side * margin, side, shared) for side in (-1, 1)))
    # What lies outside the margin differs: without that, there is no size of it either.
    return _Tests(differs, within, max(outside, differs), shared)


def _verdict(
    part: Evidence, test: _Tests, adjusted: Sequence[float], alpha: float, parts: int
) -> Verdict:
    estimate = part.estimate
    differs, within, outside = (p <= alpha for p in adjusted)
    leans = _direction(part)
    direction = leans if differs else 0
    size: Size = "less than the margin" if within else "more than the margin" if outside else "open"
    ends = interval(estimate, 1 - alpha / parts, test.shared)
    low, high = _aligned(ends, part, direction != 0, size)
    return Verdict(
        name=part.name,
        metric=part.metric,
        label=_label(direction, within),
        direction=direction,
        leans=leans,
        size=size,
        effect=estimate.value,
        low=low,
        high=high,
        alone=interval(estimate, 1 - alpha, test.shared),
        p=test.differs,
        holm=adjusted[0],
        p_within=test.within,
        holm_within=adjusted[1],
        p_outside=test.outside,
        holm_outside=adjusted[2],
        margin=part.margin,
        scenes=estimate.scenes,
        n=estimate.n,
        detectable=detectable(estimate.error, estimate.df, alpha),
        scope=part.scope,
        notes=_notes(part, parts, alpha),
    )


def _direction(part: Evidence) -> Direction:
    gain = part.estimate.value if part.higher_is_better else -part.estimate.value
    return 1 if gain > 0 else -1 if gain < 0 else 0


def _label(direction: Direction, within: bool) -> Label:
    if direction == 0:
        return "equivalent" if within else "not resolved"
    if direction > 0:
        return "better by less than the margin" if within else "better"
    return "worse by less than the margin" if within else "worse"


def _aligned(
    ends: tuple[float, float], part: Evidence, differs: bool, size: Size
) -> tuple[float, float]:
    """Return Bonferroni's interval, cut or stretched where Holm's step decides otherwise.

    Holm's later steps decide what the interval leaves open: it is cut there. The permutation test
    may leave open what the interval decides: it then reaches zero, or the margin.
    """
    low, high = ends
    margin, up = _margin(part), part.estimate.value > 0
    if differs:
        low, high = (max(low, 0.0), high) if up else (low, min(high, 0.0))
    else:
        low, high = min(low, 0.0), max(high, 0.0)
    if size == "less than the margin":
        return max(low, -margin), min(high, margin)
    if size == "more than the margin":
        return (max(low, margin), high) if up else (low, min(high, -margin))
    return min(low, margin), max(high, -margin)


def _notes(part: Evidence, parts: int, alpha: float) -> tuple[str, ...]:
    notes = list(warnings_of(part.estimate, part.shape))
    if part.floor * parts > alpha:
        notes.append(
            f"no p below {part.floor:.3g} is possible with these scenes or permutations: too large "
            f"for {parts} parts"
        )
    return (*notes, *part.scope.notes)
