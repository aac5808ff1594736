"""`e2r-bench plan`: what an experiment takes, on paper."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import ABOVE_ZERO, EXISTING_FOLDER, FILE

if TYPE_CHECKING:
    from e2r_bench.run.config import Experiment
    from e2r_bench.run.paper import Asked, Line, Paper, Timed


@click.command("plan", short_help="What an experiment takes, on paper.")
@click.argument("experiment", type=FILE)
@click.option("--gpus", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--gpu", help="Estimate what nothing timed: a100, h100, h200, l40s.")
@click.option("--time", "timing", is_flag=True, help="Time one picture of each task here first.")
@click.option("--timings", type=EXISTING_FOLDER, help="Take the times of this run folder.")
@click.option("--price", type=ABOVE_ZERO, help="Of a GPU for an hour.")
@click.option("--pictures", type=click.IntRange(min=1), help="Of each task, where they are absent.")
@click.option("--size", help="WIDTHxHEIGHT of these.  [512x512]")
@click.option(
    "--allow-commands", is_flag=True, help="Let --time start programs that EXPERIMENT names."
)
@options.as_json
def command(experiment: Path, allow_commands: bool, as_json: bool, **asked: Any) -> None:
    """Say what EXPERIMENT takes: cells, GPU hours, storage, memory, price, and what shards give.

    Nothing is restored, unless by --time, into a folder that is thrown away. Weights need not be
    here, nor pictures where --pictures says how many there are.
    """
    from dataclasses import asdict

    from e2r_bench.run.config import make_experiment, read_toml
    from e2r_bench.run.paper import plan_on_paper
    from e2r_bench.run.plan import known_methods, refuse_programs

    # What starts nothing asks for nothing; of metrics, --time computes PSNR alone.
    allowed = allow_commands or not asked["timing"]
    made = make_experiment(read_toml(experiment), str(experiment), allowed)
    if not allowed:
        refuse_programs(made.methods, (), str(experiment))
    paper = plan_on_paper(made, _asked(made, asked), known_methods())
    if as_json:
        options.print_json(asdict(paper))
        return
    for line in _said(paper, asked["price"]):
        click.echo(line)


def _asked(experiment: "Experiment", given: dict[str, Any]) -> "Asked":
    from e2r_bench.run.paper import Asked
    from e2r_metrics.base.errors import UsageError

    if given["timing"] and (given["pictures"] or given["timings"]):
        raise UsageError("--time: expected neither --pictures nor --timings, found one of them")
    if given["size"] and not given["pictures"]:
        raise UsageError("--size: expected --pictures with it, found none")
    timed, origin = _timed(experiment, given["timing"], given["timings"])
    on_cpu = origin.startswith("measured on cpu")
    if on_cpu and given["gpu"]:
        raise UsageError(
            f"--gpu {given['gpu']}: expected timings of a GPU, found those of a CPU, which cannot "
            "be added to estimates for it; leave one of them out"
        )
    return Asked(
        gpus=given["gpus"],
        gpu=given["gpu"],
        price=given["price"],
        pictures=given["pictures"],
        size=_size(given["size"] or "512x512"),
        timed=timed,
        origin=origin,
        device="CPU" if on_cpu else "GPU",
    )


def _size(text: str) -> tuple[int, int]:
    from e2r_metrics.base.errors import UsageError

    width, _, height = text.partition("x")
    if not all(side.isascii() and side.isdigit() and int(side) for side in (width, height)):
        raise UsageError(f"--size: expected WIDTHxHEIGHT, such as 512x512, found {text!r}")
    return int(height), int(width)


def _timed(experiment: "Experiment", timing: bool, run: "Path | None") -> "tuple[Timed, str]":
    """Return what was timed, here or in a run, and how to say so."""
    from e2r_bench.run.timing import time_here, times_of
    from e2r_bench.store.store import open_store

    if timing:
        return time_here(experiment)
    return times_of(open_store(run)) if run else ({}, "")


def _said(paper: "Paper", price: float | None) -> Iterator[str]:
    yield f"cells: {paper.cells:,}"
    yield from _methods(paper.lines)
    yield from paper.unplanned
    least = "at least " if paper.unknown else ""
    yield (
        f"{paper.device} hours: {least}{paper.hours:,.4g}; metrics and the opening of methods are "
        "not in it"
    )
    if paper.unknown:
        yield f"not in it, time not known: {', '.join(paper.unknown)}"
    if paper.cost is not None:
        yield f"price: {least}{paper.cost:,.4g}, at {price:g} an hour"
    yield f"storage: at most {paper.storage_bytes / 1e9:,.4g} GB of pictures, before PNG"
    peak = "not known" if paper.peak_bytes is None else f"{paper.peak_bytes / 1e9:.3g} GB, estimate"
    yield f"memory: {peak}"
    yield (
        f"critical path: {paper.longest_hours * 3600:.4g} s, the longest call of one method, which "
        "no number of workers divides"
    )
    for wall in paper.walls:
        on = min(paper.gpus, wall.shards)
        shards = f"{wall.shards} shard{'s' if wall.shards > 1 else ''}"
        yield f"{shards} on {on} of {paper.gpus} GPUs: {least}{wall.hours:,.4g} h"


def _methods(lines: "tuple[Line, ...]") -> Iterator[str]:
    """Yield a line for each method, and one more where tasks take different times."""
    alike: dict[tuple[str, str, float | None, str], list[Line]] = {}
    for line in lines:
        alike.setdefault((line.method, line.build, line.seconds, line.origin), []).append(line)
    for (method, build, seconds, origin), found in alike.items():
        tasks = ", ".join(f"{line.task} {line.pictures}" for line in found)
        cells = sum(line.cells for line in found)
        took = f"{seconds:.4g} s a picture with all its draws; " if seconds else ""
        yield f"  {method} ({build}): {tasks}; {cells:,} cells; {took}{origin}"
