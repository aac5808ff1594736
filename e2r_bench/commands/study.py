"""`e2r-bench study`: seeds, steps, pairs and prompts."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from e2r_bench.commands import options, plan_study, tradeoff
from e2r_bench.commands.types import FILE, NAMES, OUTPUT, POSITIVE, WHOLE

if TYPE_CHECKING:
    from e2r_bench.arms.parts import Part
    from e2r_bench.arms.study import ArmStudy
    from e2r_bench.store.store import Store

_TASKS = click.option("--tasks", type=NAMES, default="denoise25,derain,dehaze", show_default=True)
_METRICS = click.option(
    "--metrics", type=NAMES, default="psnr,lpips,fd_effnet,mmd_effnet", show_default=True
)
_METHODS = click.option("--methods", type=NAMES, default="kontext_lora", show_default=True)


@click.group("study", short_help="Seeds, steps, pairs, prompts: does a number hold?")
def command() -> None:
    """Does a number hold over seeds, sampler steps, training pairs and prompts?"""


command.add_command(tradeoff.command)
command.add_command(plan_study.command)


def _out(name: str) -> Any:
    return click.option("--out", type=OUTPUT, default=Path("results") / name, show_default=True)


def _store(
    folder: Path | None, used: str, asked: dict[str, Any], **more: Any
) -> "tuple[Store, int]":
    """Open the run that was given, or make the one that was asked for; with the exit code.

    Args:
        folder: the run.
        used: the one flag that says something about a finished run.
        asked: the flags of a new run.
        more: settings of a new run.
    """
    from e2r_bench.arms.foresee import few_scenes
    from e2r_bench.commands.arms import settings_of
    from e2r_bench.console import Console
    from e2r_bench.run.config import make_experiment
    from e2r_bench.run.runner import run_experiment
    from e2r_bench.store.store import open_store

    if folder is not None:
        _refuse_idle(used)
        return open_store(folder), 0
    settings = settings_of(asked) | more
    experiment = make_experiment(settings, "the command line")
    for line in few_scenes(experiment):
        click.echo(line)
    with Console(quiet=True) as console:
        outcome = run_experiment(experiment, settings, console.watch, click.echo)
    for cell, reason in outcome.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return outcome.store, 1 if outcome.failures else 0


def _enough(name: str, values: Sequence[int], least: int, run: Path | None) -> None:
    """Refuse a new run that would leave a study nothing to say."""
    if run is None and len(set(values)) < least:
        raise click.UsageError(f"--{name}: expected at least {least} of them, found {list(values)}")


def _refuse_idle(used: str) -> None:
    """Refuse flags that a finished run would leave without effect."""
    context = click.get_current_context()
    for name in context.params:
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in ("run", "margins", used):
            raise click.UsageError(
                f"--{name}: expected a finished run, or settings of a new one, found both; leave "
                "RUN or the flag out"
            )


@command.command("seeds", short_help="How much of a number is the seed's.")
@click.argument("run", required=False, type=FILE)
@_METHODS
@click.option("--seeds", type=WHOLE, default="0,1,2,3", show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=28, show_default=True)
@_TASKS
@_METRICS
@options.studied
@options.margin
@_out("seeds")
def seeds_command(
    run: Path | None, methods: Sequence[str], seeds: Sequence[int], steps: int, **asked: Any
) -> int:
    """Split a metric's variance into image, seed and both; say how many seeds are needed.

    RUN is a finished run folder with several seeds; without it one is made in --out.
    """
    from e2r_bench.commands.arms import margins_of
    from e2r_bench.studies.seeds import study_seeds
    from e2r_metrics.base.locks import locked

    margins = margins_of(asked["margins"])
    _enough("seeds", seeds, 2, run)
    store, code = _store(run, "steps", asked, methods=methods, seeds=seeds, steps=[steps])
    with locked(store.folder):
        rows = study_seeds(store, steps, margins)
    for row in rows:
        click.echo(
            f"{row.method} {row.task} {row.metric}: mean {row.mean:.4g}, n {row.n}, seeds "
            f"{row.seeds}, spread of the mean over seeds {row.spread_of_mean:.3g}, of one image "
            f"{row.per_image_spread:.3g}, seeds for +-{row.half_width:.3g}: {row.words}"
        )
    click.echo(f"written: {store.folder / 'studies' / 'seeds'}")
    return code


@command.command("steps", short_help="Where more sampler steps stop to matter.")
@click.argument("run", required=False, type=FILE)
@_METHODS
@click.option("--steps", type=POSITIVE, default="1,2,4,8,16,28,50", show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@_TASKS
@_METRICS
@options.studied
@options.margin
@_out("steps")
def steps_command(
    run: Path | None, methods: Sequence[str], steps: Sequence[int], seed: int, **asked: Any
) -> int:
    """Draw each metric against the number of sampler steps, with common noise; find the knee.

    RUN is a finished run folder with several step counts; without it one is made in --out.
    """
    from e2r_bench.commands.arms import margins_of
    from e2r_bench.studies.steps import study_steps
    from e2r_metrics.base.locks import locked

    margins = margins_of(asked["margins"])
    _enough("steps", steps, 3, run)
    store, code = _store(run, "seed", asked, methods=methods, seeds=[seed], steps=steps)
    with locked(store.folder):
        rows = study_steps(store, seed, margins)
    for name in dict.fromkeys((row.method, row.task, row.metric) for row in rows):
        row = next(r for r in rows if (r.method, r.task, r.metric) == name)
        click.echo(
            f"{' '.join(name)}: {row.words}; margin {row.margin:.3g}, "
            f"best at {row.best}, n {row.n}, {row.scenes} scenes, {row.build}"
        )
    click.echo(f"written: {store.folder / 'studies' / 'steps'}")
    return code


@command.command("pairs", short_help="Whether few training pairs are as good as many.")
@click.option("--pairs", type=POSITIVE, default="16,32,64,128", show_default=True)
@click.option(
    "--training-seeds",
    type=WHOLE,
    default="42,43",
    show_default=True,
    help="Trainings of every arm, which also choose its pairs.",
)
@options.seeds
@click.option("--specific/--unified", default=False, help="Train task-specific adapters too.")
@_TASKS
@_METRICS
@options.studied
@options.trained
@options.margin
@_out("pairs")
def pairs_command(pairs: Sequence[int], specific: bool, **asked: Any) -> int:
    """Train on 16 to 128 pairs and test whether fewer are as good."""
    from e2r_bench.arms.pairs import study_pairs
    from e2r_bench.console import Console
    from e2r_metrics.base.locks import locked

    study = _study(asked)
    with locked(asked["out"]), Console(quiet=True) as console:
        study.runner.watch = console.watch
        parts = study_pairs(study, pairs, specific)
    return _told(study, parts, "pairs")


@command.command("prompts", short_help="Whether the right prompt matters.")
@_TASKS
@_METRICS
@options.studied
@options.trained
@options.training_seeds
@options.seeds
@options.margin
@_out("prompts")
def prompts_command(**asked: Any) -> int:
    """Compare the right prompt with a wrong one and with none."""
    from e2r_bench.arms.prompts import study_prompts
    from e2r_bench.console import Console
    from e2r_metrics.base.locks import locked

    study = _study(asked)
    with locked(asked["out"]), Console(quiet=True) as console:
        study.runner.watch = console.watch
        parts = study_prompts(study)
    return _told(study, parts, "prompts")


def _study(asked: dict[str, Any]) -> "ArmStudy":
    from e2r_bench.arms.study import ArmStudy
    from e2r_bench.commands.arms import criteria_of, margins_of, repeats_of, runner_of
    from e2r_bench.studies.sides import PERMUTATIONS

    margins = margins_of(asked["margins"])
    runner = runner_of(asked)
    criteria = criteria_of(runner.base, asked, PERMUTATIONS, margins)
    return ArmStudy(runner, criteria, repeats_of(asked))


def _told(study: "ArmStudy", parts: "Sequence[Part]", name: str) -> int:
    """Print a line for each part, what all of them stand on, and the failures."""
    from e2r_bench.commands.arms import say_failures

    taught = f"trained on {study.runner.training.data.words()}"
    for part in parts:
        click.echo(f"{part.verdict.name}: {part.verdict.label}{_numbers(part, taught)}")
    click.echo(f"written: {study.runner.base.out / 'studies' / name}")
    return say_failures(study.runner)


def _numbers(part: "Part", taught: str) -> str:
    found = part.verdict
    if found.effect is None or found.scope is None:
        return f"; {'; '.join(found.notes)}"
    said = [f"{found.effect:+.4g}"]
    if found.low is not None and found.high is not None:
        said[0] += f" ({found.low:.4g} to {found.high:.4g})"
        said.append(f"p {found.holm:.3g} of no difference, {found.holm_within:.3g} of less than")
        said[-1] += f" the margin {found.margin:.3g}, over all parts"
    else:
        said += found.notes
    said += [f"said of {found.scope.subject}", f"n {found.n}, {found.scenes} scenes", part.build]
    return "; " + ", ".join([*said, taught])
