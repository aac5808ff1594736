"""Folders of results, for `compare --clean` and `score`: what is measured, scored and judged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import joined

if TYPE_CHECKING:
    from e2r_bench.report.statements import Contest
    from e2r_bench.statistics.margins import Margin
    from e2r_bench.studies.entrants import Entrant, Measures, Watch
    from e2r_metrics import Session

USUAL = ("psnr", "ssim", "lpips", "invented_share")


def measures_of(names: Sequence[str], asked: Mapping[str, Any]) -> "Measures":
    """Return what is measured; names may be metrics of the catalog, or shares.

    Raises:
        UsageError: an unknown name.
    """
    from e2r_bench.maps.shares import SHARES
    from e2r_bench.studies.entrants import Measures
    from e2r_metrics import UsageError, resolve

    ids = {info.name: key for key, info in SHARES.items()}
    shares = tuple(ids.get(name, name) for name in names if name in ids or name in SHARES)
    if shares and asked["reference"] != "clean":
        raise UsageError(f"{', '.join(shares)}: expected --reference clean, found degraded")
    rest = [name for name in names if name not in ids and name not in SHARES]
    metrics = resolve(rest, asked["profile"], joined(asked["variant"]), asked["channel"])
    return Measures(metrics, shares, options.parts_of(asked))


def session_of(asked: Mapping[str, Any]) -> "Session":
    """Return what computes metrics."""
    from e2r_bench.run.services import choose_device
    from e2r_metrics import FeatureStore, Resolver, Session, own_declarations

    # The default asks nothing of torch, which takes seconds to import.
    device = "cpu" if asked["device"] == "cpu" else choose_device(asked["device"])
    resolver = Resolver(
        own_declarations(), asked["weights"], offline=asked["offline"],
        say=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    return Session(resolver, FeatureStore(), device)


def entered(
    folders: Sequence[Path], clean: Path | None, measures: "Measures", asked: Mapping[str, Any],
    watch: "Watch",
) -> "list[Entrant]":  # fmt: skip
    """Score folders against one folder of clean pictures, or without any."""
    from e2r_bench.studies.entrants import enter

    return enter(folders, clean, measures, session_of(asked), watch)


def compare_folders(
    folders: Sequence[Path],
    clean: Path,
    asked: Mapping[str, Any],
    every: bool,
    margins: "Mapping[str, Margin]",
) -> "tuple[Contest, int]":
    """Score and judge folders of results; with the exit code: 1 when a picture failed.

    Those are named on standard error.
    """
    from e2r_bench.console import Console
    from e2r_bench.studies.folders import Rules, folder_contest
    from e2r_metrics.base.errors import UsageError

    if len(folders) < 2:
        raise UsageError(f"compare: expected two folders of results or more, found {len(folders)}")
    measures = measures_of(asked["metrics"] or USUAL, asked)
    sets = replace(measures, shares=(), metrics=tuple(m for m in measures.metrics if m.extractor))
    inputs = [asked["degraded"]] if asked["degraded"] is not None else []
    with Console() as console:
        arms = entered(folders, clean, measures, asked, console.watch)
        given = entered(inputs, clean, sets, asked, console.watch)
    failed = [
        f"failed: {one.name}: {name}: {reason}"
        for one in arms
        for name, reason in {**one.scores.failed, **one.failed}.items()
    ]
    for line in failed:
        click.echo(line, err=True)
    rules = Rules(asked["against"], margins, every)
    made = folder_contest(arms, measures, rules, given[0] if given else None)
    return made, 1 if failed else 0
