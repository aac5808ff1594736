"""`e2r-bench study`: seeds, steps, pairs and prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from e2r_bench.commands import arm_studies, filter_study, options, plan_study, tradeoff
from e2r_bench.commands.types import FILE, NAMES, OUTPUT, POSITIVE, WHOLE, flat
from e2r_bench.mistakes import name_of

if TYPE_CHECKING:
    from e2r_bench.api.run import Ran
    from e2r_bench.run.config import Experiment
    from e2r_bench.statistics.margins import Margin

_METHODS = click.option("--methods", type=NAMES, default="kontext_lora", show_default=True)


@click.group("study", short_help="Seeds, steps, pairs, prompts: does a number hold?")
def command() -> None:
    """Does a number hold over seeds, sampler steps, training pairs and prompts?"""


command.add_command(tradeoff.command)
command.add_command(plan_study.command)
command.add_command(arm_studies.pairs_command)
command.add_command(arm_studies.prompts_command)
command.add_command(filter_study.command)


def _out(name: str) -> Any:
    return click.option("--out", type=OUTPUT, default=Path("results") / name, show_default=True)


def _experiment(asked: dict[str, Any], more: dict[str, Any]) -> "Experiment":
    from e2r_bench.commands.arms import settings_of
    from e2r_bench.run.config import make_experiment

    return make_experiment(settings_of(asked) | more, "the command line")


def _dry(asked: dict[str, Any], **more: Any) -> int:
    """Say what a new run of a study would take; see `_run`."""
    from e2r_bench.arms.foresee import few_scenes
    from e2r_bench.run.dry import dry_run, pretending_session

    experiment = _experiment(asked, more)
    for line in few_scenes(experiment, pretending_session(experiment)):
        click.echo(line)
    for line in dry_run(experiment):
        click.echo(line)
    return 0


def _run(folder: Path | None, asked: dict[str, Any], **more: Any) -> "tuple[Ran, int]":
    """Open the run that was given, or make the one that was asked for; with the exit code.

    Args:
        folder: the run.
        asked: the flags of a new run.
        more: settings of a new run.
    """
    from e2r_bench.api import run
    from e2r_bench.arms.foresee import few_scenes
    from e2r_bench.commands.arms import settings_of
    from e2r_bench.console import Console
    from e2r_bench.run.services import open_services

    if folder is not None:
        return run.open_run(folder), 0
    settings, experiment = settings_of(asked) | more, _experiment(asked, more)
    _, session, _ = open_services(experiment, _unsaid)
    for line in few_scenes(experiment, session):
        click.echo(line)
    with Console(quiet=True) as console:
        ran = run.run(experiment, say=click.echo, watch=console.watch, passed=settings)
    for cell, reason in ran.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return ran, 1 if ran.failures else 0


def _unsaid(line: str) -> None:
    del line


def _enough(name: str, values: Sequence[int], least: int, run: Path | None) -> None:
    """Refuse a new run that would leave a study nothing to say."""
    if run is None and len(set(values)) < least:
        raise click.UsageError(f"--{name}: expected at least {least} of them, found {list(values)}")


def _margins(run: Path | None, used: Sequence[str], asked: dict[str, Any]) -> "dict[str, Margin]":
    """Return `--margin`, refused before anything is made where nothing is judged by its metric.

    So are flags of a new run beside a finished one, of which `used` alone say something.
    """
    from e2r_bench.api.run import open_run
    from e2r_bench.maps.shares import SHARES
    from e2r_bench.statistics.given import given_margins
    from e2r_metrics.catalog import resolve

    if run is not None:
        _refuse_idle(used)
        judged = list(open_run(run).store.info.metrics)
    else:
        judged = [*(metric.id for metric in resolve(asked["metrics"])), *SHARES]
    return given_margins(flat(asked["margins"]), judged)


def _given(name: str) -> bool:
    context = click.get_current_context()
    return context.get_parameter_source(name) is ParameterSource.COMMANDLINE


def _refuse_idle(used: Sequence[str]) -> None:
    """Refuse flags that a finished run would leave without effect."""
    context = click.get_current_context()
    for param in context.command.params:
        name = param.name or ""
        if _given(name) and name not in ("run", "margins", *used):
            raise click.UsageError(
                f"{name_of(param)}: expected a finished run, or settings of a new one, "
                "found both; leave RUN or the flag out"
            )


@command.command("seeds", short_help="How much of a number is the seed's.")
@click.argument("run", required=False, type=FILE)
@_METHODS
@click.option("--seeds", type=WHOLE, default="0,1,2,3", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=28, show_default=True)
@options.study_tasks
@options.study_metrics
@options.studied
@options.margin
@options.dry_run
@_out("seeds")
def seeds_command(
    run: Path | None, methods: Sequence[str], seeds: Sequence[int], steps: int, **asked: Any
) -> int:
    """Split a metric's variance into image, seed and both; say how many seeds are needed.

    RUN is a finished run folder with several seeds, of which --seeds names some; without it one is
    made in --out.
    """
    from e2r_bench.api.studies import study_seeds
    from e2r_bench.commands.arms import told

    margins = _margins(run, ("steps", "seeds"), asked)
    _enough("seeds", seeds, 2, None if _given("seeds") else run)
    new = {"methods": methods, "seeds": seeds, "steps": [steps]}
    if asked["dry_run"] and run is None:
        return _dry(asked, **new)
    ran, code = _run(run, asked, **new)
    chosen = seeds if _given("seeds") else ()
    told(study_seeds(ran, steps=steps, seeds=chosen, margins=margins))
    return code


@command.command("steps", short_help="Where more sampler steps stop to matter.")
@click.argument("run", required=False, type=FILE)
@_METHODS
@click.option("--steps", type=POSITIVE, default="1,2,4,8,16,28,50", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@options.study_tasks
@options.study_metrics
@options.studied
@options.margin
@options.dry_run
@_out("steps")
def steps_command(
    run: Path | None, methods: Sequence[str], steps: Sequence[int], seed: int, **asked: Any
) -> int:
    """Draw each metric against the number of sampler steps, with common noise; find the knee.

    RUN is a finished run folder with several step counts; without it one is made in --out.
    """
    from e2r_bench.api.studies import study_steps
    from e2r_bench.commands.arms import told

    margins = _margins(run, ("seed",), asked)
    _enough("steps", steps, 3, run)
    new = {"methods": methods, "seeds": [seed], "steps": steps}
    if asked["dry_run"] and run is None:
        return _dry(asked, **new)
    ran, code = _run(run, asked, **new)
    told(study_steps(ran, seed=seed, margins=margins))
    return code
