"""Study of prompts: does the right instruction matter to an adapter that serves every task?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.arms.claims import Arm, Training
from e2r_bench.arms.parts import Part, record_of
from e2r_bench.arms.study import ArmStudy
from e2r_bench.report.drawing import new_figure, series_colours
from e2r_bench.statistics.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAIRS = 128


def study_arms() -> dict[str, Arm]:
    """Return the arms of the study: `prompted_arms` of one unified adapter."""
    return prompted_arms(Training(pairs=_PAIRS))


def prompted_arms(training: Training) -> dict[str, Arm]:
    """Return one adapter's arms with the task's own prompt, another task's, and none."""
    return {
        "right": Arm(method="kontext_lora", training=training),
        "wrong": Arm(method="kontext_lora", training=training, prompt="wrong"),
        "empty": Arm(method="kontext_lora", training=training, prompt="empty"),
    }


def study_prompts(study: ArmStudy) -> Sequence[Part]:
    """Compare the task's own prompt with another task's and with none.

    The adapter is a unified one, trained here: task-specific ones leave a prompt nothing to route.

    Args:
        study: see `ArmStudy`; the study is written to `<out>/studies/prompts`.

    Raises:
        UsageError: what training and running raise.
    """
    parts = study.parts(study_arms(), [("wrong", "right"), ("empty", "right")])
    text = (
        f"One unified adapter of {_PAIRS} pairs per task: the same pictures, noise and "
        "steps, with the task's own prompt, another task's, and none."
    )
    study.write("prompts", "Prompts", text, [record_of(part) for part in parts], _plot(parts))
    return parts


def _plot(parts: Sequence[Part]) -> "Figure":
    """Draw differences in units of each part's own margin, so that all fit on one axis."""
    measured = [part for part in parts if part.verdict.effect is not None]
    found, tasks = [part.verdict for part in measured], [part.asked.task for part in measured]
    colours = series_colours(list(dict.fromkeys(tasks)))
    figure = new_figure(6.5, 0.32 * len(found) + 1.2)
    axes = figure.subplots()
    scale = np.array([one.margin or 1.0 for one in found])
    values, low, high = (
        np.array([_or_effect(one, end) for one in found], dtype=float) / scale
        for end in ("effect", "low", "high")
    )
    places = np.arange(len(found))
    for k, task in enumerate(tasks):
        reach = [[values[k] - low[k]], [high[k] - values[k]]]
        axes.errorbar(values[k], k, xerr=reach, fmt="o", ms=3, capsize=2, color=colours[task])
    axes.set_yticks(places, [one.name for one in found], fontsize=7)
    axes.invert_yaxis()
    for place in (-1, 0, 1):
        axes.axvline(place, color="#555", lw=0.8, ls="-" if place == 0 else ":")
    axes.set_xlabel("difference in margins, simultaneous 95% interval")
    return figure


def _or_effect(verdict: Verdict, end: str) -> float:
    """Return an end of the interval; the effect itself where too few scenes give none."""
    value = getattr(verdict, end)
    return verdict.effect or 0.0 if value is None else value
