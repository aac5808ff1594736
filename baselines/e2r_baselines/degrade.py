"""A task as a type: what is asked of a restorer, and the degradation that it undoes.

A degradation takes float32 RGB and returns float32 RGB, with every draw passed in; clipping and
rounding are not done here: they belong to a named protocol (`e2r_bench.run.protocols`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import UsageError

Pixels = npt.NDArray[np.float32]
"""(H, W, 3) float32 RGB, nominally [0, 1]; protocols with unclipped noise leave that range."""
Depth = npt.NDArray[np.float32]
"""(H, W) float32, 0 at the camera and 1 at the farthest point of the scene."""

Kind = str
"""The family of a degradation, such as "denoise"; a new task may bring a new one."""
Prompts = Literal["g1", "g2"]


@dataclass(frozen=True)
class Task:
    """What is asked of a restorer.

    Attributes:
        name: the name on the command line, such as `denoise25`.
        kind: the degradation family; restorers choose their weights or algorithm by it.
        prompt: the instruction for text-guided restorers; other restorers ignore it.
        sigma: standard deviation of Gaussian noise in 8-bit units, for `denoise` tasks only;
            non-blind denoisers are told it.
        prompts: the instruction in each generation that has one.
        degradation: what it undoes; None for tasks that only come with pictures of their own.
        says: the degradation with its parameters, in words; "" where its kind says it.
        parts: names of the degradations that it consists of, in the order in which they arise.
        methods: names in the catalog that it is for; empty where `kind` decides.
        shave: pixels of each border that no metric looks at.
    """

    name: str
    kind: Kind
    prompt: str
    sigma: float | None = None
    prompts: Mapping[Prompts, str] = field(default_factory=dict[Prompts, str], hash=False)
    degradation: "Degradation | None" = None
    says: str = ""
    parts: tuple[str, ...] = ()
    methods: frozenset[str] = frozenset()
    shave: int = 0


Degradation = Callable[[Task, Pixels, Depth, np.random.Generator], Pixels]
"""From (task, clean picture, its relative depth, generator) to the degraded picture, unrounded; a
module-level function, so that tasks pickle."""


def degrade(task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    """Apply the degradation that `task` undoes.

    Args:
        task: has the degradation, and sigma for noise.
        clean: (H, W, 3) float32 RGB in [0, 1].
        depth: (H, W) float32 relative depth; only haze reads it.
        rng: every draw comes from it.

    Returns:
        (H, W, 3) float32 RGB, neither clipped nor rounded.

    Raises:
        ValueError: a task without degradation, or a noise task without sigma.
    """
    if task.degradation is None:
        raise ValueError(f"task {task.name!r} states no degradation")
    return task.degradation(task, clean, depth, rng)


def task_row(
    name: str,
    kind: Kind,
    degradation: Degradation | None,
    *,
    g1: str | None = None,
    g2: str | None = None,
    sigma: float | None = None,
) -> Task:
    """Return the row of a task, its prompt g1's wherever g1 has the task, else g2's.

    The default is the paper's, since it is the paper that is under test. For the arguments see
    `Task`; `g1` and `g2` are the instructions of the two generations.
    """
    given: dict[Prompts, str | None] = {"g1": g1, "g2": g2}
    said: dict[Prompts, str] = {key: text for key, text in given.items() if text is not None}
    return Task(name, kind, g1 or g2 or "", sigma, said, degradation)


def task_table(rows: Iterable[Task]) -> Mapping[str, Task]:
    """Return tasks by name, in their order, such as these and some of one's own.

    Raises:
        UsageError: two tasks of one name.
    """
    table: dict[str, Task] = {}
    for row in rows:
        if row.name in table:
            raise UsageError(f"two tasks are called {row.name!r}; give one another name")
        table[row.name] = row
    return MappingProxyType(table)
