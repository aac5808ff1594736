"""`e2r-bench merge`: shards become one run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import EXISTING_FOLDER, OUTPUT

if TYPE_CHECKING:
    from e2r_bench.console import Console
    from e2r_bench.store.store import Store


@click.command("merge", short_help="Lay shards end to end.")
@click.argument("shards", nargs=-1, required=True, type=EXISTING_FOLDER)
@click.option("--out", type=OUTPUT, required=True, help="The run folder.")
@click.option("--device", default="auto", show_default=True, help="For the metrics of sets.")
@options.weights
@options.offline
@options.as_json
def command(
    shards: Sequence[Path],
    out: Path,
    device: str,
    weights: Sequence[Path],
    offline: bool,
    as_json: bool,
) -> int:
    """Write what one run would have written, from the run folders of all its shards, in any order.

    Shards that were made by other settings, versions or weights are refused, and what differs is
    named. Exit code 1 when a picture failed in a shard. Shards of claims and studies are laid into
    one folder, in which their command without --shard then judges.
    """
    from e2r_bench.arms.sharing import ARM_MARKS, are_arms, join_arms
    from e2r_bench.console import Console
    from e2r_bench.report.page import write_report
    from e2r_bench.run.merge import join
    from e2r_bench.run.services import choose_device, open_resolver
    from e2r_bench.run.summary import write_summary
    from e2r_bench.store.store import RUN_MARKS
    from e2r_metrics import FeatureStore, Session
    from e2r_metrics.base.locks import locked

    if all(are_arms(folder) for folder in shards):
        with locked(out, ARM_MARKS):
            for line in join_arms(shards, out):
                click.echo(line)
        return 0
    with Console() as console, locked(out, RUN_MARKS):
        resolver = open_resolver(weights, offline, console.say)
        store = join(shards, out, resolver)
        session = Session(resolver, FeatureStore(), choose_device(device))
        write_summary(store, session, console.watch)
        write_report(store)
    return _tell(store, console, as_json)


def _tell(store: "Store", console: "Console", as_json: bool) -> int:
    from e2r_bench.report.export import records
    from e2r_bench.run.shared import shared_lines
    from e2r_bench.store.fitting import failures_of_run

    for line in shared_lines(store.info):
        click.echo(line, err=as_json)
    if as_json:
        options.print_json(records(store))
    else:
        console.table(store)
    failures = failures_of_run(store)
    for cell, reason in failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    click.echo(f"report: {store.folder / 'report.html'}", err=as_json)
    return 1 if failures else 0
