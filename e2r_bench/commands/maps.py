"""`e2r-bench maps`: where a run's pictures lost, invented or shifted something."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import ABOVE_ZERO, FILE, NAMES, SHARE

if TYPE_CHECKING:
    from e2r_bench.api.run import Ran
    from e2r_bench.store.cell import Cell
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
@click.option("--score", help="Trust by texture, inconsistency, unexplained or seed_deviation.")
@click.option("--carry", type=FILE, help="Draw trust masks by another run's maps/trust.json.")
@options.weights
@options.offline
def command(
    run: Path,
    methods: tuple[str, ...] | None,
    tasks: tuple[str, ...] | None,
    names: tuple[str, ...] | None,
    limit: int | None,
    bound: float | None,
    level: float,
    score: str | None,
    carry: Path | None,
    weights: tuple[Path, ...],
    offline: bool,
) -> int:
    """Write PNG maps, float arrays and per-image scores into RUN/maps.

    With --bound, half of the scenes calibrate a trust mask for the other half. With --carry,
    thresholds of another run are used, and refused where task, noise or looks differ. Exit code 1
    when a picture could not be mapped; it is named, and the others are there.
    """
    from e2r_bench.api.run import open_run
    from e2r_bench.api.run_maps import write_maps
    from e2r_bench.api.session import open_session
    from e2r_bench.console import Console
    from e2r_bench.maps.trust import too_few

    _check(bound, score, carry)
    made = open_run(run)
    _say_blind(made.store, bound is not None or carry is not None)
    if bound is not None:
        known = [task for task in tasks or () if task in made.store.info.tasks]
        for line in too_few(made.store, known, level):
            click.echo(line)
    with Console() as console:
        mapped = write_maps(
            made, methods=methods or (), tasks=tasks or (), names=names or (), limit=limit,
            session=open_session(weights, "cpu", offline, console.say),
            say=console.say, watch=console.watch,
        )  # fmt: skip
    click.echo(f"{len(mapped.cells)} pictures: {made.folder / 'maps'}")
    for line in _trusted(made, mapped.cells, bound, level, score, carry):
        click.echo(line)
    for cell, reason in mapped.failed.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return 1 if mapped.failed else 0


def _say_blind(store: "Store", calibrates: bool) -> None:
    """Say which tasks have no truth, and what is left of the maps."""
    from e2r_bench.maps.trust import SCORES, refuse_blind
    from e2r_bench.store.info import NO_TRUTH

    if calibrates:
        refuse_blind(store)
    blind = ", ".join(task for task, told in store.info.tasks.items() if not told.truth)
    if blind:
        click.echo(f"{blind}: {NO_TRUTH}; of all maps only {', '.join(SCORES)} need none")


def _check(bound: float | None, score: str | None, carry: Path | None) -> None:
    """Raise `UsageError` for an unknown score, or a threshold both carried and calibrated."""
    from e2r_bench.maps.trust import SCORES
    from e2r_metrics.base.errors import UsageError, unknown

    if score is not None and score not in SCORES:
        raise unknown("score of trust", score, SCORES)
    if carry is not None and (bound is not None or score is not None):
        raise UsageError("--carry: expected no --bound and no --score, which it has; drop one")


def _trusted(
    made: "Ran",
    cells: "Sequence[Cell]",
    bound: float | None,
    level: float,
    score: str | None,
    carry: Path | None,
) -> list[str]:
    """Draw the trust masks that are asked for; return what is promised of each."""
    from e2r_bench.api.run_maps import carry_trust, trust_maps

    if carry is not None:
        return [one.line() for one in carry_trust(made, cells, carry)]
    if bound is not None:
        return [one.line() for one in trust_maps(made, cells, bound, level=level, score=score)]
    return []
