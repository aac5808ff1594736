"""`e2r-bench study filter`: is a draw that a judge chose better than the mean draw?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import NAMES, OUTPUT, WHOLE, flat


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
    from e2r_bench.api.filter_study import filter_experiment, study_filter
    from e2r_bench.commands.arms import settings_of
    from e2r_bench.console import Console, print_contest
    from e2r_bench.run.dry import dry_run as dry
    from e2r_bench.studies.filter_settings import Asked
    from e2r_bench.terminal import stdout_console

    settings = settings_of(asked)
    if dry_run:
        study = Asked(method, tuple(judges), candidates, filter_steps, steps, tuple(seeds))
        for line in dry(filter_experiment(settings, study)):
            click.echo(line)
        return 0
    with Console(quiet=True) as console:
        found = study_filter(
            settings, method=method, judges=judges, candidates=candidates,
            filter_steps=filter_steps, steps=steps, seeds=seeds, margins=flat(asked["margins"]),
            say=click.echo, watch=console.watch,
        )  # fmt: skip
    for cell, reason in found.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    print_contest(stdout_console(), found.contest)
    click.echo(f"written: {found.folder}")
    return 1 if found.failures else 0
