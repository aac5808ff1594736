"""`e2r-bench study pairs|prompts`: studies whose arms are trained here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import OUTPUT, POSITIVE, WHOLE

if TYPE_CHECKING:
    from e2r_bench.arms.claims import Arm
    from e2r_bench.arms.parts import Part
    from e2r_bench.arms.study import ArmStudy


@click.command("pairs", short_help="Whether few training pairs are as good as many.")
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
@options.study_tasks
@options.study_metrics
@options.studied
@options.trained
@options.margin
@options.dry_run
@options.shard
@click.option("--out", type=OUTPUT, default=Path("results/pairs"), show_default=True)
def pairs_command(pairs: Sequence[int], specific: bool, **asked: Any) -> int:
    """Train on 16 to 128 pairs and test whether fewer are as good."""
    from e2r_bench.arms.pairs import paired_arms, study_pairs
    from e2r_bench.console import Console
    from e2r_metrics.base.locks import locked

    study = _study(asked)
    if asked["dry_run"]:
        return _dry(study, paired_arms(pairs, specific))
    with locked(asked["out"]), Console(quiet=True) as console:
        study.runner.watch = console.watch
        if asked["shard"]:
            return _share(study, paired_arms(pairs, specific), asked["shard"])
        parts = study_pairs(study, pairs, specific)
    return _told(study, parts, "pairs")


@click.command("prompts", short_help="Whether the right prompt matters.")
@options.study_tasks
@options.study_metrics
@options.studied
@options.trained
@options.training_seeds
@options.seeds
@options.margin
@options.dry_run
@options.shard
@click.option("--out", type=OUTPUT, default=Path("results/prompts"), show_default=True)
def prompts_command(**asked: Any) -> int:
    """Compare the right prompt with a wrong one and with none."""
    from e2r_bench.arms.prompts import study_arms, study_prompts
    from e2r_bench.console import Console
    from e2r_metrics.base.locks import locked

    study = _study(asked)
    if asked["dry_run"]:
        return _dry(study, study_arms())
    with locked(asked["out"]), Console(quiet=True) as console:
        study.runner.watch = console.watch
        if asked["shard"]:
            return _share(study, study_arms(), asked["shard"])
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


def _dry(study: "ArmStudy", arms: "Mapping[str, Arm]") -> int:
    for line in study.dry_run(arms):
        click.echo(line)
    return 0


def _share(study: "ArmStudy", arms: "Mapping[str, Arm]", shard: str) -> int:
    from e2r_bench.commands.arms import finish
    from e2r_bench.run.shards import parse_shard

    for line in study.share(arms, parse_shard(shard)):
        click.echo(line)
    return finish(study.runner)


def _told(study: "ArmStudy", parts: "Sequence[Part]", name: str) -> int:
    """Print a line for each part, what all of them stand on, and the failures."""
    from e2r_bench.commands.arms import finish

    taught = f"trained on {study.runner.training.data.words()}"
    for part in parts:
        click.echo(f"{part.verdict.name}: {part.verdict.label}{_numbers(part, taught)}")
    click.echo(f"written: {study.runner.base.out / 'studies' / name}")
    return finish(study.runner)


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
