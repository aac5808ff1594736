"""A study of perception against fidelity, as data: its runs and the pairs that it judges.

The file is written, and committed, before anything is run: what is compared cannot depend on what
came out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from e2r_bench.run.config import Experiment, make_experiment, read_toml
from e2r_bench.run.plan import CONTROLS
from e2r_bench.run.tasks import task_names
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.catalog import resolve


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pair(_Frozen):
    """Two methods that are compared on some tasks: the first minus the second."""

    first: str
    second: str
    tasks: tuple[str, ...] = Field(min_length=1)


class TradeoffFile(_Frozen):
    """The content of a study's file.

    Attributes:
        title: heading of what it leaves behind.
        out: the folder of its run folders.
        perception, fidelity: bare names of metrics that a picture has one value of each.
        invention: a score of `e2r_bench.maps.bands`.
        settings: of all runs, as in an experiment's file.
        run: settings of each run, over those of all; `name` is its folder.
        pair: what is judged.
    """

    title: str
    out: Path
    perception: str = "lpips"
    fidelity: str = "psnr"
    invention: Literal["invented_share", "lost_share", "unfaithful_share"] = "invented_share"
    settings: Mapping[str, Any] = Field(default_factory=dict)
    run: tuple[Mapping[str, Any], ...] = Field(min_length=1)
    pair: tuple[Pair, ...] = Field(min_length=1)


class Tradeoff(_Frozen):
    """A study that has been read and checked.

    Attributes:
        content: of its file.
        sha256: of its file; every result carries it.
        experiments: run name -> experiment, in the order of the file.
        left: what is registered and left out, in words.
    """

    content: TradeoffFile
    sha256: str
    experiments: Mapping[str, Experiment]
    left: tuple[str, ...] = ()

    def run_of(self, pair: Pair, task: str) -> str | None:
        """Return the run that a pair is judged in, None where it was left out."""
        held = (name for name, one in self.experiments.items() if _holds(one, pair, task))
        return next(held, None)


def read_tradeoff(path: Path, allow_commands: bool = False) -> Tradeoff:
    """Read and check a study.

    Args:
        path: of its file.
        allow_commands: whether a judge of a method may be a program.

    Raises:
        UsageError: not TOML, an unknown key, a run without a name, or a pair that no run holds.
    """
    said = read_toml(path)
    for key in said:
        if key not in TradeoffFile.model_fields:
            raise unknown(f"key in {path}", key, TradeoffFile.model_fields)
    try:
        content = TradeoffFile.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{path}: {where}: {first['msg']}, found {first['input']!r}") from error
    experiments = dict(_experiments(content, path, allow_commands))
    _check_metrics(content, experiments, path)
    _check_pairs(content.pair, experiments, path)
    return Tradeoff(content=content, sha256=sha256_of(path), experiments=experiments)


def limited(study: Tradeoff, runs: Sequence[str], methods: Sequence[str]) -> Tradeoff:
    """Return the part of a study that is run now; what is left out travels with it.

    Args:
        study: as registered.
        runs: names of its runs; empty for all.
        methods: instances, or RUN.INSTANCE for one run alone; empty for all.

    Raises:
        UsageError: a name that the study does not have, or a run that keeps no method.
    """
    names = {run: {_named(e) for e in one.methods} for run, one in study.experiments.items()}
    known = {name for found in names.values() for name in found}
    known |= {f"{run}.{name}" for run, found in names.items() for name in found}
    for what, asked, all_names in (("run", runs, study.experiments), ("method", methods, known)):
        for name in asked:
            if name not in all_names:
                raise unknown(f"{what} of the study", name, all_names)
    found: dict[str, Experiment] = {}
    left = [f"run {name}" for name in study.experiments if runs and name not in runs]
    for run, experiment in study.experiments.items():
        if runs and run not in runs:
            continue
        kept = tuple(
            entry
            for entry in experiment.methods
            if not methods or {_named(entry), f"{run}.{_named(entry)}"} & set(methods)
        )
        if not kept:
            raise UsageError(f"--methods: expected a method of run {run}, found none; see --runs")
        # The controls join every run, whatever is asked.
        gone = [e for e in experiment.methods if e not in kept and e not in CONTROLS]
        left += [f"{_named(entry)} in {run}" for entry in gone]
        found[run] = experiment.model_copy(update={"methods": kept})
    return study.model_copy(update={"experiments": found, "left": tuple(left)})


def _named(entry: str) -> str:
    """Return the instance's name, from NAME or INSTANCE=NAME."""
    return entry.partition("=")[0]


def _experiments(
    content: TradeoffFile, path: Path, allow_commands: bool
) -> Sequence[tuple[str, Experiment]]:
    found: dict[str, Experiment] = {}
    for number, said in enumerate(content.run, 1):
        name = str(said.get("name", ""))
        if not name or name in found or Path(name).name != name:
            raise UsageError(
                f"{path}: run {number}: expected a name of its own, fit for a folder, found "
                f"{name!r}"
            )
        own = {key: value for key, value in said.items() if key != "name"}
        settings = {**content.settings, **own, "out": content.out / name}
        found[name] = make_experiment(settings, f"{path}: run {name}", allow_commands)
    return list(found.items())


def _check_metrics(
    content: TradeoffFile, experiments: Mapping[str, Experiment], path: Path
) -> None:
    for run, experiment in experiments.items():
        metrics = resolve(experiment.metrics, experiment.profile, experiment.variant)
        measured = {metric.name for metric in metrics}
        for name in (content.perception, content.fidelity):
            if name not in measured:
                raise UsageError(
                    f"{path}: expected {name} among the metrics of run {run}, found "
                    f"{', '.join(metric.name for metric in metrics)}"
                )


def _check_pairs(pairs: Sequence[Pair], experiments: Mapping[str, Experiment], path: Path) -> None:
    for pair in pairs:
        for task in pair.tasks:
            if not any(_holds(one, pair, task) for one in experiments.values()):
                raise UsageError(
                    f"{path}: expected a run of {pair.first} and {pair.second} on {task}, found "
                    "none; add both to a run of that task"
                )


def _holds(experiment: Experiment, pair: Pair, task: str) -> bool:
    names = {_named(entry) for entry in (*CONTROLS, *experiment.methods)}
    return task in task_names(experiment.tasks) and {pair.first, pair.second} <= names
