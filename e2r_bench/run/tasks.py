"""Which tasks an experiment knows: built-in ones, mixtures, and tables of its own file."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from e2r_baselines.degradations import Range
from e2r_baselines.degrade import Prompts, task_row
from e2r_baselines.mixtures import MIXTURES, Step, made_task
from e2r_baselines.tasks import TASKS, Task
from e2r_metrics.base.errors import UsageError, unknown

CUSTOM = "custom:"
PAIRS = "pairs"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepTable(BaseModel):
    """One degradation: its name, and ranges (or numbers) for its parameters."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str

    def step(self) -> Step:
        """Return it checked by type; UsageError for a parameter that is no number or range."""
        return Step(self.name, {k: _range(self.name, k, v) for k, v in self.own().items()})

    def own(self) -> Mapping[str, Any]:
        """Return the parameters that were given."""
        return self.model_extra or {}


def _range(name: str, key: str, value: Any) -> Range:
    ends = value if isinstance(value, (list, tuple)) else (value, value)
    if len(ends) != 2 or not all(type(end) in (int, float) for end in ends):
        raise UsageError(
            f"degradation {name}: {key}: expected a number, or two as a range, found {value!r}"
        )
    return float(ends[0]), float(ends[1])


class TaskTable(_Frozen):
    """A task as a table of a settings file.

    Attributes:
        name: as in `tasks`, and a folder's name.
        kind: the family that methods are made for; the name where it is not given.
        prompts: the instruction by generation; `prompt` is one for all.
        degradation: "pairs" where its pictures come with degraded ones, or degradations in the
            order in which they arise, each with ranges of its own.
        methods: names in the catalog that it is for; others run too, and are marked.
        scale: super-resolution by this factor: reduced by it and enlarged back, both bicubic.
        shave: pixels of each border that no metric looks at.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")
    kind: str | None = None
    prompt: str = ""
    prompts: Mapping[Prompts, str] = Field(default_factory=dict)
    degradation: str | tuple[StepTable, ...] = PAIRS
    methods: tuple[str, ...] = ()
    scale: int | None = Field(default=None, ge=2, le=16)
    shave: int = Field(default=0, ge=0, le=64)

    def task(self) -> Task:
        """Return the task.

        Raises:
            UsageError: a name taken, or a degradation that cannot be.
        """
        if self.name in TASKS or self.name in MIXTURES:
            raise UsageError(f"task {self.name!r}: there is one of that name; choose another")
        prompts = dict(self.prompts) or ({"g1": self.prompt} if self.prompt else {})
        return made_task(
            self.name, self._steps(), self.kind, prompts, self.methods, self.shave
        )  # fmt: skip

    def _steps(self) -> tuple[Step, ...]:
        if isinstance(self.degradation, str):
            if self.degradation != PAIRS:
                raise UsageError(
                    f"task {self.name!r}: degradation: expected {PAIRS!r} or a list of tables with "
                    f"name, found {self.degradation!r}"
                )
            found: tuple[Step, ...] = ()
        else:
            found = tuple(table.step() for table in self.degradation)
        scale = float(self.scale or 1)
        enlarged = Step("low_resolution", {"scale": (scale, scale)})
        return (*found, enlarged) if self.scale else found


def task_named(name: str, tables: Iterable[TaskTable]) -> Task:
    """Return a task: of a file's tables, a built-in one, a mixture, or `custom:NAME` pairs.

    Raises:
        UsageError: nobody knows it; says which is nearest.
    """
    own: dict[str, Task] = {}
    for table in tables:
        if table.name in own:
            raise UsageError(f"two tasks are called {table.name!r}; give one another name")
        own[table.name] = table.task()
    known = {**TASKS, **MIXTURES, **own}
    if name in known:
        return known[name]
    if name.startswith(CUSTOM) and name != CUSTOM:
        given = TaskTable(name=name.removeprefix(CUSTOM))
        return replace(task_row(given.name, given.name, None), name=given.name)
    raise unknown("task", name, [*known, f"{CUSTOM}NAME"])


def task_names(asked: Iterable[str]) -> tuple[str, ...]:
    """Return tasks as a run folder names them: `custom:NAME` is NAME there."""
    return tuple(dict.fromkeys(name.removeprefix(CUSTOM) for name in asked))
