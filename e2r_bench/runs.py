"""The run folder: what a run leaves behind, and how every later command reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from e2r_baselines.method import Draw
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_text

if TYPE_CHECKING:
    import pandas as pd

RUN_JSON = "run.json"
ROWS = "per_image.jsonl"
Status = Literal["ok", "failed", "not measured"]


class _Frozen(BaseModel):
    # An identical pair has infinite PSNR, and JSON has no infinity: it is written as a string.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class MethodInfo(_Frozen):
    """What a method really ran with."""

    build: str
    miniature: bool
    title: str
    control: bool
    """Whether it shows what the pipeline costs rather than what a method can do."""
    licence: str
    weights: Mapping[str, str]
    """Weight file name to sha256 (of the listing, for folders)."""
    stochastic: bool
    stepped: bool
    outside: tuple[str, ...] = ()
    """Tasks that it is not made for; it runs on them when asked, and is marked."""


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


class TaskInfo(_Frozen):
    """One task's pictures: where they come from and how they were degraded."""

    data: str
    degradation: str
    prompt: str
    images: tuple[str, ...]
    scenes: tuple[str, ...]
    variants: Mapping[str, str]
    """Metric name to the variant that the protocol or the user chose for this task."""


class RunInfo(_Frozen):
    """The content of run.json."""

    format: int = 1
    passed: Mapping[str, Any]
    """The settings that were given."""
    settings: Mapping[str, Any]
    """All settings, the defaulted ones too."""
    protocol: str
    methods: Mapping[str, MethodInfo]
    tasks: Mapping[str, TaskInfo]
    metrics: Mapping[str, MetricInfo]
    """By metric id, such as "psnr:rgb"."""
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    device: str
    versions: Mapping[str, str]
    git: str | None


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

    def key(self) -> tuple[str, str, str, int, int, str, str]:
        """Return what makes the row unique in its run."""
        return (
            self.method, self.task, self.image, self.seed, self.steps, self.metric, self.variant
        )  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A run folder on disk."""

    folder: Path
    info: RunInfo

    def rows(self) -> "pd.DataFrame":
        """Return per_image.jsonl as a frame; columns are the attributes of `Row`."""
        import pandas as pd

        rows = [row.model_dump() for row in read_rows(self.folder / ROWS)]
        return pd.DataFrame(rows, columns=list(Row.model_fields))

    def summary(self) -> "pd.DataFrame":
        """Return summary.csv as a frame; UsageError if the run has not got that far."""
        import pandas as pd

        path = self.folder / "summary.csv"
        if not path.is_file():
            raise UsageError(
                f"{self.folder}: expected summary.csv, found none; finish the run first"
            )
        return pd.read_csv(path, keep_default_na=False, na_values=[""])

    def clean_path(self, task: str, image: str) -> Path:
        """Return the clean picture's path, PNG, 8 bits."""
        return self.folder / "pairs" / task / "clean" / f"{image}.png"

    def degraded_path(self, task: str, image: str) -> Path:
        """Return the degraded picture's path, PNG, 8 bits (clipped, where the noise was not)."""
        return self.folder / "pairs" / task / "degraded" / f"{image}.png"

    def restored_path(self, method: str, task: str, draw: Draw, image: str) -> Path:
        """Return the restored picture's path, PNG, 8 bits."""
        drawn = f"seed{draw.seed}_steps{draw.steps}"
        return self.folder / "images" / path_name(method) / task / drawn / f"{image}.png"

    def images(self, task: str) -> tuple[str, ...]:
        """Return the image names of a task, in run order."""
        return self.info.tasks[task].images

    def draws(self, method: str) -> tuple[Draw, ...]:
        """Return the draws that a method has in this run."""
        info = self.info.methods[method]
        seeds = self.info.seeds if info.stochastic else (0,)
        steps = self.info.steps if info.stepped else (0,)
        return tuple(Draw(seed, count) for seed in seeds for count in steps)


def path_name(method: str) -> str:
    """Return a method's name as one folder name: `folder:a/b` has signs a file system refuses."""
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in method)


def read_rows(path: Path) -> list[Row]:
    """Read the rows; a last line that was cut off by a crash is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        return [Row.model_validate_json(line) for line in lines[:-1]]
    except ValidationError as error:
        raise UsageError(
            f"{path}: expected rows of e2r-bench, found another file: {error}"
        ) from error


def open_run(folder: Path) -> Run:
    """Open a run folder.

    Raises:
        UsageError: there is no run.json, or another program wrote it.
    """
    path = folder / RUN_JSON
    try:
        info = RunInfo.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{folder}: expected a run folder with {RUN_JSON}, found none; make one with "
            "`e2r-bench run`"
        ) from error
    except ValidationError as error:
        raise UsageError(f"{path}: expected a run of e2r-bench, found: {error}") from error
    return Run(folder, info)


def write_info(folder: Path, info: RunInfo) -> None:
    """Write run.json, whole or not at all."""
    content = json.dumps(info.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_text(folder / RUN_JSON, content + "\n")
