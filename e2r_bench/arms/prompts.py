"""Study of prompts: does the right instruction matter to an adapter that serves every task?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.arms.claims import Arm, Training
from e2r_bench.arms.parts import Part
from e2r_bench.arms.study import ArmStudy, record_of
from e2r_bench.studies.writing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAIRS = 128


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
    arms = prompted_arms(Training(pairs=_PAIRS))
    parts = study.parts(arms, [("wrong", "right"), ("empty", "right")])
    text = (
        f"One unified adapter of {_PAIRS} pairs per task: the same pictures, noise and "
        "steps, with the task's own prompt, another task's, and none."
    )
    study.write("prompts", "Prompts", text, [record_of(part) for part in parts], _plot(parts))
    return parts


def _plot(parts: Sequence[Part]) -> "Figure":
    found = [part for part in parts if part.measured]
    figure = new_figure(6.5, 0.32 * len(found) + 1.2)
    axes = figure.subplots()
    names = [f"{part.task} {part.metric_id}: {part.first} - right" for part in found]
    scale = np.array([abs(part.level or 1.0) for part in found])
    values, low, high = (
        np.array([getattr(part, end) for part in found], dtype=float) / scale
        for end in ("effect", "low", "high")
    )
    places = np.arange(len(found))
    axes.errorbar(values, places, xerr=[values - low, high - values], fmt="o", ms=3, capsize=2)
    axes.set_yticks(places, names, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(0, color="#555", lw=0.8)
    axes.set_xlabel("difference as a share of the right prompt's value, 95% interval")
    return figure
