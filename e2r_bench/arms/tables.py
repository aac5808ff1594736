"""First reading of a claim: what the published tables alone support.

A table holds one number per configuration, no spread and no images. What n could resolve is
therefore bounded from two sides, and the larger bound is taken: by the paper's own adapters that
differ in the number of pairs alone, and for FID by simulations of two equally good methods.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import stats

from e2r_bench.arms.claims import Claim, Claims
from e2r_bench.statistics.correlation import Correlation, rank_correlation
from e2r_bench.statistics.evidence import Part
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.printed import Printed, printed_evidence, resolvable
from e2r_bench.statistics.ruling import rule
from e2r_metrics.base.errors import UsageError

# Standard error of the difference of two equally good methods, as a share of the distance itself:
# simulated features, 2048 dimensions, power-law spectrum, half of the errors in common
# (`calibration.relative_error`). The size for real images will differ; it is an order of magnitude.
FID_RELATIVE_ERROR: Mapping[int, float] = MappingProxyType({68: 0.073, 100: 0.069, 500: 0.043})


@dataclass(frozen=True)
class TableReading:
    """One claim, read from published tables alone.

    Attributes:
        claim: its id.
        verdict: the decision by the tables, or "no table published".
        counts: how many published comparisons point which way.
        detail: the differences, task by task.
    """

    claim: str
    verdict: str
    counts: str
    detail: str


@dataclass(frozen=True)
class _Gap:
    """One published difference: first minus second configuration."""

    task: str
    metric: str
    printed: Printed
    higher_is_better: bool

    @property
    def value(self) -> float:
        return round(self.printed.first - self.printed.second, 4)

    @property
    def improves(self) -> bool:
        return self.value > 0 if self.higher_is_better else self.value < 0


def read_tables(claims: Claims) -> list[TableReading]:
    """Return the reading of every claim; needs no run, no weights and no image."""
    readers: Mapping[str, Callable[[Claims, Claim], TableReading]] = {
        "better": _better, "equivalent": _equivalent, "correlation": _correlation, "trend": _trend,
    }  # fmt: skip
    return [
        readers[claim.kind](claims, claim) if _published(claims, claim) else _unpublished(claim)
        for claim in claims.claims
    ]


def _published(claims: Claims, claim: Claim) -> bool:
    """Return whether the tables have what a claim is about: any column, all to correlate."""
    columns = [metric in claims.paper.columns for metric in claim.metrics]
    there = all(columns) if claim.kind == "correlation" else any(columns)
    return bool(claim.published) and there


def _unpublished(claim: Claim) -> TableReading:
    return TableReading(claim.id, "no table published", "", "only a run can settle it")


def _printed(claims: Claims, task: str, metric: str, first: float, second: float) -> Printed:
    """Return two printed values with what they are held against.

    Args:
        claims: the tables; `paper.yardstick` names configurations that one expects to be alike.
        task: decides n and the spread.
        metric: a column of the tables.
        first, second: as printed; FID's simulated error is a share of the second.
    """
    column, paper = claims.paper.columns.index(metric), claims.paper
    alike = tuple(claims.configs[name][task][column] for name in paper.yardstick)
    simulated = 0.0
    if metric == "fid":
        known = sorted(FID_RELATIVE_ERROR)
        logs = np.log([FID_RELATIVE_ERROR[k] for k in known])
        share = float(np.exp(np.interp(np.log(paper.n[task]), np.log(known), logs)))
        simulated = share * abs(second)
    return Printed(first, second, alike, paper.rounding, paper.n[task], simulated)


def _gaps(claims: Claims, claim: Claim) -> Iterator[_Gap]:
    paper, (first, second) = claims.paper, claim.published[:2]
    for column, metric in enumerate(paper.columns):
        if metric not in claim.metrics:
            continue
        for task in claim.tasks or paper.n:
            one, two = (claims.configs[name][task][column] for name in (first, second))
            printed = _printed(claims, task, metric, one, two)
            yield _Gap(task, metric, printed, paper.higher_is_better[column])


def _better(claims: Claims, claim: Claim) -> TableReading:
    gaps = list(_gaps(claims, claim))
    counts: list[str] = []
    for metric in dict.fromkeys(gap.metric for gap in gaps):
        mine = [gap for gap in gaps if gap.metric == metric and gap.value != 0]
        wins = sum(gap.improves for gap in mine)
        p = float(stats.binomtest(wins, len(mine)).pvalue) if mine else 1.0
        counts.append(f"{metric} {wins}/{len(mine)} (sign p {p:.3f})")
    # A printed digit is the smallest size that a table can speak of; directions alone decide.
    unit = claims.paper.rounding
    verdicts = judge([
        printed_evidence(
            Part(f"{gap.metric} {gap.task}", gap.metric, unit, gap.higher_is_better), gap.printed
        )
        for gap in gaps
    ])  # fmt: skip
    against = [verdict.name for verdict in verdicts if verdict.direction < 0]
    if against:
        counts.append(f"against it: {', '.join(against)}")
    return TableReading(
        claim.id, rule("better", verdicts).decision, "; ".join(counts), _detail(gaps)
    )


def _detail(gaps: Sequence[_Gap]) -> str:
    return "; ".join(
        f"{gap.metric} {gap.task} {gap.value:+.2f} (n resolves {resolvable(gap.printed):.2g})"
        for gap in gaps
    )


def _equivalent(claims: Claims, claim: Claim) -> TableReading:
    gaps = list(_gaps(claims, claim))
    counts: list[str] = []
    for metric in dict.fromkeys(gap.metric for gap in gaps):
        mine = [gap for gap in gaps if gap.metric == metric]
        wins = sum(gap.improves for gap in mine)
        counts.append(f"{metric}: first better in {wins} of {len(mine)}")
    # One number per arm bounds nothing: equivalence needs an interval, and a table has none.
    return TableReading(claim.id, "not resolved", "; ".join(counts), _detail(gaps))


def _correlation(claims: Claims, claim: Claim) -> TableReading:
    paper = claims.paper
    one, two = (paper.columns.index(metric) for metric in claim.metrics)
    parts: list[str] = []
    lowest = 1.0
    for task in claim.tasks or paper.n:
        rows = [claims.configs[name][task] for name in claim.published]
        try:
            found = rank_correlation([row[one] for row in rows], [row[two] for row in rows])
        except UsageError as error:
            parts.append(f"{task} none: {error}")
            continue
        lowest = min(lowest, found.p)
        parts.append(_correlation_words(task, found))
    text = f"Spearman over {len(claim.published)} configurations: {', '.join(parts)}"
    # Absence of a correlation over seven points is not shown by a large p.
    return TableReading(claim.id, "not resolved", f"smallest p {lowest:.2f}", text)


def _correlation_words(task: str, found: Correlation) -> str:
    return f"{task} {found.rho:+.2f} (p {found.p:.2f})"


def _trend(claims: Claims, claim: Claim) -> TableReading:
    paper, parts = claims.paper, []
    monotone = 0
    metric = next(name for name in claim.metrics if name in paper.columns)
    column = paper.columns.index(metric)
    better = 1 if paper.higher_is_better[column] else -1
    for task in claim.tasks or paper.n:
        values = [claims.configs[name][task][column] for name in claim.published]
        monotone += bool(np.all(better * np.diff(values) > 0))
        printed = _printed(claims, task, metric, max(values), float(np.mean(values)))
        limit = resolvable(printed)
        spread = max(values) - min(values)
        parts.append(f"{task} spread {spread:.2f} (n resolves {limit:.2g})")
    counts = f"{metric} improves monotonically in {monotone} of {len(parts)} tasks"
    return TableReading(
        claim.id, "not resolved", counts, "; ".join(parts) + "; one training seed each"
    )
