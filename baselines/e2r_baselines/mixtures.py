"""Tasks as data: one degradation or several in a row, with their ranges; MiO100's combinations.

MiO100's sixteen combinations are those of AgenticIR (Zhu et al., ICLR 2025), in the order in which
they arise; its pictures are not here, they are made on the user's own clean ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

import numpy as np

from e2r_baselines.degradations import DEGRADATIONS, Range
from e2r_baselines.degrade import Depth, Pixels, Prompts, Task, task_table
from e2r_metrics.base.errors import UsageError, unknown


@dataclass(frozen=True)
class Step:
    """One degradation of a task.

    Attributes:
        name: in `DEGRADATIONS`.
        ranges: those that replace its own.
    """

    name: str
    ranges: Mapping[str, Range] = field(default_factory=dict[str, Range], hash=False)

    def all_ranges(self) -> Mapping[str, Range]:
        """Return the range of each of its parameters."""
        return {**DEGRADATIONS[self.name].ranges, **self.ranges}

    def words(self) -> str:
        """Return it in words, such as "noise (sigma 20..50)"."""
        told = (
            f"{key} {low:g}" + (f"..{high:g}" if high != low else "")
            for key, (low, high) in self.all_ranges().items()
        )
        return f"{self.name} ({', '.join(told)})"


def checked(step: Step) -> Step:
    """Return a step, or raise `UsageError` for a name, a parameter or a range that cannot be."""
    if step.name not in DEGRADATIONS:
        raise unknown("degradation", step.name, DEGRADATIONS)
    known = DEGRADATIONS[step.name].ranges
    for key, (low, high) in step.ranges.items():
        if key not in known:
            raise unknown(f"parameter of {step.name}", key, known)
        if not (np.isfinite([low, high]).all() and low <= high):
            raise UsageError(f"{step.name}.{key}: expected a range, found {low} to {high}")
        if low <= 0 < known[key][0]:
            raise UsageError(f"{step.name}.{key}: expected numbers above 0, found {low} to {high}")
    return step


def apply_steps(
    steps: Sequence[Step], task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator
) -> Pixels:
    """Apply degradations one after the other; see `degrade.Degradation`.

    Between two of them the picture is clipped to [0, 1], as a camera or a file would do.
    """
    del task
    x = clean
    for place, step in enumerate(steps):
        if place:
            x = np.clip(x, 0, 1)
        x = draw_step(step, x, depth, rng)
    return x


def draw_step(step: Step, x: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    """Apply one degradation whose parameters are drawn for this picture."""
    drawn = {key: rng.uniform(low, high) for key, (low, high) in step.all_ranges().items()}
    return DEGRADATIONS[step.name].apply(x, depth, drawn, rng)


def made_task(
    name: str,
    steps: Sequence[Step],
    kind: str | None = None,
    prompts: Mapping[Prompts, str] | None = None,
    methods: Sequence[str] = (),
    shave: int = 0,
) -> Task:
    """Return a task whose degradation is a row of steps; none for pictures that come in pairs.

    Args:
        name: on the command line, and a folder's name.
        steps: in the order in which they arise.
        kind: the family that methods are made for; None for the name itself.
        prompts: the instruction by generation.
        methods: names in the catalog that it is for; none where the kind says it.
        shave: pixels of each border that no metric looks at.

    Raises:
        UsageError: see `checked`.
    """
    found = tuple(checked(step) for step in steps)
    said = dict(prompts or {})
    return Task(
        name=name,
        kind=kind or name,
        prompt=next(iter(said.values()), ""),
        prompts=said,
        degradation=partial(apply_steps, found) if found else None,
        says=", then ".join(step.words() for step in found),
        parts=tuple(step.name for step in found),
        methods=frozenset(methods),
        shave=shave,
    )


_MIO100 = (
    "rain+haze", "motion_blur+low_resolution", "dark+noise", "defocus+jpeg", "noise+jpeg",
    "rain+low_resolution", "motion_blur+dark", "defocus+haze",
    "motion_blur+jpeg", "haze+noise", "defocus+low_resolution", "rain+dark",
    "haze+motion_blur+low_resolution", "rain+noise+low_resolution", "dark+defocus+jpeg",
    "motion_blur+defocus+noise",
)  # fmt: skip
_ASKED = {
    "rain": "rain streaks", "haze": "haze", "motion_blur": "motion blur", "dark": "darkness",
    "low_resolution": "low resolution", "noise": "noise", "defocus": "defocus blur",
    "jpeg": "compression artifacts",
}  # fmt: skip


def _combination(name: str) -> Task:
    parts = name.split("+")
    prompt = f"Remove {' and '.join(_ASKED[part] for part in parts)}, restore the clean image"
    return made_task(name, [Step(part) for part in parts], prompts={"g2": prompt})


MIXTURES: Mapping[str, Task] = MappingProxyType(task_table(map(_combination, _MIO100)))
"""MiO100's sixteen combinations, groups A (8), B (4) and C (4), by name."""
