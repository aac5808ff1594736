"""Figures over all methods: forest, performance profiles, probability of improvement; as vectors.

Tasks and methods stand in the run's order, and a method has one colour everywhere.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.report.arms import Arm, facts_of
from e2r_bench.report.drawing import new_figure, save_figure
from e2r_bench.report.headline import Headline, headline
from e2r_bench.report.judged import Bench, Pair, reverse
from e2r_bench.report.palette import on_paper
from e2r_bench.report.words import word_of
from e2r_bench.statistics.diagnose import Shape, shape_of
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.verdict import Verdict
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 0.3


@dataclass(frozen=True)
class Row:
    """One arm against the one that others are set against, on one task under one metric."""

    task: str
    key: str
    arm: Arm
    against: Arm
    verdict: Verdict


def write_charts(store: Store) -> tuple[Path, ...]:
    """Write `figures/forest`, `profiles` and `improvement` of a run as PNG, SVG and PDF.

    Raises:
        UsageError: nothing to compare, or a folder that cannot be written to.
    """
    first = headline({"": store}, {})
    rows = list(rows_of(first.bench))
    if not rows:
        raise UsageError(
            f"{store.folder}: figures compare methods by picture: run two of them, or one beside "
            "the control `degraded`"
        )
    colours = {name: on_paper(place + 1)[place] for name, place in first.places.items()}
    drawn = {
        "forest": _forest(rows, colours),
        "improvement": _improvement(rows, colours),
        "profiles": _profiles(first, colours),
    }
    folder = store.folder / "figures"
    return tuple(folder / n for stem, fig in drawn.items() for n in save_figure(folder, stem, fig))


def rows_of(bench: Bench) -> Iterator[Row]:
    """Yield each pair that has the first arm, or the control, on one side; the other one is first.

    Pairs without a number are left out.
    """
    leads: dict[str, Arm] = {}
    for pair, verdict in bench.verdicts.items():
        lead = leads.setdefault(pair.task, pair.second if pair.second.control else pair.first)
        if verdict.effect is None or lead not in (pair.first, pair.second):
            continue
        turned = lead is pair.first
        arm = pair.second if turned else pair.first
        yield Row(pair.task, pair.key, arm, lead, reverse(verdict) if turned else verdict)


def profile(arms: Sequence[Arm], task: str, key: str) -> Mapping[str, np.ndarray]:
    """Return, for each arm, how far each picture falls short of the best arm on it, ascending.

    Source: Dolan and More, Math. Program. 91 (2002), with differences in place of ratios: decibels
    are logarithms already. Pictures without a finite number of some arm are left out in all.
    """
    values = [arm.values(task, key) for arm in arms]
    images = [i for i in values[0] if all(math.isfinite(one.get(i, math.nan)) for one in values)]
    table = np.array([[one[image] for image in images] for one in values])
    sign = 1 if facts_of(arms, key)[1] else -1
    short = (sign * table).max(axis=0, initial=-np.inf) - sign * table
    return {arm.name: np.sort(row) for arm, row in zip(arms, short, strict=True)}


def improved(row: Row) -> Shape | None:
    """Return in what share of scenes an arm is better, with Wilson's interval; None without."""
    first, second = (arm.values(row.task, row.key) for arm in (row.arm, row.against))
    images = [image for image in first if image in second]
    apart = np.array([first[image] - second[image] for image in images])
    try:
        return shape_of(apart, row.arm.scenes(row.task, images), facts_of((row.arm,), row.key)[1])
    except UsageError:
        return None


def _keys(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.key for row in rows))


def _panes(rows: Sequence[Row]) -> "tuple[Figure, list[tuple[str, Axes, list[Row]]]]":
    """Return a figure with a pane per metric, and the rows of each."""
    keys = _keys(rows)
    tallest = max(sum(row.key == key for row in rows) for key in keys)
    figure = new_figure(3.1 * len(keys) + 1.2, _ROW * tallest + 1.1)
    panes = figure.subplots(1, len(keys), squeeze=False)[0]
    return figure, [
        (key, axes, [row for row in rows if row.key == key])
        for key, axes in zip(keys, panes, strict=True)
    ]


def _labels(axes: "Axes", rows: Sequence[Row]) -> None:
    names = [f"{row.task}  {row.arm.name}" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=6, parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=6)


def _forest(rows: Sequence[Row], colours: Mapping[str, str]) -> "Figure":
    figure, panes = _panes(rows)
    for key, axes, mine in panes:
        unit, higher = facts_of([row.arm for row in mine], key)
        margin = next((row.verdict.margin for row in mine if row.verdict.margin), 0.0)
        axes.axvspan(-margin, margin, color="#888", alpha=0.12, lw=0)
        axes.axvline(0, color="#555", lw=0.8)
        for at, row in enumerate(mine):
            verdict, colour = row.verdict, colours[row.arm.name]
            if verdict.low is not None and verdict.high is not None:
                _bar(axes, verdict.low, verdict.high, at, colour)
            if verdict.effect is not None:
                axes.plot([verdict.effect], [at], "o", color=colour, ms=4)
            said = word_of(verdict, unit).text
            axes.text(1.0, at - 0.32, said, transform=axes.get_yaxis_transform(), fontsize=4.5,
                      ha="right", color="#555")  # fmt: skip
        _labels(axes, mine)
        axes.set_title(f"{key}{f', {unit}' if unit else ''}, minus {mine[0].against.name}",
                       fontsize=7, parse_math=False)  # fmt: skip
        axes.set_xlabel("higher is better" if higher else "lower is better", fontsize=6)
    figure.supxlabel(_FOREST, fontsize=5, color="#555")
    return figure


def _bar(axes: "Axes", low: float, high: float, at: float, colour: str) -> None:
    axes.plot([low, high], [at, at], color=colour, lw=2.2, alpha=0.6, solid_capstyle="butt")


_FOREST = (
    f"paired differences; simultaneous 95% intervals over scenes, none below {MIN_SCENES} scenes; "
    "grey: within the margin"
)


def _improvement(rows: Sequence[Row], colours: Mapping[str, str]) -> "Figure":
    figure, panes = _panes(rows)
    for key, axes, mine in panes:
        axes.axvline(0.5, color="#555", lw=0.8)
        for at, row in enumerate(mine):
            found, colour = improved(row), colours[row.arm.name]
            if found is None:
                continue
            if found.scenes >= MIN_SCENES:
                _bar(axes, found.improved_low, found.improved_high, at, colour)
            axes.plot([found.improved], [at], "o", color=colour, ms=4)
        _labels(axes, mine)
        axes.set_xlim(-0.02, 1.02)
        axes.set_title(f"{key}, against {mine[0].against.name}", fontsize=7, parse_math=False)
    figure.supxlabel(
        "share of scenes where the method is better; 95% intervals (Wilson), each by itself",
        fontsize=5, color="#555",
    )  # fmt: skip
    return figure


def _profiles(first: Headline, colours: Mapping[str, str]) -> "Figure":
    groups: dict[tuple[str, str], list[Arm]] = {}
    for pair in first.bench.verdicts:
        known = groups.setdefault((pair.task, pair.key), [])
        known += [arm for arm in _arms(pair) if arm not in known]
    tasks = list(dict.fromkeys(task for task, _ in groups))
    keys = list(dict.fromkeys(key for _, key in groups))
    figure = new_figure(2.5 * len(keys) + 0.4, 2.0 * len(tasks) + 0.5)
    grid = figure.subplots(len(tasks), len(keys), squeeze=False)
    for (task, key), arms in groups.items():
        axes = grid[tasks.index(task), keys.index(key)]
        for name, short in profile(arms, task, key).items():
            share = np.arange(1, len(short) + 1) / len(short)
            axes.step(short, share, where="post", color=colours.get(name, "#777"), label=name)
        axes.set_title(f"{task}, {key}", fontsize=7, parse_math=False)
        axes.set_ylim(0, 1.03)
        axes.tick_params(labelsize=6)
    lines, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside upper center", ncols=4, fontsize=6)
    figure.supxlabel("share of pictures that fall short of the best method by at most this",
                     fontsize=6)  # fmt: skip
    return figure


def _arms(pair: Pair) -> tuple[Arm, Arm]:
    return pair.first, pair.second
