"""What a run says of itself, and whether a second call may add to it."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2r_baselines.tasks import TASKS, Task
from e2r_bench.maps.shares import SHARES
from e2r_bench.run.binding import (
    Inputs,
    changes,
    forget,
    inputs_of,
    read_inputs,
    write_inputs,
)
from e2r_bench.run.config import ADDITIVE, NEUTRAL, Experiment
from e2r_bench.run.joining import joined
from e2r_bench.run.plan import Plan, PlannedMethod
from e2r_bench.run.prepare import TaskSet
from e2r_bench.store.info import NO_TRUTH, MethodInfo, MetricInfo, RunInfo, TaskInfo
from e2r_bench.store.store import RUN_JSON, Store, create_store, open_store
from e2r_bench.versions import git_revision, package_versions
from e2r_metrics.base.digests import sha256_of, sha256_of_all
from e2r_metrics.base.errors import UsageError
from e2r_metrics.catalog import Metric

Hashes = Callable[[str], str]
"""From the name of a weight file to the SHA-256 of what was found for it."""


def open_folder(
    plan: Plan, hashes: Hashes, device: str, passed: Mapping[str, Any], redo: bool
) -> Store:
    """Write run.json and inputs.json; where they are, check that this call only adds to them.

    Args:
        plan: what will be done.
        hashes: of weight files.
        device: the torch device.
        passed: the settings that were given.
        redo: make anew what stands on inputs that changed, instead of refusing.

    Raises:
        UsageError: the folder holds another run, or inputs changed and `redo` is off.
    """
    folder = plan.experiment.out
    info, now = _describe(plan, hashes, device, passed), inputs_of(plan)
    before: Inputs | None = None
    if (folder / RUN_JSON).exists():
        before = read_inputs(folder)
        info = _added(open_store(folder), before, info, now, redo)
    # The inputs are written first: a run.json without them could not be trusted.
    write_inputs(folder, before, now)
    return create_store(folder, info)


def _added(store: Store, before: Inputs, info: RunInfo, now: Inputs, redo: bool) -> RunInfo:
    _refuse_other_settings(store, info)
    _refuse_other_scenes(store, info)
    gone = changes(store.info, before, info, now)
    if gone and not redo:
        raise UsageError(
            f"{store.folder} was made from other inputs: {'; '.join(gone.lines())}; give --redo to "
            "make just these anew, or choose another --out"
        )
    if gone:
        forget(store, gone)
    return joined(store.info, info)


def _describe(plan: Plan, hashes: Hashes, device: str, passed: Mapping[str, Any]) -> RunInfo:
    experiment = plan.experiment
    distinct = {metric.id: metric for row in plan.metrics.values() for metric in row}
    return RunInfo(
        passed=json.loads(json.dumps(passed, default=str)),
        settings=experiment.model_dump(mode="json"),
        protocol=plan.protocol.describe(),
        methods=describe_methods(plan, hashes),
        tasks={t.task.name: _task_info(t, plan.metrics[t.task.name]) for t in plan.tasks},
        metrics={k: _metric_info(m, plan, hashes) for k, m in distinct.items()} | _shares(plan),
        seeds=experiment.seeds,
        steps=experiment.steps,
        device=device,
        versions=package_versions(),
        git=git_revision(),
    )


def describe_methods(plan: Plan, hashes: Hashes) -> dict[str, MethodInfo]:
    """Return what each instance of a method really runs with on this machine, by its name."""
    tasks = {**TASKS, **{pictures.task.name: pictures.task for pictures in plan.tasks}}
    return {method.name: _method_info(method, hashes, tasks) for method in plan.methods}


def _method_info(method: PlannedMethod, hashes: Hashes, tasks: Mapping[str, Task]) -> MethodInfo:
    spec = method.spec
    return MethodInfo(
        method=method.method,
        options=json.loads(json.dumps(_said_options(method), default=str)),
        build=method.build.title,
        miniature=method.build.miniature,
        title=spec.title,
        control=spec.control,
        licence=spec.licence,
        weights={name: hashes(name) for name in method.build.files} | dict(_own_files(method)),
        version=spec.version,
        stochastic=spec.stochastic,
        stepped=spec.stepped,
        extra_evaluations=spec.extra_evaluations,
        note=spec.note,
        outside=tuple(name for name, task in tasks.items() if not _is_for(method, task)),
        unserved=method.unserved,
    )


def _said_options(method: PlannedMethod) -> dict[str, Any]:
    """Return a method's options; a path of its files by its last name: hashes say which they are.

    So a folder of arms and their adapters can be moved, and is still what it was made from.
    """
    files = [path.resolve() for path in method.build.own_files.values()]

    def said(value: Any) -> Any:
        if not (value and isinstance(value, str | Path)):
            return value
        place = Path(value).expanduser().resolve()
        return place.name if any(place in (file, *file.parents) for file in files) else value

    return {name: said(value) for name, value in method.options.items()}


def _is_for(method: PlannedMethod, task: Task) -> bool:
    """Say whether a method is made for a task: the task's own list goes before its kind."""
    if method.spec.control:
        return True
    return method.method in task.methods if task.methods else task.kind in method.spec.tasks


def _own_files(method: PlannedMethod) -> Iterator[tuple[str, str]]:
    """Yield label and hash of the user's files: a path may hold another content later."""
    for label, path in method.build.own_files.items():
        try:
            if path.is_dir():
                yield label, sha256_of_all(sorted(p for p in path.rglob("*") if p.is_file()))
            else:
                yield label, sha256_of(path)
        except OSError as error:
            raise UsageError(
                f"{method.name}: {label}: expected a file that can be read at {path}, found "
                f"{error.strerror}"
            ) from error


def _task_info(pictures: TaskSet, metrics: Sequence[Metric]) -> TaskInfo:
    return TaskInfo(
        data=pictures.dataset.name,
        degradation=pictures.degradation(),
        prompt=pictures.task.prompt,
        shave=pictures.border,
        truth=pictures.truth,
        images=tuple(source.id for source in pictures.sources),
        scenes=tuple(source.scene for source in pictures.sources),
        variants={one.name: one.variant for one in (*metrics, *SHARES.values())},
    )


def _shares(plan: Plan) -> dict[str, MetricInfo]:
    """Return the shares of every run; without a truth, with the reason why they have no number."""
    if plan.truth:
        return dict(SHARES)
    return {key: one.model_copy(update={"missing": NO_TRUTH}) for key, one in SHARES.items()}


def _metric_info(metric: Metric, plan: Plan, hashes: Hashes) -> MetricInfo:
    gone = plan.missing.get(metric.id)
    return MetricInfo(
        name=metric.name,
        variant=metric.variant,
        higher_is_better=metric.higher_is_better,
        per_image=metric.per_image,
        unit=metric.unit,
        protocol=metric.protocol,
        weights={} if gone else {name: hashes(name) for name in metric.weights},
        missing=gone.reason if gone else None,
        fetch=(gone.command or None) if gone else None,
        margin=metric.margin,
    )


def _refuse_other_settings(store: Store, info: RunInfo) -> None:
    # A setting that an earlier version did not know had its default.
    defaults = Experiment(methods=("degraded",)).model_dump(mode="json")
    old, new = {**defaults, **store.info.settings}, info.settings
    differ = [
        f"{key}: {old.get(key)!r} -> {new[key]!r}"
        for key in new
        if key not in ADDITIVE | NEUTRAL and old.get(key) != new[key]
    ]
    if differ:
        raise UsageError(
            f"{store.folder} holds another run ({'; '.join(differ)}); choose another --out"
        )


def _refuse_other_scenes(store: Store, info: RunInfo) -> None:
    """Refuse images that were of another scene: rows hold it, and intervals stand on it."""
    for name, task in info.tasks.items():
        if name in store.info.tasks:
            old, new = store.scenes(name), dict(zip(task.images, task.scenes, strict=True))
            moved = sorted(image for image in old.keys() & new.keys() if old[image] != new[image])
            if moved:
                first = moved[0]
                raise UsageError(
                    f"{store.folder} has {len(moved)} images of {name} under other scenes, such as "
                    f"{first}: {old[first]!r} -> {new[first]!r}; choose another --out"
                )
