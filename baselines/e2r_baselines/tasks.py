"""The restoration tasks, with the prompts of both Edit2Restore generations.

Source of the prompts: Edit2Restore's paper (g1) and later repository (g2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

Kind = Literal["denoise", "derain", "dehaze", "dejpeg", "lowlight"]
Prompts = Literal["g1", "g2"]

_G1: Mapping[Kind, str] = {
    "denoise": "remove the noise from the image",
    "derain": "remove the rain from the image",
    "dehaze": "remove the haze from the image",
}
_G2: Mapping[Kind, str] = {
    "denoise": "Remove noise and grain, restore a clean and sharp image",
    "derain": "Remove rain streaks and restore the clean image",
    "dehaze": "Remove haze and fog, restore clear visibility and natural colors",
    "dejpeg": "Remove compression artifacts and restore the clean image",
    "lowlight": "Brighten this photo, recover shadow details, reduce noise, keep colors natural",
}
PROMPTS: Mapping[Prompts, Mapping[Kind, str]] = MappingProxyType({"g1": _G1, "g2": _G2})


@dataclass(frozen=True)
class Task:
    """What is asked of a restorer.

    Attributes:
        name: the name on the command line, such as `denoise25`.
        kind: the degradation family; restorers choose their weights or algorithm by it.
        prompt: the instruction for text-guided restorers; other restorers ignore it.
        sigma: standard deviation of Gaussian noise in 8-bit units, for `denoise` tasks only;
            non-blind denoisers are told it.
    """

    name: str
    kind: Kind
    prompt: str
    sigma: float | None = None


def _tasks(prompts: Prompts) -> dict[str, Task]:
    said = PROMPTS[prompts]
    noise = [Task(f"denoise{s}", "denoise", said["denoise"], s) for s in (15, 25, 50)]
    rest = [Task(kind, kind, text) for kind, text in said.items() if kind != "denoise"]
    return {task.name: task for task in (*noise, *rest)}


# The default prompts are g1's wherever g1 has the task: it is the paper that is under test.
TASKS: Mapping[str, Task] = MappingProxyType(_tasks("g2") | _tasks("g1"))


def with_prompts(task: Task, prompts: Prompts) -> Task:
    """Return `task` with the prompt of one generation; KeyError if that generation lacks it."""
    return replace(task, prompt=PROMPTS[prompts][task.kind])
