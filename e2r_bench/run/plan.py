"""From an experiment to a plan: every name looked up, every file found, before anything runs."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_baselines.catalog import METHODS, method_named, plugins
from e2r_baselines.method import Build, Method, MethodSpec, options_of
from e2r_baselines.tasks import Task
from e2r_bench.run.config import Experiment
from e2r_bench.run.prepare import TaskSet
from e2r_bench.run.protocols import Protocol, check_variants, protocol_of
from e2r_bench.run.serving import unserved_tasks
from e2r_bench.run.shards import cut, parse_shard
from e2r_bench.run.task_sets import task_sets
from e2r_bench.store.info import NO_TRUTH, marked
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.weights import Found, Missing, Resolver
from e2r_metrics.catalog import Metric, resolve
from e2r_metrics.command_line import COMMAND

if TYPE_CHECKING:
    from e2r_metrics import Session

Catalog = Mapping[str, Method]
CONTROLS = ("degraded", "clean")
_BLIND_CONTROLS = ("degraded",)
"""Where there is no truth."""
_INSTANCE = re.compile(r"([a-z][a-z0-9_-]*)=(.+)", re.DOTALL)


@dataclass(frozen=True)
class PlannedMethod:
    """An instance of a method with the build it will run with and its files on this machine.

    Attributes:
        name: of the instance, in every cell and row.
        method: the name in the catalog.
        spec: the method with its options decided.
        build: the weights it runs with.
        files: weight file -> local path.
        options: those that were set.
        unserved: tasks asked for that are not planned -> why; see `MethodSpec.unserved`.
    """

    name: str
    method: str
    spec: MethodSpec
    build: Build
    files: Mapping[str, Path]
    options: Mapping[str, Any]
    unserved: Mapping[str, str]


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

    @property
    def truth(self) -> bool:
        """Return whether the pictures have a ground truth."""
        return not self.experiment.no_truth


def make_plan(
    experiment: Experiment, resolver: Resolver, session: "Session", catalog: Catalog | None = None
) -> Plan:
    """Look everything up.

    Args:
        experiment: what is asked.
        resolver: finds weight files.
        session: knows which metrics can be measured.
        catalog: the methods there are; None for ours and those of plugins.

    Raises:
        UsageError: an unknown task, metric, protocol, method or option, a data set that cannot be
            read, or a method whose weights are not to be had.
    """
    protocol = protocol_of(experiment)
    asked = tasks = tuple(task_sets(experiment, protocol))
    if experiment.shard is not None:
        tasks = cut(asked, parse_shard(experiment.shard))
    known = known_methods() if catalog is None else catalog
    methods = tuple(
        # By all tasks that are asked for: the shards of a run say the same of its methods.
        _planned(instance, resolver, not experiment.no_truth, [one.task for one in asked])
        for instance in instances_of(experiment, known)
    )
    metrics = {pictures.task.name: _metrics(experiment, pictures) for pictures in tasks}
    distinct = {metric.id: metric for row in metrics.values() for metric in row}
    found = {key: _why_missing(metric, experiment, session) for key, metric in distinct.items()}
    missing = {key: gone for key, gone in found.items() if gone is not None}
    return Plan(experiment, protocol, methods, tasks, metrics, missing)


def _why_missing(metric: Metric, experiment: Experiment, session: "Session") -> Missing | None:
    """Return why a metric is not measured; where nothing could use them, no weights are sought."""
    against_input = metric.scope == "image" and metric.against == "degraded"
    if experiment.no_truth and metric.scope != "single" and not against_input:
        return Missing(metric.id, NO_TRUTH, "", 0)
    return session.missing(metric)


# Methods


def known_methods() -> Catalog:
    """Return every method with a plain name: ours, the editors, and those of plugins."""
    from e2r_adapters.catalog import METHODS as EDITORS

    return {**plugins(), **METHODS, **EDITORS}


@dataclass(frozen=True)
class Instance:
    """A method of the catalog under a name of its own, with the options that are set for it."""

    name: str
    method: Method
    options: Mapping[str, Any]

    def spec(self) -> MethodSpec:
        """Return what it becomes on this machine; no weight file is looked for."""
        return self.method.make(options_of(self.method, self.options))


def instances_of(experiment: Experiment, known: Catalog) -> Iterator[Instance]:
    """Yield the controls and the methods asked for, each with the options that are set for it."""
    found: dict[str, Method] = {}
    controls = _BLIND_CONTROLS if experiment.no_truth else CONTROLS
    for entry in (*controls, *experiment.methods):
        name, method = instance_of(entry, known)
        if name in found and (found[name] is not method or name not in controls):
            raise UsageError(
                f"--methods: expected one method called {name!r}, found two; name each instance, "
                f"such as a={method.name},b={method.name}"
            )
        found[name] = method
    given = _options(experiment.method, found)
    reading = experiment.how_read()
    for name, method in found.items():
        # What is said of the pictures' files holds for results that are files too.
        has = {field.name for field in fields(method.options)}
        read = {key: value for key, value in reading.items() if key in has}
        yield Instance(name, method, read | given[name])


def instance_of(entry: str, known: Catalog) -> tuple[str, Method]:
    """Return the name of an instance and its method, from NAME or INSTANCE=NAME.

    Raises:
        UsageError: nobody knows the method.
    """
    matched = _INSTANCE.fullmatch(entry)
    name, wanted = (matched[1], matched[2]) if matched else (entry, entry)
    if wanted in known:
        return name, known[wanted]
    # "folder:PATH" and its like carry their argument in their name.
    if ":" not in wanted:
        raise unknown("method", wanted, known)
    return name, method_named(wanted)


def refuse_programs(methods: Iterable[str], metrics: Iterable[str], origin: str) -> None:
    """Raise `UsageError` where what a file names would start somebody's program.

    Args:
        methods: NAME or INSTANCE=NAME.
        metrics: as in `Experiment.metrics`.
        origin: the file, for the error.
    """
    # Only names with an argument start a program; no plugin is imported to know that.
    named = (instance_of(entry, {})[1] for entry in methods if ":" in entry)
    lines = [shlex.join(method.runs) for method in named if method.runs]
    lines += [name for name in metrics if name.partition(":")[0].strip() == COMMAND]
    for line in lines:
        raise UsageError(
            f"{origin}: would start the program {line!r}; expected --allow-commands where a "
            "file names one; read it, then give that"
        )


def _options(given: Mapping[str, Any], methods: Mapping[str, Method]) -> dict[str, dict[str, Any]]:
    """Return each instance's options: its own, over those that are set for all that have them."""
    shared = {key: value for key, value in given.items() if not isinstance(value, Mapping)}
    own = {key: value for key, value in given.items() if isinstance(value, Mapping)}
    for name in own:
        if name not in methods:
            raise unknown("instance of a method", name, methods)
    has = {n: {field.name for field in fields(m.options)} for n, m in methods.items()}
    for key in shared:
        if not any(key in known for known in has.values()):
            raise unknown("option", key, {k for known in has.values() for k in known})
    return {
        name: {k: v for k, v in shared.items() if k in has[name]} | dict(own.get(name, {}))
        for name in methods
    }


def runnable_build(spec: MethodSpec, resolver: Resolver) -> str:
    """Say which build a method would run with here, without downloading; or what is missing."""
    for build in spec.builds:
        if all(isinstance(resolver.look(name), Found) for name in build.files):
            return marked(build.title) if build.miniature else build.title
    return f"needs {', '.join(spec.builds[-1].files)}"


def _planned(
    instance: Instance, resolver: Resolver, truth: bool, tasks: Iterable[Task]
) -> PlannedMethod:
    """Choose the first build whose files are all here, or may be fetched unasked."""
    spec = instance.spec()
    if spec.feed == "clean" and not truth:
        raise UsageError(
            f"method {instance.name!r} is given the ground truth: expected another one under "
            "--no-truth"
        )
    reasons: list[str] = []
    for build in spec.builds:
        answers = {name: resolver.find(name) for name in build.files}
        files = {name: got.path for name, got in answers.items() if isinstance(got, Found)}
        if len(files) == len(answers):
            unserved = unserved_tasks(spec, tasks)
            return PlannedMethod(
                instance.name, instance.method.name, spec, build, files, instance.options, unserved
            )
        gone = [got for got in answers.values() if isinstance(got, Missing)]
        reasons += [f"{build.title}: {answer.reason}; get it: {answer.command}" for answer in gone]
    raise UsageError(f"method {instance.name!r} cannot run: {' | '.join(reasons)}")


def _metrics(experiment: Experiment, pictures: TaskSet) -> tuple[Metric, ...]:
    variants = {**pictures.protocol.variants(pictures.task.kind), **experiment.variant}
    rows = resolve(experiment.metrics, experiment.profile, variants, experiment.channel)
    check_variants(rows)
    return rows
