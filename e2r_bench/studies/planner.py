"""Several degradations, one tool each: does the order matter, and who finds it?

RestoreAgent's and AgenticIR's question (NeurIPS 2024, ICLR 2025) without a language model: every
order of the true degradations with every tool is run, so that fixed rules, chance and a blind
planner can be held against the best of all, and against one call of a single tool.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np

from e2r_baselines.degrade import Pixels, Task
from e2r_baselines.estimators import levels
from e2r_baselines.method import Draw, Photo, Restorer
from e2r_metrics.base.errors import UsageError

Call = tuple[str, str]
"""(degradation, tool)."""
Path = tuple[Call, ...]

MOST_PARTS = 3
_LOWER = 0.9
"""A step that leaves more than this share of what it was made for has not worked."""
_KINDS: Mapping[str, str] = {
    "noise": "denoise", "jpeg": "dejpeg", "haze": "dehaze", "rain": "derain", "dark": "lowlight",
    "blur": "deblur", "defocus": "deblur", "motion_blur": "deblur", "snow": "desnow",
    "low_resolution": "super-resolution",
}  # fmt: skip


def task_of(part: str) -> Task:
    """Return what a tool is told that undoes a degradation."""
    # No tool is told the strength: no sigma stands in the task, so denoisers estimate it.
    return Task(part, _KINDS.get(part, part), f"Remove {part.replace('_', ' ')}")


@dataclass(frozen=True)
class Toolbox:
    """The tools that a planner may call.

    Attributes:
        tools: degradation -> names of tools, the one that fixed rules take first.
        single: tools that are meant to do everything in one call.
        restorers: name -> restorer.
        draws: name -> the draw of each.
    """

    tools: Mapping[str, Sequence[str]]
    single: Sequence[str]
    restorers: Mapping[str, Restorer]
    draws: Mapping[str, Draw]

    def apply(self, call: Call, name: str, pixels: Pixels) -> Pixels:
        """Return what one tool makes of a picture: clipped and rounded to 8 bits, as a file is.

        Raises:
            PictureError: the tool cannot restore it.
        """
        part, tool = call
        given, task = [Photo(name, pixels)], task_of(part)
        restored = self.restorers[tool].restore(given, task, [self.draws[tool]])
        done = next(iter(restored)).pixels
        return (np.rint(np.clip(done, 0, 1) * 255) / 255).astype(np.float32)


def check_parts(task: Task, tools: Mapping[str, Sequence[str]]) -> None:
    """Raise `UsageError` for a task that no plan can be made for."""
    if not 2 <= len(task.parts) <= MOST_PARTS:
        raise UsageError(
            f"task {task.name!r}: expected a mixture of 2 to {MOST_PARTS} degradations, found "
            f"{len(task.parts)}; such as noise+jpeg"
        )
    for part in task.parts:
        if not tools.get(part):
            raise UsageError(f"--tools: expected one for {part} of {task.name}; give {part}=METHOD")


@dataclass
class Tree:
    """One picture and all that tools made of it; what begins alike is run once.

    Attributes:
        name: of the picture; draws derive from it.
        start: the degraded picture, 8-bit values.
        box: the tools.
        seconds: of each call that was made.
    """

    name: str
    start: Pixels
    box: Toolbox
    seconds: dict[Path, float] = field(default_factory=dict[Path, float], init=False)
    _made: dict[Path, Pixels] = field(default_factory=dict[Path, Pixels], init=False)

    def at(self, path: Path) -> Pixels:
        """Return the picture after the calls of a path."""
        if not path:
            return self.start
        if path not in self._made:
            before = self.at(path[:-1])
            since = time.perf_counter()
            self._made[path] = self.box.apply(path[-1], self.name, before)
            self.seconds[path] = time.perf_counter() - since
        return self._made[path]

    def time_of(self, path: Path) -> float:
        """Return the seconds that a path takes by itself."""
        return sum(self.seconds[path[: k + 1]] for k in range(len(path)))


def all_paths(parts: Sequence[str], tools: Mapping[str, Sequence[str]]) -> list[Path]:
    """Return every order of the degradations with every choice of tools: d! times their product."""
    return [
        tuple(zip(order, chosen, strict=True))
        for order in permutations(parts)
        for chosen in product(*(tools[part] for part in order))
    ]


def fixed_path(order: Sequence[str], tools: Mapping[str, Sequence[str]]) -> Path:
    """Return the path of an order with the first tool of each degradation."""
    return tuple((part, tools[part][0]) for part in order)


def blind_path(tree: Tree, tools: Mapping[str, Sequence[str]]) -> tuple[Path, list[Path]]:
    """Return the path of a planner that is told nothing and sees the picture alone.

    It takes the degradation that shows most, calls its first tool, looks again, and stops where
    none shows. A step that did not lower what it was made for is taken back, once; each degradation
    is tried once.

    Returns:
        Its path, and all that it called on the way, the step that it took back included.
    """
    path: Path = ()
    called: list[Path] = []
    tried: set[str] = set()
    back = False
    while True:
        seen = levels(tree.at(path))
        shown = {p: seen[p] for p in tools if p in seen and p not in tried and seen[p] > 1}
        if not shown:
            return path, called
        part = max(shown, key=lambda name: shown[name])
        tried.add(part)
        longer: Path = (*path, (part, tools[part][0]))
        called.append(longer)
        if levels(tree.at(longer))[part] < _LOWER * shown[part] or back:
            path = longer
        else:
            back = True
