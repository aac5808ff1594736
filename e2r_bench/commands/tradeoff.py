"""`e2r-bench study tradeoff`: better, or only prettier, and was it invented?"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands.types import FILE, NAMES, OUTPUT

if TYPE_CHECKING:
    from e2r_bench.run.config import Experiment
    from e2r_bench.run.runner import Outcome


@click.command("tradeoff", short_help="Better, or only prettier, and was it invented?")
@click.argument("study", type=FILE)
@click.option("--runs", type=NAMES, help="Only these of its runs; said in the page.  [all]")
@click.option(
    "--methods",
    type=NAMES,
    help="Only these of its methods, or RUN.METHOD; said in the page.  [all]",
)
@click.option("--page", type=OUTPUT, help="Where tables and plane go.  [OUT/tradeoff]")
@click.option("--allow-commands", is_flag=True, help="Start programs that STUDY names.")
@click.option("--redo", is_flag=True, help="Make anew what stands on inputs that changed.")
def command(
    study: Path,
    runs: Sequence[str] | None,
    methods: Sequence[str] | None,
    page: Path | None,
    allow_commands: bool,
    redo: bool,
) -> int:
    """Run what STUDY names, and judge the pairs it names: perception, fidelity, invention.

    STUDY is a TOML file, fixed before anything is run. The same command resumes. Exit code 1 when a
    picture failed; it is named, and the others are there.
    """
    from e2r_bench.run.plan import refuse_programs
    from e2r_bench.run.services import open_services
    from e2r_bench.studies.tradeoff import contests
    from e2r_bench.studies.tradeoff_file import limited, read_tradeoff
    from e2r_bench.studies.tradeoff_page import line_of, write_page

    made = limited(read_tradeoff(study), runs or (), methods or ())
    if not allow_commands:
        for experiment in made.experiments.values():
            refuse_programs(experiment.methods, str(study))
    outcomes = {name: _run(experiment, redo) for name, experiment in made.experiments.items()}
    stores = {name: outcome.store for name, outcome in outcomes.items()}
    _, session, _ = open_services(next(iter(made.experiments.values())), click.echo)
    judged = contests(made, stores, session)
    folder = page or made.content.out / "tradeoff"
    write_page(made, stores, judged, folder)
    for one in judged:
        for found in (one.perception, one.fidelity, one.invention):
            click.echo(line_of(found))
        click.echo(f"{one.task}: {one.words}")
    click.echo(f"written: {folder}")
    return 1 if any(outcome.failures for outcome in outcomes.values()) else 0


def _run(experiment: "Experiment", redo: bool) -> "Outcome":
    from e2r_bench.console import Console
    from e2r_bench.run.runner import run_experiment

    with Console() as console:
        outcome = run_experiment(experiment, {}, console.watch, console.say, redo=redo)
    for cell, reason in outcome.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return outcome
