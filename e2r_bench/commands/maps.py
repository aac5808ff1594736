"""`e2r-bench maps`: where a run's pictures lost, invented or shifted something."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import ABOVE_ZERO, FILE, NAMES, SHARE

if TYPE_CHECKING:
    from e2r_bench.maps.compute import SpatialLpips
    from e2r_bench.store.store import Store


@click.command("maps", short_help="Write error, invention and trust maps of a run.")
@click.argument("run", type=FILE)
@click.option(
    "--methods", type=NAMES, help="Only these, e.g. promptir,kontext_lora.  [all but controls]"
)
@click.option("--tasks", type=NAMES, help="Only these.  [all]")
@click.option("--maps", "names", type=NAMES, help="Only these, e.g. invented,lost.  [all]")
@click.option("--limit", type=click.IntRange(min=1), help="The first so many pictures of a task.")
@click.option("--bound", type=ABOVE_ZERO, help="Draw trust masks: mean CIEDE2000 allowed inside.")
@click.option("--level", type=SHARE, default=0.1, show_default=True, help="Chance to break it.")
@click.option("--score", help="Trust by inconsistency, unexplained or seed_deviation.")
@options.weights
@click.option("--offline", is_flag=True, help="Open no connection.")
def command(
    run: Path,
    methods: tuple[str, ...] | None,
    tasks: tuple[str, ...] | None,
    names: tuple[str, ...] | None,
    limit: int | None,
    bound: float | None,
    level: float,
    score: str | None,
    weights: tuple[Path, ...],
    offline: bool,
) -> int:
    """Write PNG maps, float arrays and per-image scores into RUN/maps.

    With --bound, half of the scenes calibrate a trust mask for the other half. Exit code 1 when a
    picture could not be mapped; it is named, and the others are there.
    """
    from e2r_bench.console import Console
    from e2r_bench.maps.trust import SCORES, too_few, trust_masks
    from e2r_bench.maps.write import Wanted, write_maps
    from e2r_bench.store.store import open_store
    from e2r_metrics.base.errors import unknown
    from e2r_metrics.base.locks import locked

    if score is not None and score not in SCORES:
        raise unknown("score of trust", score, SCORES)
    store = open_store(run)
    _say_blind(store, bound)
    if bound is not None:
        for line in too_few(store, [t for t in tasks or () if t in store.info.tasks], level):
            click.echo(line)
    wanted = Wanted(methods or (), tasks or (), names or (), limit)
    with locked(store.folder), Console() as console:
        needed = not wanted.maps or "lpips" in wanted.maps
        lpips = _spatial_lpips(weights, offline, console.say) if needed else None
        mapped = write_maps(store, wanted, lpips, console.watch)
    click.echo(f"{len(mapped.cells)} pictures: {store.folder / 'maps'}")
    if bound is not None:
        with locked(store.folder):
            checked = trust_masks(store, mapped.cells, bound, level, score)
        for one in checked:
            click.echo(one.line())
    for cell, reason in mapped.failed.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return 1 if mapped.failed else 0


def _say_blind(store: "Store", bound: float | None) -> None:
    """Say which tasks have no truth, and what is left of the maps; nothing calibrates there."""
    from e2r_bench.maps.trust import SCORES
    from e2r_bench.store.info import NO_TRUTH
    from e2r_metrics.base.errors import UsageError

    blind = ", ".join(task for task, told in store.info.tasks.items() if not told.truth)
    if blind and bound is not None:
        raise UsageError(f"--bound: expected a truth to calibrate on; {blind}: {NO_TRUTH}")
    if blind:
        click.echo(f"{blind}: {NO_TRUTH}; of all maps only {', '.join(SCORES)} need none")


def _spatial_lpips(
    weights: tuple[Path, ...], offline: bool, say: Callable[[str], None]
) -> "SpatialLpips | None":
    """Return the spatial metric, or None, said, where its weights are not to be had."""
    from e2r_bench.run.services import open_resolver
    from e2r_metrics import Found

    resolver = open_resolver(weights, offline, say)
    answers = {name: resolver.find(name) for name in ("alexnet-imagenet", "lpips-heads-alex")}
    files = {name: got.path for name, got in answers.items() if isinstance(got, Found)}
    for got in answers.values():
        if not isinstance(got, Found):
            say(f"lpips map: not measured, {got.reason}; to fetch: {got.command}")
            return None
    from e2r_bench.maps.lpips import open_spatial

    return open_spatial(files)
