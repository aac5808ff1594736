"""`e2r_bench.check`: a gate for one's own model: is it no worse than a baseline?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_bench.api.checks import checked
from e2r_bench.api.judge import judge
from e2r_bench.api.run import Ran, open_run
from e2r_bench.api.score import Scored
from e2r_bench.api.session import open_session
from e2r_bench.report.gate import Checked
from e2r_bench.report.statements import Contest
from e2r_bench.statistics.margins import Margin
from e2r_bench.store.cell import Cell
from e2r_metrics.base.errors import UsageError, unknown

if TYPE_CHECKING:
    from e2r_metrics import Session


@dataclass(frozen=True)
class Gate:
    """What a gate found; a notebook shows its table.

    Attributes:
        checks: one per method, task and metric, with the statement behind it.
        contest: all that was judged, and the facts.
        failures: pictures and numbers that failed, with the reason; of runs, of the new one's.
    """

    checks: tuple[Checked, ...]
    contest: Contest
    failures: Mapping[Cell | str, str] = field(default_factory=dict[Cell | str, str])

    @property
    def passed(self) -> bool:
        """Return whether nothing is worse than allowed, and nothing failed."""
        return not self.failures and all(one.passed for one in self.checks)

    def records(self) -> dict[str, Any]:
        """Return what `e2r-bench check --json` prints."""
        from e2r_bench.report.statements import record

        rows = [
            {"outcome": one.outcome, "passed": one.passed, **record(one.part)}
            for one in self.checks
        ]
        return {"checks": rows, "facts": list(self.contest.facts)}

    def _repr_html_(self) -> str:
        from e2r_bench.api import html
        from e2r_bench.report.gate import HEADS, SAYS, rows
        from e2r_bench.report.reasons import reasons

        failed = [f"failed: {name}: {reason}" for name, reason in self.failures.items()]
        return html.joined((
            html.title("passed" if self.passed else "failed"),
            html.table(HEADS, rows(self.checks)),
            html.lines((SAYS, *reasons(self.contest), *failed)),
            html.folded("protocols, margins, data", self.contest.facts),
        ))  # fmt: skip


@checked
def check(
    results: Ran | Scored | str | Path,
    against: Ran | Scored | str | Path,
    tolerances: Mapping[str, float],
    *,
    tasks: Sequence[str] = (),
    session: "Session | None" = None,
) -> Gate:
    """Compare results with a baseline, paired by picture: are they worse than allowed?

    Args:
        results: a run, or what `score` returned.
        against: the baseline, likewise. Of runs, methods of one name are compared.
        tolerances: metric -> how much worse it may be, in its unit; only these are looked at.
        tasks: only these tasks of runs.
        session: computes features of sets; None opens one.

    Raises:
        UsageError: a run beside scores, runs that may not be compared, or an unknown name.

    Example:
        >>> import numpy as np, e2r_bench
        >>> rng = np.random.default_rng(0)
        >>> clean = rng.integers(60, 200, (12, 32, 32, 3)).astype(np.uint8)
        >>> near, far = (clean + rng.integers(0, k, clean.shape).astype(np.uint8) for k in (4, 9))
        >>> base = e2r_bench.score(near, clean, "psnr", name="base")
        >>> mine = e2r_bench.score(far, clean, "psnr", name="mine")
        >>> e2r_bench.check(mine, base, {"psnr": 0.05}).passed
        False
    """
    from e2r_bench.report import gate

    if not tolerances:
        raise UsageError("check: expected a tolerance of a metric or more, found none")
    margins = _margins(tolerances)
    failures: Mapping[Any, str]
    if isinstance(results, Scored) and isinstance(against, Scored):
        both = (_only(against, margins), _only(results, margins))
        contest = judge(*both, margins=margins).contest
        failures = {f"{o.name}: {k}": why for o in both for k, why in o.failed.items()}
    elif isinstance(results, Scored) or isinstance(against, Scored):
        raise UsageError("check: expected two runs, or two results of `score`, found one of each")
    else:
        new = open_run(results)
        using = session or open_session()
        contest = _of_runs(new, open_run(against), margins, tuple(tolerances), tasks, using)
        failures = new.failures
    return Gate(gate.check(contest), contest, failures)


def _only(scored: Scored, names: Collection[str]) -> Scored:
    """Return what was scored by the metrics of some names alone.

    Raises:
        UsageError: a metric that it was not scored by.
    """
    whole = scored.measures
    known = [*(metric.name for metric in whole.metrics), *(_bare(key) for key in whole.shares)]
    for name in names:
        if name not in known:
            raise unknown("metric that was scored, for a tolerance", name, known)
    metrics = tuple(metric for metric in whole.metrics if metric.name in names)
    shares = tuple(key for key in whole.shares if _bare(key) in names)
    return replace(scored, measures=replace(whole, metrics=metrics, shares=shares))


def _bare(metric: str) -> str:
    return metric.partition(":")[0]


def _of_runs(
    new: Ran,
    old: Ran,
    margins: Mapping[str, Margin],
    metrics: Sequence[str],
    tasks: Sequence[str],
    session: "Session",
) -> Contest:
    from e2r_bench.report.compare import origins
    from e2r_bench.studies.contest import Asked, contest
    from e2r_bench.studies.sides import Criteria

    wanted = Asked(metrics=tuple(metrics), tasks=tuple(tasks), namesakes=True)
    return contest(origins([old.store, new.store]), wanted, Criteria(session, margins=margins))


def _margins(given: Mapping[str, float]) -> dict[str, Margin]:
    """Return tolerances as margins: in the metric's own unit, for distances of sets too."""
    bare = {_bare(name): value for name, value in given.items()}
    for name, value in bare.items():
        # A NaN is not above zero either.
        if not 0 < value < float("inf"):
            raise UsageError(
                f"check: tolerance of {name}: expected a finite number above 0, found {value}"
            )
    return {name: Margin(name, value, "", "given by --tolerance") for name, value in bare.items()}
