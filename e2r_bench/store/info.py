"""The records of a run: run.json, and the rows of per_image.jsonl."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

NO_TRUTH = "the pictures have no ground truth"
"""Why whatever compares with it is not measured; said on every screen."""
Status = Literal["ok", "failed", "not measured"]


_EDITION = " (edition "


def marked(build: str) -> str:
    """Return a miniature's build with its mark, such as "kontext-nano (miniature, edition 3)"."""
    name, of, number = build.rpartition(_EDITION)
    return f"{name} (miniature, edition {number}" if of else f"{build} (miniature)"


def unmarked(build: str) -> str:
    """Return a build's name without the mark of a miniature, such as "kontext-nano (edition 3)"."""
    return build.replace(" (miniature, edition ", _EDITION).removesuffix(" (miniature)")


def is_edition(build: str) -> bool:
    """Return whether a build's name has the edition of its weights."""
    return _EDITION in build


class _Frozen(BaseModel):
    # An identical pair has infinite PSNR, and JSON has no infinity: it is written as a string.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class MethodInfo(_Frozen):
    """What an instance of a method really ran with."""

    method: str
    """Its name in the catalog."""
    options: Mapping[str, Any]
    """The options that were set for it; the others have the catalog's defaults."""
    build: str
    """Its name, with the edition of its weights where there has been more than one."""
    miniature: bool
    title: str
    control: bool
    """Whether it shows what the pipeline costs rather than what a method can do."""
    licence: str
    weights: Mapping[str, str]
    """Weight file or user's file -> sha256 (of the listing, for folders)."""
    version: str
    """Of a plugin's distribution, empty for our own methods."""
    stochastic: bool
    stepped: bool
    extra_evaluations: int = 0
    """Of the model, for each picture, beyond the steps of its draw."""
    note: str = ""
    """What a reader of its numbers has to know, empty for nothing."""
    outside: tuple[str, ...] = ()
    """Tasks that it is not made for; it runs on them when asked, and is marked."""
    unserved: Mapping[str, str] = {}
    """Task -> why it has nothing to run it with: no picture of it was planned."""

    def evaluations(self, steps: int) -> int:
        """Return how often the model is evaluated for a picture at so many steps (NFE)."""
        return steps + self.extra_evaluations

    def cost_note(self, steps: int) -> str:
        """Return what a number at so many steps cost, where the steps alone do not say it."""
        if not self.extra_evaluations:
            return ""
        return f"NFE {self.evaluations(steps)} = {steps} + {self.extra_evaluations} of its filter"


class MetricInfo(_Frozen):
    """What a metric was measured with, or why it was not."""

    name: str
    variant: str
    higher_is_better: bool
    per_image: bool
    unit: str
    protocol: str
    weights: Mapping[str, str]
    missing: str | None = None
    fetch: str | None = None
    margin: float | None = None
    """What counts as no difference, where the metric itself states it."""


class TaskInfo(_Frozen):
    """One task's pictures: where they come from and how they were degraded."""

    data: str
    degradation: str
    prompt: str
    images: tuple[str, ...]
    scenes: tuple[str, ...]
    variants: Mapping[str, str]
    """Metric name to the variant that the protocol or the user chose for this task."""
    truth: bool = True
    """Whether the pictures have a ground truth; without one little can be measured."""
    shave: int = 0
    """Pixels of each border that no metric of single pictures looks at."""
    unreadable: Mapping[str, str] = {}
    """Image -> why its source could not be used; every method fails on it."""

    @model_validator(mode="after")
    def _scene_of_each(self) -> Self:
        if len(self.images) != len(self.scenes):
            raise ValueError(f"{len(self.images)} images with {len(self.scenes)} scenes")
        return self


class Shared(_Frozen):
    """A picture that stands in two sets of a run."""

    sets: tuple[str, str]
    images: tuple[str, str]
    """Its name in each."""
    identical: bool
    """The same pixels; else the same framing, recoded or resized."""


class RunInfo(_Frozen):
    """The content of run.json."""

    format: int = 2
    passed: Mapping[str, Any]
    """The settings that were given."""
    settings: Mapping[str, Any]
    """All settings, the defaulted ones too."""
    protocol: str
    methods: Mapping[str, MethodInfo]
    """By instance name."""
    tasks: Mapping[str, TaskInfo]
    metrics: Mapping[str, MetricInfo]
    """By metric id, such as "psnr:rgb"."""
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    device: str
    versions: Mapping[str, str]
    git: str | None
    shared: tuple[Shared, ...] = ()
    """Pictures that two sets have in common; a shard does not look."""


class Row(_Frozen):
    """One line of per_image.jsonl: one cell and one metric."""

    method: str
    build: str
    task: str
    image: str
    scene: str
    seed: int
    steps: int
    metric: str
    variant: str
    value: float | None
    status: Status
    protocol: str
    note: str = ""

    @property
    def metric_id(self) -> str:
        """Return name and variant, such as "psnr:rgb"."""
        return f"{self.metric}:{self.variant}"

    def key(self) -> tuple[str, str, str, int, int, str, str]:
        """Return what makes the row unique in its run."""
        return (
            self.method, self.task, self.image, self.seed, self.steps, self.metric, self.variant
        )  # fmt: skip
