"""Studies that train or prompt: numbers of pairs, and right, wrong and empty prompts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_bench.config import Experiment
from e2r_bench.services import open_services
from e2r_bench.statistics.paired import holm
from e2r_bench.studies.arms import Say, Workshop
from e2r_bench.studies.claims import Arm, Training
from e2r_bench.studies.measure import Cell, Unit, compare, metric_of
from e2r_bench.studies.writing import new_figure, write_study
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from e2r_metrics import Session

PAIRS = (16, 32, 64, 128)
MARGIN = 0.05
_ROUTED_PAIRS = 128


@dataclass(frozen=True)
class Grid:
    """How a study of arms is judged.

    Attributes:
        base: data, tasks, metrics, limit, backbone and folder.
        epochs: of each training; None for the profile's own.
        unit: what is independent.
        margin: share of the reference arm's value that counts as no difference.
        say: told what is being done.
    """

    base: Experiment
    epochs: int | None
    unit: Unit
    margin: float
    say: Say


def study_pairs(
    grid: Grid, pairs: Sequence[int], seeds: Sequence[int], specific: bool
) -> Sequence[dict[str, Any]]:
    """Train on several numbers of pairs and compare each with the largest, seed by seed.

    Args:
        grid: see `Grid`; the study is written to `<out>/studies/pairs`.
        pairs: per task.
        seeds: of the trainings and of the choice of pairs; fewer pairs are part of more.
        specific: train task-specific adapters too.

    Raises:
        UsageError: fewer than two numbers of pairs; what training and running raise.
    """
    if len(set(pairs)) < 2:
        raise UsageError(f"a study of pairs needs two numbers of pairs, found {list(pairs)}")
    largest = max(pairs)
    kinds = (False, True) if specific else (False,)
    arms = {
        (per_task, count, seed): Arm(
            method="kontext_lora",
            training=Training(pairs=count, per_task=per_task, seed=seed),
        )
        for per_task in kinds
        for seed in seeds
        for count in sorted(set(pairs))
    }
    duels = [(key, (False, largest, key[2])) for key in arms if key != (False, largest, key[2])]
    named = {key: _arm_name(*key) for key in arms}
    rows = _rows(
        grid, {named[k]: arm for k, arm in arms.items()}, [(named[a], named[b]) for a, b in duels]
    )
    for row in rows:
        row["pairs"], row["training_seed"] = next(
            (key[1], key[2]) for key, name in named.items() if name == row["first"]
        )
    text = (
        f"Adapters trained on {', '.join(map(str, sorted(set(pairs))))} pairs per task with equal "
        f"exposure, training seeds {list(seeds)}, against {largest} pairs of the same seed; margin "
        f"{grid.margin:.0%} of that arm's value. {_spread_note(seeds)}"
    )
    _write(grid, "pairs", "Training pairs", text, rows, _plot_pairs(rows))
    return rows


def _arm_name(per_task: bool, count: int, seed: int) -> str:
    return f"{'specific' if per_task else 'unified'} {count} seed {seed}"


def _spread_note(seeds: Sequence[int]) -> str:
    if len(seeds) > 1:
        return "The spread over training seeds is the noise that a number of pairs must beat."
    return "One training seed: the spread between trainings is unknown, so read no trend into it."


def study_prompts(grid: Grid) -> Sequence[dict[str, Any]]:
    """Compare the task's own prompt with another task's and with none.

    The adapter is a unified one, trained here: task-specific ones leave a prompt nothing to route.
    """
    training = Training(pairs=_ROUTED_PAIRS)
    arms = {
        "right": Arm(method="kontext_lora", training=training),
        "wrong": Arm(method="kontext_lora", training=training, prompt="wrong"),
        "empty": Arm(method="kontext_lora", training=training, prompt="empty"),
    }
    rows = _rows(grid, arms, [("wrong", "right"), ("empty", "right")])
    text = (
        f"One unified adapter of {_ROUTED_PAIRS} pairs per task: the same pictures, noise and "
        "steps, with the task's own prompt, another task's, "
        f"and none; margin {grid.margin:.0%} of the right prompt's value."
    )
    _write(grid, "prompts", "Prompts", text, rows, _plot_prompts(rows))
    return rows


def _rows(
    grid: Grid, arms: dict[str, Arm], duels: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    _, session, _ = open_services(grid.base, grid.say)
    workshop = Workshop(grid.base, grid.base.out, grid.epochs, grid.say, list(arms.values()))
    rows = [
        row
        for task in grid.base.tasks
        for first, second in duels
        for row in _duel(
            grid,
            session,
            task,
            (first, workshop.cell(arms[first], task)),
            (second, workshop.cell(arms[second], task)),
        )
    ]
    for field in ("p", "p_equal"):
        adjusted = iter(holm([row[field] for row in rows if row[field] is not None]))
        for row in rows:
            row[f"holm_{field}"] = None if row[field] is None else next(adjusted)
    for row in rows:
        row["verdict"] = _verdict(row)
    return rows


def _duel(
    grid: Grid, session: "Session", task: str, first: tuple[str, Cell], second: tuple[str, Cell]
) -> Iterator[dict[str, Any]]:
    names = {"task": task, "first": first[0], "second": second[0]}
    for metric in grid.base.metrics:
        row: dict[str, Any] = {**names, "metric": metric, "p": None, "p_equal": None, "note": ""}
        try:
            key, _ = metric_of(first[1].run, metric, task)
            made = compare(first[1], second[1], task, metric, session, grid.margin, grid.unit)
        except UsageError as error:
            yield row | {"note": str(error)}
            continue
        yield row | {
            "metric": key, "build": first[1].build, "n": made.test.n, "scenes": made.test.scenes,
            "second_value": made.level, "effect": made.test.effect, "low": made.interval.low,
            "high": made.interval.high, "p": made.test.p, "floor": made.test.floor,
            "permutations": made.test.permutations, "p_equal": made.equivalence.p,
            "margin": made.equivalence.margin, "improves": made.improves > 0,
        }  # fmt: skip


def _verdict(row: dict[str, Any]) -> str:
    if row["p"] is None:
        return "not measured"
    if row["holm_p_equal"] <= 0.05:
        return "equivalent"
    if row["holm_p"] <= 0.05:
        return "better" if row["improves"] else "worse"
    return "not resolved at this n"


def _write(
    grid: Grid, name: str, title: str, text: str, rows: list[dict[str, Any]], figure: "Figure"
) -> None:
    how = (
        f" p by permutation over {grid.unit}s, Holm-adjusted over the table; p_equal by TOST; "
        f"protocol {grid.base.protocol}, data {', '.join(grid.base.data)}."
    )
    write_study(grid.base.out / "studies" / name, title, text + how, rows, {name: figure})


def _series(row: dict[str, Any]) -> tuple[str, str]:
    """Return the task and "unified" or "specific"."""
    return row["task"], row["first"].split()[0]


def _plot_pairs(rows: Sequence[dict[str, Any]]) -> "Figure":
    measured = [row for row in rows if row["p"] is not None]
    metrics = list(dict.fromkeys(row["metric"] for row in measured))
    figure = new_figure(3.4 * max(1, len(metrics)), 3.2)
    for axes, metric in zip(
        figure.subplots(1, max(1, len(metrics)), squeeze=False)[0], metrics, strict=False
    ):
        mine = [row for row in measured if row["metric"] == metric]
        counts = sorted({row["pairs"] for row in mine})
        names = list(dict.fromkeys(_series(row) for row in mine))
        seeds = sorted({row["training_seed"] for row in mine})
        # Side by side within a number of pairs: first the series, then the seeds in each.
        width = 0.8 / (len(names) * len(seeds))
        for place, name in enumerate(names):
            line = [row for row in mine if _series(row) == name]
            slots = [place * len(seeds) + seeds.index(row["training_seed"]) for row in line]
            x = [
                counts.index(row["pairs"]) + width * (slot + 0.5) - 0.4
                for row, slot in zip(line, slots, strict=True)
            ]
            y = [row["effect"] for row in line]
            errors = [
                [r["effect"] - r["low"] for r in line],
                [r["high"] - r["effect"] for r in line],
            ]
            axes.errorbar(x, y, yerr=errors, fmt="o", ms=3, capsize=2, label=" ".join(name))
        axes.set_xticks(range(len(counts)), [str(count) for count in counts])
        axes.axhline(0, color="#555", lw=0.8)
        axes.set_xlabel("pairs per task")
        axes.set_title(f"{metric}: minus the most pairs", fontsize=9)
    if measured:
        figure.axes[0].legend(fontsize=6)
    return figure


def _plot_prompts(rows: Sequence[dict[str, Any]]) -> "Figure":
    measured = [row for row in rows if row["p"] is not None]
    figure = new_figure(6.5, 0.32 * len(measured) + 1.2)
    axes = figure.subplots()
    names = [f"{row['task']} {row['metric']}: {row['first']} - right" for row in measured]
    values = np.array([row["effect"] / abs(row["second_value"]) for row in measured])
    scale = np.array([abs(row["second_value"]) for row in measured])
    low = values - np.array([row["low"] for row in measured]) / scale
    high = np.array([row["high"] for row in measured]) / scale - values
    axes.errorbar(values, np.arange(len(measured)), xerr=[low, high], fmt="o", ms=3, capsize=2)
    axes.set_yticks(np.arange(len(measured)), names, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(0, color="#555", lw=0.8)
    axes.set_xlabel("difference as a share of the right prompt's value, 95% interval")
    return figure
