"""`e2r_bench.study_tradeoff` and `study_plan`: better or only prettier; which order, which tool?"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_bench.api.checks import checked
from e2r_bench.api.run import experiment_of, run
from e2r_bench.api.session import Watch, logged, unwatched
from e2r_bench.api.studies import Study

if TYPE_CHECKING:
    from e2r_bench.run.config import Experiment
    from e2r_bench.studies.plan_study import Planned
    from e2r_bench.studies.tradeoff import Contest

Say = Callable[[str], None]


@checked
def study_tradeoff(
    file: str | Path,
    *,
    runs: Sequence[str] = (),
    methods: Sequence[str] = (),
    page: str | Path | None = None,
    allow_commands: bool = False,
    redo: bool = False,
    say: Say = logged,
    watch: Watch = unwatched,
) -> Study:
    """Run what a study file names, and judge the pairs it names: perception, fidelity, invention.

    Args:
        file: a TOML file, fixed before anything is run; `results/real/study.toml` is one.
        runs, methods: only these of the file's, which the page says; empty for all.
        page: where tables and plane go; None for `tradeoff` in the file's own folder.
        allow_commands: start programs that the file names.
        redo: make anew what stands on inputs that changed.
        say, watch: as in `run`.

    Raises:
        UsageError: a file that is none, an unknown name, or what `run` raises.

    Example:
        With weights of the methods that the file names:

            e2r_bench.study_tradeoff("results/real/study.toml").lines
    """
    from e2r_bench.run.plan import refuse_programs
    from e2r_bench.run.services import open_services
    from e2r_bench.studies.tradeoff import contests
    from e2r_bench.studies.tradeoff_file import limited, read_tradeoff
    from e2r_bench.studies.tradeoff_page import PLOT, records, write_page
    from e2r_bench.studies.writing import refuse_other_page

    made = limited(read_tradeoff(Path(file), allow_commands), runs, methods)
    folder = Path(page) if page is not None else made.content.out / "tradeoff"
    refuse_other_page(folder, PLOT)
    for experiment in () if allow_commands else made.experiments.values():
        refuse_programs(experiment.methods, experiment.metrics, str(file))
    ran = {k: run(e, redo=redo, say=say, watch=watch) for k, e in made.experiments.items()}
    stores = {name: one.store for name, one in ran.items()}
    judged = contests(made, stores, open_services(next(iter(made.experiments.values())), say)[1])
    write_page(made, stores, judged, folder)
    failed = {cell: reason for one in ran.values() for cell, reason in one.failures.items()}
    lines = _tradeoff_lines(judged)
    return Study("tradeoff", folder, lines, tuple(records(judged)), tuple(ran.values()), failed)


def _tradeoff_lines(judged: "Sequence[Contest]") -> tuple[str, ...]:
    from e2r_bench.studies.tradeoff_page import line_of

    return tuple(
        line
        for one in judged
        for line in (
            *map(line_of, (one.perception, one.fidelity, one.invention)),
            f"{one.task}: {one.words}",
        )
    )


@checked
def study_plan(
    settings: "Experiment | Mapping[str, Any]",
    tools: Mapping[str, Sequence[str]],
    *,
    say: Say = logged,
) -> Study:
    """Run every order of the true degradations with every tool; hold plans against the best.

    Args:
        settings: as of `run`: tasks (mixtures such as "noise+jpeg"), one metric of single
            pictures, data, out.
        tools: degradation -> methods, the usual one first; "all" for those of one call.
        say: told of progress.

    Raises:
        UsageError: a task that is no mixture, a degradation without a tool, or a metric of sets.

    Example:
        >>> import tempfile, e2r_bench
        >>> study = e2r_bench.study_plan(
        ...     {"tasks": ["haze+noise"], "metrics": ["psnr"], "limit": 2, "crop": 48,
        ...      "device": "cpu", "out": tempfile.mkdtemp() + "/plan"},
        ...     {"haze": ["dcp"], "noise": ["nlm"]})
        >>> sorted({row["task"] for row in study.rows})
        ['haze+noise']
    """
    from e2r_bench.studies.plan_study import study_plan

    methods = list(dict.fromkeys(tool for names in tools.values() for tool in names))
    experiment = experiment_of(settings, methods)
    made = study_plan(experiment, tools, experiment.out, say)
    return Study("plans", experiment.out, _plan_lines(made), tuple(made.rows))


def _plan_lines(made: "Planned") -> tuple[str, ...]:
    from e2r_bench.studies.tradeoff_page import line_of

    return (*map(_plan_line, made.rows), *map(line_of, made.effects))


def _plan_line(row: Mapping[str, Any]) -> str:
    gain = f"{row['gain']:+.3g}"
    if row["gain_low"] is not None:
        gain += f" ({row['gain_low']:+.3g} to {row['gain_high']:+.3g})"
    return (
        f"{row['task']}, {row['policy']}: {row['metric']} {row['mean']:.4g}, gain {gain}, "
        f"regret {row['regret']:.3g}, {row['calls']:.3g} calls, {row['seconds']:.2g} s"
    )
