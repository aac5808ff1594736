"""`e2r-bench study pairs|prompts`: studies whose arms are trained here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import OUTPUT, POSITIVE, WHOLE

if TYPE_CHECKING:
    from e2r_bench.arms.claims import Arm


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
    from e2r_bench.api.arm_studies import study_pairs
    from e2r_bench.arms.pairs import paired_arms
    from e2r_bench.commands.arms import base_of, taught_of, told
    from e2r_bench.console import Console

    if asked["dry_run"] or asked["shard"]:
        return _part(asked, paired_arms(pairs, specific))
    base, taught = base_of(asked), taught_of(asked)
    with Console(quiet=True) as console:
        made = study_pairs(
            base, taught, pairs=pairs, specific=specific, say=click.echo, watch=console.watch
        )
    return told(made)


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
    from e2r_bench.api.arm_studies import study_prompts
    from e2r_bench.arms.prompts import study_arms
    from e2r_bench.commands.arms import base_of, taught_of, told
    from e2r_bench.console import Console

    if asked["dry_run"] or asked["shard"]:
        return _part(asked, study_arms())
    base, taught = base_of(asked), taught_of(asked)
    with Console(quiet=True) as console:
        made = study_prompts(base, taught, say=click.echo, watch=console.watch)
    return told(made)


def _part(asked: dict[str, Any], arms: "Mapping[str, Arm]") -> int:
    """Say what a study would take, or make a shard of its arms; nothing is judged."""
    from e2r_bench.api.arm_studies import arm_study
    from e2r_bench.arms.sharing import ARM_MARKS
    from e2r_bench.commands.arms import base_of, finish, taught_of
    from e2r_bench.console import Console
    from e2r_bench.run.shards import parse_shard
    from e2r_metrics.base.locks import locked

    study = arm_study(base_of(asked), taught_of(asked), click.echo, asked["dry_run"])
    if asked["dry_run"]:
        for line in study.dry_run(arms):
            click.echo(line)
        return 0
    with locked(asked["out"], ARM_MARKS), Console(quiet=True) as console:
        study.runner.watch = console.watch
        for line in study.share(arms, parse_shard(asked["shard"])):
            click.echo(line)
        return finish(study.runner)
