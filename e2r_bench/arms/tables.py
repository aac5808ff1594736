"""First reading of a claim: what the published tables alone support.

A table holds one number per configuration, no spread and no images. What n could resolve is
therefore bounded from two sides, and the larger bound is taken: by the paper's own adapters that
differ in the number of pairs alone, and for FID by simulations of two equally good methods.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType

import numpy as np
from scipy import stats

from e2r_bench.arms.claims import Claim, Claims
from e2r_bench.statistics.power import detectable

# Standard error of the difference of two equally good methods, as a share of the distance itself:
# simulated features, 2048 dimensions, power-law spectrum, half of the errors in common
# (`calibration.relative_error`). The size for real images will differ; it is an order of magnitude.
FID_RELATIVE_ERROR: Mapping[int, float] = MappingProxyType({68: 0.073, 100: 0.069, 500: 0.043})


@dataclass(frozen=True)
class TableReading:
    """One claim, read from published tables alone.

    Attributes:
        claim: its id.
        verdict: "supported", "refuted" or "not resolved", by the tables, or "no table published".
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
    value: float
    improves: bool
    second: float
    resolvable: float


def read_tables(claims: Claims) -> list[TableReading]:
    """Return the reading of every claim; needs no run, no weights and no image."""
    readers: Mapping[str, Callable[[Claims, Claim], TableReading]] = {
        "better": _better, "equivalent": _equivalent, "correlation": _correlation, "trend": _trend,
    }  # fmt: skip
    return [
        readers[claim.kind](claims, claim)
        if claim.published
        else TableReading(claim.id, "no table published", "", "only a run can settle it")
        for claim in claims.claims
    ]


def smallest_resolvable(claims: Claims, task: str, metric: str, level: float) -> float:
    """Return the smallest difference that the table's n finds four times in five, in its own unit.

    Args:
        claims: the tables; `paper.yardstick` names configurations that one expects to be alike.
        task: decides n and the spread.
        metric: a column of the tables.
        level: the value that FID's relative error refers to.
    """
    column = claims.paper.columns.index(metric)
    alike = [claims.configs[name][task][column] for name in claims.paper.yardstick]
    # A printed digit hides a uniform error of its own, so a spread of zero is none.
    spread = max(float(np.std(alike, ddof=1)), claims.paper.rounding / np.sqrt(12))
    bound = detectable(np.sqrt(2) * spread, len(alike) - 1)
    if metric != "fid":
        return bound
    known = sorted(FID_RELATIVE_ERROR)
    logs = np.log([FID_RELATIVE_ERROR[k] for k in known])
    share = float(np.exp(np.interp(np.log(claims.paper.n[task]), np.log(known), logs)))
    return max(bound, detectable(share * abs(level), claims.paper.n[task] - 1))


def _gaps(claims: Claims, claim: Claim) -> Iterator[_Gap]:
    paper, (first, second) = claims.paper, claim.published[:2]
    for column, metric in enumerate(paper.columns):
        if metric not in claim.metrics:
            continue
        for task in claim.tasks or paper.n:
            one, two = (claims.configs[name][task][column] for name in (first, second))
            improves = (one > two) if paper.higher_is_better[column] else (one < two)
            resolvable = smallest_resolvable(claims, task, metric, two)
            yield _Gap(task, metric, round(one - two, 4), improves, two, resolvable)


def _better(claims: Claims, claim: Claim) -> TableReading:
    gaps = list(_gaps(claims, claim))
    counts: list[str] = []
    for metric in dict.fromkeys(gap.metric for gap in gaps):
        mine = [gap for gap in gaps if gap.metric == metric and gap.value != 0]
        wins = sum(gap.improves for gap in mine)
        p = float(stats.binomtest(wins, len(mine)).pvalue) if mine else 1.0
        counts.append(f"{metric} {wins}/{len(mine)} (sign p {p:.3f})")
    found = [_resolved(gap) for gap in gaps]
    against = [
        f"{g.metric} {g.task}" for g, side in zip(gaps, found, strict=True) if side == "worse"
    ]
    if against:
        counts.append(f"against it: {', '.join(against)}")
    verdict = "supported" if set(found) == {"better"} else "refuted" if against else "not resolved"
    return TableReading(claim.id, verdict, "; ".join(counts), _detail(gaps))


def _resolved(gap: _Gap) -> str:
    if abs(gap.value) < gap.resolvable:
        return "not resolved"
    return "better" if gap.improves else "worse"


def _detail(gaps: Sequence[_Gap]) -> str:
    return "; ".join(
        f"{gap.metric} {gap.task} {gap.value:+.2f} (n resolves {gap.resolvable:.2g})"
        for gap in gaps
    )


def _equivalent(claims: Claims, claim: Claim) -> TableReading:
    gaps = list(_gaps(claims, claim))
    counts: list[str] = []
    for metric in dict.fromkeys(gap.metric for gap in gaps):
        mine = [gap for gap in gaps if gap.metric == metric]
        inside = sum(abs(gap.value) <= claim.margin * abs(gap.second) for gap in mine)
        wins = sum(gap.improves for gap in mine)
        counts.append(
            f"{metric}: {inside}/{len(mine)} within {claim.margin:.0%}, first better in {wins}"
        )
    # One number per arm bounds nothing: equivalence needs an interval, and a table has none.
    return TableReading(claim.id, "not resolved", "; ".join(counts), _detail(gaps))


def _correlation(claims: Claims, claim: Claim) -> TableReading:
    paper = claims.paper
    one, two = (paper.columns.index(metric) for metric in claim.metrics)
    parts: list[str] = []
    lowest = 1.0
    for task in claim.tasks or paper.n:
        rows = [claims.configs[name][task] for name in claim.published]
        rho, p = spearman([row[one] for row in rows], [row[two] for row in rows])
        lowest = min(lowest, p)
        parts.append(f"{task} {rho:+.2f} (p {p:.2f})")
    text = f"Spearman over {len(claim.published)} configurations: {', '.join(parts)}"
    # Absence of a correlation over seven points is not shown by a large p.
    return TableReading(claim.id, "not resolved", f"smallest p {lowest:.2f}", text)


def spearman(one: Sequence[float], two: Sequence[float]) -> tuple[float, float]:
    """Return Spearman's rho and its exact two-sided permutation p, for at most eight points."""
    first, second = stats.rankdata(one), stats.rankdata(two)
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first @ first) * (second @ second)))
    rho = float(first @ second) / scale
    orders = np.array(list(permutations(range(len(second)))))
    every = second[orders] @ first / scale
    return rho, float(np.mean(np.abs(every) >= abs(rho) - 1e-12))


def _trend(claims: Claims, claim: Claim) -> TableReading:
    paper, parts = claims.paper, []
    monotone = 0
    column = paper.columns.index(claim.metrics[0])
    better = 1 if paper.higher_is_better[column] else -1
    for task in claim.tasks or paper.n:
        values = [claims.configs[name][task][column] for name in claim.published]
        monotone += bool(np.all(better * np.diff(values) > 0))
        limit = smallest_resolvable(claims, task, claim.metrics[0], float(np.mean(values)))
        spread = max(values) - min(values)
        parts.append(f"{task} spread {spread:.2f} (n resolves {limit:.2g})")
    counts = f"{claim.metrics[0]} improves monotonically in {monotone} of {len(parts)} tasks"
    return TableReading(
        claim.id, "not resolved", counts, "; ".join(parts) + "; one training seed each"
    )
