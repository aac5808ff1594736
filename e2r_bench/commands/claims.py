"""`e2r-bench claims`: what a paper's tables support, and what a run here supports."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import NAMES, NUMBERS_OF, OUTPUT

if TYPE_CHECKING:
    from e2r_bench.arms.claims import Claims
    from e2r_bench.arms.tables import TableReading

_METRICS = "psnr,lpips,fd_effnet,mmd_effnet,fid,cmmd,clip_iqa"


@click.command("claims", short_help="Judge a paper's claims, from its tables and from runs.")
@click.argument("file", default="edit2restore")
@click.option("--table-only", is_flag=True, help="Read the published tables; run nothing.")
@click.option("--only", type=NAMES, help="Ids of claims, e.g. C1,C3.")
@click.option("--tasks", type=NAMES, default="denoise25,derain,dehaze", show_default=True,
              help="Tasks to judge on.")  # fmt: skip
@click.option("--metrics", type=NAMES, default=_METRICS, show_default=True,
              help="Metrics to measure.")  # fmt: skip
@options.studied
@options.trained
@options.training_seeds
@options.seeds
@options.dry_run
@options.as_json
@options.shard
@click.option(
    "--power",
    is_flag=True,
    help="Say before the run what it takes, and after it what it could have found.",
)
@click.option(
    "--spread",
    "spreads",
    multiple=True,
    type=NUMBERS_OF,
    help="METRIC=NUMBER: standard deviation of differences between scenes, for --power.",
)
@click.option("--permutations", type=click.IntRange(min=99), default=999, show_default=True)
@click.option("--allow-commands", is_flag=True, help="Start programs that FILE names.")
@click.option("--out", type=OUTPUT, default=Path("results/claims"), show_default=True)
def command(
    file: str,
    table_only: bool,
    only: Sequence[str] | None,
    allow_commands: bool,
    as_json: bool,
    **asked: Any,
) -> int:
    """Judge the claims of FILE (TOML), by default Edit2Restore's C1 to C9.

    Two readings: what the published tables alone support, and what a run here supports. The run
    trains and restores what is missing below --out, and resumes.
    """
    from e2r_bench.arms.claims import load_claims
    from e2r_bench.arms.tables import read_tables
    from e2r_bench.run.plan import refuse_programs

    claims = load_claims(file).only(only)
    readings = read_tables(claims)
    if table_only and asked["shard"]:
        raise click.UsageError("--shard: expected arms to run, found --table-only; give one")
    if as_json and not table_only:
        raise click.UsageError("--json: expected --table-only; a run writes its verdicts as JSON")
    if table_only:
        (_print_records if as_json else _print_tables)(claims, readings)
        return 0
    if not allow_commands:
        methods = (arm.method for arm in claims.arms.values())
        refuse_programs(methods, (name for one in claims.claims for name in one.metrics), file)
    return _judge(claims, readings, asked)


def _print_records(claims: "Claims", readings: "Sequence[TableReading]") -> None:
    from dataclasses import asdict

    pairs = zip(claims.claims, readings, strict=True)
    rows = [
        {**asdict(reading), "statement": claim.statement, "note": claim.note}
        for claim, reading in pairs
    ]
    options.print_json(rows)


def _print_tables(claims: "Claims", readings: "Sequence[TableReading]") -> None:
    for claim, reading in zip(claims.claims, readings, strict=True):
        click.echo(f"{claim.id}  {claim.statement}")
        click.echo(f"    the table alone: {reading.words}")
        click.echo(f"    {reading.detail}")
        if claim.note:
            click.echo(f"    note: {claim.note}")


def _judge(claims: "Claims", readings: "Sequence[TableReading]", asked: dict[str, Any]) -> int:
    from e2r_bench.arms.judge import Reading, dry_claims, judge_claims, share_claims
    from e2r_bench.arms.power import known_spreads
    from e2r_bench.arms.sharing import ARM_MARKS
    from e2r_bench.commands.arms import criteria_of, finish, repeats_of, runner_of
    from e2r_bench.console import Console
    from e2r_bench.run.shards import parse_shard
    from e2r_bench.statistics.margins import margin_of
    from e2r_metrics.base.locks import locked

    runner = runner_of(asked)
    criteria = criteria_of(runner.base, asked, asked["permutations"], claims.own_margins())
    reading = Reading(runner, criteria, repeats_of(asked))
    if asked["power"]:
        given = {
            margin_of(name).metric: value for one in asked["spreads"] for name, value in one.items()
        }
        reading = replace(reading, known=known_spreads(given, reading.out / "results.json"))
    elif asked["spreads"]:
        raise click.UsageError("--spread: expected --power, which it is for; give both or none")
    if asked["dry_run"]:
        for line in dry_claims(claims, reading):
            click.echo(line)
        return 0
    with locked(runner.base.out, ARM_MARKS), Console(quiet=True) as console:
        runner.watch = console.watch
        lines = judge_claims(claims, readings, reading)
        if asked["shard"]:
            lines = share_claims(claims, reading, parse_shard(asked["shard"]))
        for line in lines:
            click.echo(line)
    return finish(runner)
