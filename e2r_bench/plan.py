"""From an experiment to a plan: every name looked up, every file found, before anything runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_baselines.catalog import METHODS, method_named, plugins
from e2r_baselines.method import Build, MethodSpec
from e2r_baselines.tasks import TASKS, Task, with_prompts
from e2r_bench.config import Experiment
from e2r_bench.data import Dataset, load_dataset
from e2r_bench.prepare import TaskSet
from e2r_bench.protocols import Protocol, protocol_named
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.weights import Found, Missing, Resolver
from e2r_metrics.catalog import Metric, resolve

if TYPE_CHECKING:
    from e2r_metrics import Session

CONTROLS = ("degraded", "clean")


@dataclass(frozen=True)
class PlannedMethod:
    """A method with the build it will run with and that build's files on this machine."""

    spec: MethodSpec
    build: Build
    files: Mapping[str, Path]


@dataclass(frozen=True)
class Plan:
    """All that a run will do; nothing in it is looked up by name again."""

    experiment: Experiment
    protocol: Protocol
    methods: tuple[PlannedMethod, ...]
    tasks: tuple[TaskSet, ...]
    metrics: Mapping[str, tuple[Metric, ...]]
    """By task name; the protocol may prescribe another variant for another kind of task."""
    missing: Mapping[str, Missing]
    """Why a metric, by id, is not measured."""


def make_plan(experiment: Experiment, resolver: Resolver, session: "Session") -> Plan:
    """Look everything up.

    Raises:
        UsageError: an unknown task, metric, protocol, or a data set that cannot be read.
        UsageError: an unknown method, or one whose weights are not to be had.
    """
    protocol = protocol_named(experiment.protocol)
    tasks = tuple(_task_sets(experiment, protocol))
    methods = tuple(_planned(spec, resolver) for spec in _specs(experiment))
    metrics = {pictures.task.name: _metrics(experiment, pictures) for pictures in tasks}
    distinct = {metric.id: metric for row in metrics.values() for metric in row}
    missing = {key: gone for key, metric in distinct.items() if (gone := session.missing(metric))}
    return Plan(experiment, protocol, methods, tasks, metrics, missing)


def _task_sets(experiment: Experiment, protocol: Protocol) -> Iterable[TaskSet]:
    loaded: dict[str, Dataset] = {}
    for name in dict.fromkeys(experiment.tasks):
        if name not in TASKS:
            raise unknown("task", name, TASKS)
        where = _data_for(name, experiment.data)
        dataset = loaded.setdefault(where, load_dataset(where))
        task = _prompted(TASKS[name], experiment)
        cut = dataset.sources[: experiment.limit]
        yield TaskSet(task, dataset, cut, protocol, experiment.noise_seed)


def _prompted(task: Task, experiment: Experiment) -> Task:
    if experiment.prompt is not None:
        return replace(task, prompt=experiment.prompt)
    # g1, the paper, has no prompt for the tasks that only the later repository has.
    later = task.kind in ("dejpeg", "lowlight")
    return with_prompts(task, "g2" if later else experiment.prompts)


def _data_for(task: str, data: Iterable[str]) -> str:
    """Return the set that serves `task`: TASK=folder wins over a bare one."""
    bare: list[str] = []
    for entry in data:
        name, equals, where = entry.partition("=")
        if equals and name == task:
            return where
        if not (equals and name in TASKS):
            bare.append(entry)
    if len(bare) != 1:
        raise UsageError(
            f"--data: expected one set for task {task!r}, found {len(bare)}; give --data FOLDER, "
            f"or --data {task}=FOLDER"
        )
    return bare[0]


def known_methods(experiment: Experiment) -> Mapping[str, MethodSpec]:
    """Return every method with a plain name: ours, Kontext's, and those of plugins."""
    from e2r_adapters.catalog import KontextOptions, kontext_methods

    options = KontextOptions(
        backbone=experiment.backbone,
        adapter=experiment.adapter,
        guidance=experiment.guidance,
        resize=experiment.resize,
        offload=experiment.offload,
        quantize=experiment.quantize,
    )
    return {**plugins(), **METHODS, **kontext_methods(options)}


def _specs(experiment: Experiment) -> Iterable[MethodSpec]:
    known = known_methods(experiment)
    for name in dict.fromkeys((*CONTROLS, *experiment.methods)):
        # "folder:PATH" and its like carry their argument in their name.
        if name not in known and ":" not in name:
            raise unknown("method", name, known)
        yield known[name] if name in known else method_named(name)


def runnable_build(spec: MethodSpec, resolver: Resolver) -> str:
    """Say which build a method would run with here, without downloading; or what is missing."""
    for build in spec.builds:
        if all(isinstance(resolver.look(name), Found) for name in build.files):
            return build.name + (" (miniature)" if build.miniature else "")
    return f"needs {', '.join(spec.builds[-1].files)}"


def _planned(spec: MethodSpec, resolver: Resolver) -> PlannedMethod:
    """Choose the first build whose files are all here, or may be fetched unasked."""
    reasons: list[str] = []
    for build in spec.builds:
        answers = {name: resolver.find(name) for name in build.files}
        files = {name: got.path for name, got in answers.items() if isinstance(got, Found)}
        if len(files) == len(answers):
            return PlannedMethod(spec, build, files)
        gone = [got for got in answers.values() if isinstance(got, Missing)]
        reasons += [f"{build.name}: {answer.reason}; get it: {answer.command}" for answer in gone]
    raise UsageError(f"method {spec.name!r} cannot run: {' | '.join(reasons)}")


def _metrics(experiment: Experiment, pictures: TaskSet) -> tuple[Metric, ...]:
    variants = {**pictures.protocol.variants(pictures.task.kind), **experiment.variant}
    return resolve(experiment.metrics, experiment.profile, variants)
