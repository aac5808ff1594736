"""`e2r-bench study filter`: is a draw that a judge chose better than the mean draw?"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import NAMES, OUTPUT, WHOLE

if TYPE_CHECKING:
    from e2r_bench.run.config import Experiment
    from e2r_bench.run.runner import Outcome


@click.command("filter", short_help="Is a draw that a judge chose better than the mean draw?")
@click.option("--method", default="kontext_lora", show_default=True, help="An editor.")
@click.option(
    "--judges", type=NAMES, default="consistency,oracle", show_default=True,
    help="consistency, oracle (the truth: an upper bound), or metrics such as niqe.",
)  # fmt: skip
@click.option("--candidates", type=click.IntRange(min=2), default=6, show_default=True)
@click.option("--filter-steps", type=click.IntRange(min=1), default=4, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=28, show_default=True)
@click.option("--seeds", type=WHOLE, default="0,1,2,3", show_default=True)
@options.study_tasks
@click.option("--metrics", type=NAMES, default="psnr,lpips", show_default=True)
@options.studied
@options.margin
@options.dry_run
@click.option("--out", type=OUTPUT, default=Path("results/filter"), show_default=True)
def command(
    method: str,
    judges: Sequence[str],
    candidates: int,
    filter_steps: int,
    steps: int,
    seeds: Sequence[int],
    dry_run: bool,
    **asked: Any,
) -> int:
    """Try several noises for a few steps, go on from the one a judge chooses; is it worth its cost?

    Beside each judge stand the mean draw, one run of as many steps as the filter costs in all, and
    the mean picture of several draws. OUT/same-cost holds the run of the last two.
    """
    from e2r_bench.commands.arms import margins_of, settings_of
    from e2r_bench.console import print_contest
    from e2r_bench.run.config import make_experiment
    from e2r_bench.run.dry import dry_run as dry
    from e2r_bench.run.services import open_services
    from e2r_bench.studies.early_filter import average, study_filter
    from e2r_bench.studies.filter_settings import Asked, check_asked
    from e2r_bench.studies.sides import Criteria
    from e2r_bench.terminal import stdout_console
    from e2r_metrics.base.locks import locked

    study = Asked(method, tuple(judges), candidates, filter_steps, steps, tuple(seeds))
    check_asked(study)
    margins, settings = margins_of(asked["margins"]), settings_of(asked)
    first = make_experiment(settings | study.first(settings["method"]), "the command line")
    if dry_run:
        for line in dry(first):
            click.echo(line)
        return 0
    run = _run(first)
    average(run.store, study)
    second = settings | study.second(first.out, settings["method"])
    rivals = _run(make_experiment(second, "the command line"))
    _, session, _ = open_services(first, _unsaid)
    with locked(run.store.folder):
        found = study_filter(run.store, rivals.store, study, Criteria(session, margins=margins))
    print_contest(stdout_console(), found)
    click.echo(f"written: {run.store.folder / 'studies' / 'filter'}")
    return 1 if run.failures or rivals.failures else 0


def _run(experiment: "Experiment") -> "Outcome":
    from e2r_bench.console import Console
    from e2r_bench.run.runner import run_experiment

    with Console(quiet=True) as console:
        made = run_experiment(experiment, _given(experiment), console.watch, click.echo)
    for cell, reason in made.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return made


def _given(experiment: "Experiment") -> Mapping[str, Any]:
    return experiment.model_dump(mode="json", exclude_defaults=True)


def _unsaid(line: str) -> None:
    del line
