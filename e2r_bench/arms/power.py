"""What it takes, before a run, and what it could have found, after it."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from e2r_bench.arms.claims import Arm
from e2r_bench.arms.parts import Part
from e2r_bench.arms.repeats import Repeats
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.margins import Fixed, Margin
from e2r_bench.statistics.power import Spread, scenes_needed, trainings_needed

POWER = 0.8
_ASSUMED = (1.0, 2.0)
"""Spreads between scenes, in margins, where none was given and none was measured before."""


@dataclass(frozen=True)
class Known:
    """The spreads that a plan stands on.

    Attributes:
        spreads: metric name to standard deviations of a difference, in the metric's unit.
        source: where they are from, in words.
    """

    spreads: Mapping[str, Spread]
    source: str


def known_spreads(given: Mapping[str, float], earlier: Path) -> Known:
    """Return the spreads that were stated, else those of an earlier run.

    Args:
        given: metric name to the standard deviation between scenes.
        earlier: results.json of an earlier judgement; the widest spread of each metric counts.
    """
    if given:
        return Known({name: Spread(value) for name, value in given.items()}, "stated")
    if not earlier.is_file():
        return Known({}, "")
    found: dict[str, Spread] = {}
    for row in _rows(earlier):
        name, spread = str(row.get("metric")), row.get("spread")
        if not isinstance(spread, float) or not spread > 0:
            continue
        before = found.get(name, Spread(0.0))
        found[name] = Spread(max(before.scene, spread), max(before.training, _between(row)))
    return Known(found, f"measured earlier, the widest of {earlier}")


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(content, list):
        for row in cast("list[object]", content):
            if isinstance(row, dict):
                yield cast("dict[str, Any]", row)


def _between(row: Mapping[str, Any]) -> float:
    """Return the standard deviation between an earlier row's trainings; 0 for one."""
    values = row.get("by_training") or []
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def plan_lines(
    fixed: Fixed, known: Known, parts: Mapping[str, int], scenes: Mapping[str, int],
    repeats: Repeats,
) -> Iterator[str]:  # fmt: skip
    """Yield what finding a difference of one margin would take, metric by metric.

    Args:
        fixed: the margins.
        known: spreads.
        parts: metric name to the most parts that are judged with one of it.
        scenes: task to the scenes that are there.
        repeats: trainings and seeds that are asked for.
    """
    trainings = max(1, len(repeats.trainings))
    least = min(scenes.values(), default=0)
    there = ", ".join(f"{task} {n}" for task, n in scenes.items())
    often = "once" if trainings == 1 else f"{trainings} times"
    yield (
        f"power, before the run: to find a true difference of one margin in {POWER:.0%} of runs at "
        f"5% over all parts (t test); there are {there} scenes; each arm is trained {often}. "
        f"Spreads: {known.source or 'none known; assumed, give --spread METRIC=NUMBER'}"
    )
    for name, margin in fixed.margins.items():
        count = parts.get(name, 1)
        if margin.relative:
            yield f"    {name}: a set metric has no spread of pictures; its reach is told after"
        elif name in known.spreads:
            yield f"    {name}: {_told(margin, known.spreads[name], count, trainings, least)}"
        else:
            yield f"    {name}: " + "; ".join(
                f"were the spread {times * margin.value:g}: "
                + scenes_needed(
                    margin.value, Spread(times * margin.value), 1, count, least=MIN_SCENES
                ).words
                for times in _ASSUMED
            )  # fmt: skip


def _told(margin: Margin, spread: Spread, parts: int, trainings: int, scenes: int) -> str:
    words = [f"spread {spread.scene:.3g} between scenes"]
    if spread.training:
        words[0] += f", {spread.training:.3g} between trainings"
    words.append(
        scenes_needed(margin.value, spread, trainings, parts, least=MIN_SCENES).words
        + f", read with {parts} parts"
    )
    if spread.training and scenes >= MIN_SCENES:
        needed = trainings_needed(margin.value, spread, scenes, parts)
        words.append(f"at {scenes} scenes: {needed.words}")
    elif not spread.training:
        words.append("the spread between trainings is not known, and not counted")
    return "; ".join(words)


def cost_words(arms: Sequence[Arm], tasks: Sequence[str], repeats: Repeats) -> str:
    """Return how much is trained and restored, for all claims together."""
    every = dict.fromkeys(one for arm in arms for one in repeats.every(arm))
    trained = dict.fromkeys(one.training for one in every if one.training is not None)
    return (
        f"cost: {len(trained)} trainings, {len(every)} restorations of every picture of "
        f"{len(tasks)} tasks ({repeats.words()})"
    )


def found_lines(parts: Sequence[Part]) -> Iterator[str]:
    """Yield the smallest difference that each part finds four times in five, by itself."""
    for part in parts:
        verdict = part.verdict
        if verdict.detectable is not None:
            yield (
                f"        {verdict.name}: finds {verdict.detectable:.3g} in {POWER:.0%} of runs "
                f"(margin {verdict.margin:.3g}), {verdict.scenes} scenes, one part by itself"
            )
        else:
            yield f"        {verdict.name}: {'; '.join(verdict.notes)}"
