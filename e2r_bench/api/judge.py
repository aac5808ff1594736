"""`e2r_bench.judge`: is one better than the other? Paired, with Holm's p and a margin."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.api.checks import checked
from e2r_bench.api.run import Ran, open_run
from e2r_bench.api.score import Scored, measures_of, scored
from e2r_bench.api.session import Watch, open_session, unwatched
from e2r_bench.report.statements import Contest, Judged, statement
from e2r_bench.statistics.given import given_margins
from e2r_bench.statistics.margins import Margin
from e2r_bench.studies.entrants import Measures, enter
from e2r_bench.studies.folders import Rules, folder_contest
from e2r_bench.studies.measure import Unit
from e2r_bench.versions import package_versions
from e2r_metrics.base.errors import UsageError
from e2r_metrics.parts import USUAL

if TYPE_CHECKING:
    import pandas as pd

    from e2r_metrics import Session

METRICS = ("psnr", "ssim", "lpips", "invented_share")
"""What folders are compared by where nobody says."""


@dataclass(frozen=True)
class Judgement:
    """A comparison; a notebook shows verdicts, intervals and what they stand on.

    Attributes:
        contest: everything that was judged, each arm's own numbers, and the facts.
        weights: weight file -> sha256, of the metrics.
        versions: package -> version.
    """

    contest: Contest
    weights: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=package_versions)

    @property
    def verdicts(self) -> tuple[Judged, ...]:
        """Return one entry per pair, task and metric; all are read together."""
        return self.contest.judged

    @property
    def statements(self) -> tuple[str, ...]:
        """Return what may be quoted: each with interval, n, adjusted p and margin."""
        return tuple(statement(one) for one in self.contest.judged)

    def frame(self) -> "pd.DataFrame":
        """Return a row per entry of `verdicts`."""
        import pandas as pd

        from e2r_bench.report.statements import record

        return pd.DataFrame([record(one) for one in self.contest.judged])

    def text(self, form: str) -> str:
        """Return what `e2r-bench compare --format FORM` prints.

        Args:
            form: "markdown", "latex", "csv" or "json"; marks in the first two need `every=True`.

        Raises:
            UsageError: another name.
        """
        from e2r_bench.report.contest_text import csv_text, json_text, markdown
        from e2r_bench.report.latex import latex
        from e2r_metrics.base.errors import unknown

        makers = {"markdown": markdown, "latex": latex, "csv": csv_text, "json": json_text}
        if form not in makers:
            raise unknown("format", form, makers)
        return makers[form](self.contest)

    def _repr_html_(self) -> str:
        from e2r_bench.api import html
        from e2r_bench.report.contest_text import HEADS, SAYS, tables
        from e2r_bench.report.reasons import reasons

        parts = [
            part
            for made in tables(self.contest)
            for part in (html.title(made.title), html.table(HEADS, made.rows))
        ]
        return html.joined((
            *parts,
            html.lines((SAYS, *reasons(self.contest))),
            html.folded("to quote", self.statements),
            html.folded("protocols, margins, data", self.contest.facts),
            html.stands_on(self.weights, self.versions),
        ))  # fmt: skip


@checked
def judge(
    *arms: "Scored | str | Path",
    clean: str | Path | None = None,
    degraded: Scored | None = None,
    against: str | None = None,
    metrics: str | Sequence[str] = METRICS,
    margins: Mapping[str, float | Margin] | None = None,
    every: bool = False,
    session: "Session | None" = None,
) -> Judgement:
    """Set results against the first of them, paired by picture, all read together.

    Every difference has a simultaneous interval, a p that is adjusted over all of them (Holm), the
    smallest difference that this n finds, and a margin below which it counts as none. Each clean
    picture is a scene; below ten of them nothing is resolved, and the verdict says so.

    Args:
        arms: two or more results of `score`; or folders of results, with `clean`.
        clean: the clean pictures of folders of results.
        degraded: the score of what was restored, by the same metrics: set metrics need it, because
            their margins are a share of its distance.
        against: name of the arm that the others are set against; None for the first.
        metrics: what folders are measured by.
        margins: metric -> what counts as no difference, in its unit; the others have their own.
        every: judge all pairs too, for the marks of a table.
        session: what folders are scored with; None opens one.

    Raises:
        UsageError: fewer than two arms, arms of two kinds, or an unknown name.

    Example:
        >>> import numpy as np, e2r_bench
        >>> rng = np.random.default_rng(0)
        >>> clean = rng.integers(60, 200, (12, 32, 32, 3)).astype(np.uint8)
        >>> near, far = (clean + rng.integers(0, k, clean.shape).astype(np.uint8) for k in (4, 9))
        >>> a = e2r_bench.score(near, clean, "psnr", name="near")
        >>> b = e2r_bench.score(far, clean, "psnr", name="far")
        >>> judgement = e2r_bench.judge(a, b)
        >>> judgement.verdicts[0].verdict.label
        'worse'

        With weights (LPIPS), of two folders:

            e2r_bench.judge("results/old", "results/new", clean="data/clean")
    """
    if clean is not None:
        using = session or open_session()
        wanted = measures_of(metrics, "default", {}, None, USUAL)
        made = score_folders(_paths(arms), Path(clean), wanted, using, unwatched)
    else:
        made = _scores(arms)
    if len(made) < 2:
        raise UsageError(f"judge: expected two results or more, found {len(made)}")
    rules = Rules(against, given_margins(margins or {}, _judged(made[0].measures)), every)
    inputs = degraded.entrant if degraded is not None else None
    contest = folder_contest([one.entrant for one in made], made[0].measures, rules, inputs)
    weights = {name: digest for one in made for name, digest in one.weights.items()}
    return Judgement(contest, weights)


def score_folders(
    folders: Sequence[Path],
    clean: Path | None,
    measures: Measures,
    session: "Session",
    watch: Watch,
) -> list[Scored]:
    """Score folders of results against clean pictures or without any, each under its own name.

    Raises:
        UsageError: the same folder twice, or files without partner.
    """
    made = enter(folders, clean, measures, session, watch)
    return [scored(one, measures, session) for one in made]


def _judged(measures: Measures) -> list[str]:
    return [*(metric.id for metric in measures.metrics), *measures.shares]


def _paths(arms: Sequence[object]) -> list[Path]:
    for arm in arms:
        if not isinstance(arm, str | Path):
            raise UsageError(f"clean: expected folders beside it, found a {type(arm).__name__}")
    return [Path(str(arm)) for arm in arms]


def _scores(arms: Sequence[object]) -> list[Scored]:
    made = [arm for arm in arms if isinstance(arm, Scored)]
    if len(made) < len(arms):
        raise UsageError(
            "judge: expected results of `score`; folders of results need clean=, runs `judge_runs`"
        )
    names = [one.name for one in made]
    if len(set(names)) < len(names):
        raise UsageError(
            f"judge: expected different names, found {', '.join(names)}; score(name=) gives one"
        )
    if any(one.measures != made[0].measures for one in made):
        raise UsageError("judge: expected results that were scored by the same metrics and parts")
    return made


@checked
def judge_runs(
    *runs: "Ran | str | Path",
    methods: Sequence[str] = (),
    against: str | None = None,
    metrics: Sequence[str] = (),
    tasks: Sequence[str] = (),
    margins: Mapping[str, float | Margin] | None = None,
    unit: Unit = "scene",
    every: bool = False,
    session: "Session | None" = None,
) -> Judgement:
    """Compare the methods of a run, or of several runs under one protocol; see `judge`.

    Args:
        runs: what `run` returned, or run folders. Of several, each method meets its namesake of
            the first.
        methods: of a single run, those to compare, the one that others are set against first.
        against: which one that is instead.
        metrics, tasks: only these.
        margins, every: as in `judge`.
        unit: what is independent: "scene", or "image", which speaks of these pictures alone.
        session: computes features of sets; None opens one.

    Raises:
        UsageError: runs that may not be compared, an unknown name, or fewer than two arms.

    Example:
        Of a run that was made:

            e2r_bench.judge_runs("results/run", methods=["nlm", "bm3d"], metrics=["psnr"])
    """
    from e2r_bench.report.compare import origins
    from e2r_bench.studies.contest import Asked, contest
    from e2r_bench.studies.sides import Criteria

    if not runs:
        raise UsageError("judge_runs: expected a run or more, found none")
    stores = [open_run(one).store for one in runs]
    if methods and len(stores) > 1:
        raise UsageError("judge_runs: methods are those of one run; of several all are compared")
    asked = Asked(tuple(methods), against, tuple(metrics), tuple(tasks), every)
    given = given_margins(margins or {}, metrics or stores[0].info.metrics)
    criteria = Criteria(session or open_session(), unit, margins=given)
    made = contest(origins(stores), asked, criteria)
    known = {key: info for store in stores for key, info in store.info.metrics.items()}
    return Judgement(made, {k: v for m in made.levels for k, v in known[m.metric].weights.items()})
