"""Folders of results, for `compare --clean`, `score` and `check`: from flags to what is scored."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import joined

if TYPE_CHECKING:
    from e2r_bench.api.judge import Judgement
    from e2r_bench.api.score import Scored
    from e2r_bench.api.session import Watch
    from e2r_bench.statistics.margins import Margin
    from e2r_bench.studies.entrants import Measures
    from e2r_metrics import Session


def measures_of(names: Sequence[str], asked: Mapping[str, Any]) -> "Measures":
    """Return what is measured; names may be metrics of the catalog, or shares.

    Raises:
        UsageError: an unknown name.
    """
    from e2r_bench.api import score

    return score.measures_of(
        names, asked["profile"], joined(asked["variant"]), asked["channel"], options.parts_of(asked)
    )


def session_of(asked: Mapping[str, Any]) -> "Session":
    """Return what computes metrics."""
    from e2r_bench.api.session import open_session

    return open_session(
        asked["weights"], asked["device"], asked["offline"], lambda line: click.echo(line, err=True)
    )


def scored_folders(
    folders: Sequence[Path], clean: Path | None, measures: "Measures", asked: Mapping[str, Any],
    watch: "Watch",
) -> "list[Scored]":  # fmt: skip
    """Score folders against one folder of clean pictures, or without any."""
    from e2r_bench.api.judge import score_folders

    return score_folders(folders, clean, measures, session_of(asked), watch)


def compare_folders(
    folders: Sequence[Path],
    clean: Path,
    asked: Mapping[str, Any],
    every: bool,
    margins: "Mapping[str, float | Margin]",
) -> "tuple[Judgement, int]":
    """Score and judge folders of results; with the exit code: 1 when a picture failed.

    Those are named on standard error.
    """
    from e2r_bench.api.judge import METRICS, judge
    from e2r_bench.console import Console
    from e2r_metrics.base.errors import UsageError

    if len(folders) < 2:
        raise UsageError(f"compare: expected two folders of results or more, found {len(folders)}")
    names = asked["metrics"] or METRICS
    arms = scored_arms(folders, clean, names, asked)
    degraded: Scored | None = None
    if asked["degraded"] is not None:
        measures = measures_of(names, asked)
        sets = replace(
            measures, shares=(), metrics=tuple(m for m in measures.metrics if m.extractor)
        )
        with Console() as console:
            (degraded,) = scored_folders([asked["degraded"]], clean, sets, asked, console.watch)
    made = judge(*arms, degraded=degraded, against=asked["against"], margins=margins, every=every)
    return made, 1 if any(one.failed for one in arms) else 0


def scored_arms(
    folders: Sequence[Path], clean: Path, metrics: Sequence[str], asked: Mapping[str, Any]
) -> "list[Scored]":
    """Score folders of results; pictures that failed are named on standard error."""
    from e2r_bench.console import Console

    with Console() as console:
        arms = scored_folders(folders, clean, measures_of(metrics, asked), asked, console.watch)
    for one in arms:
        for name, reason in one.failed.items():
            click.echo(f"failed: {one.name}: {name}: {reason}", err=True)
    return arms
