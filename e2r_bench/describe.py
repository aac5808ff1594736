"""What a run says of itself, and whether a second invocation may add to it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from e2r_baselines.tasks import TASKS
from e2r_bench.config import ADDITIVE, NEUTRAL
from e2r_bench.plan import Plan, PlannedMethod
from e2r_bench.prepare import TaskSet
from e2r_bench.runs import (
    RUN_JSON,
    MethodInfo,
    MetricInfo,
    Run,
    RunInfo,
    TaskInfo,
    open_run,
    write_info,
)
from e2r_bench.versions import git_revision, package_versions
from e2r_metrics.base.errors import UsageError
from e2r_metrics.catalog import Metric


def open_folder(
    plan: Plan, hashes: Callable[[str], str], device: str, passed: Mapping[str, Any]
) -> Run:
    """Write run.json; where there is one, check that this run only adds to it."""
    info = _describe(plan, hashes, device, passed)
    folder = plan.experiment.out
    if (folder / RUN_JSON).exists():
        info = _joined(open_run(folder), info)
    write_info(folder, info)
    return Run(folder, info)


def _describe(
    plan: Plan, hashes: Callable[[str], str], device: str, passed: Mapping[str, Any]
) -> RunInfo:
    experiment = plan.experiment
    distinct = {metric.id: metric for row in plan.metrics.values() for metric in row}
    return RunInfo(
        passed=json.loads(json.dumps(passed, default=str)),
        settings={**experiment.model_dump(mode="json"), **_adapter_hash(experiment.adapter)},
        protocol=plan.protocol.describe(),
        methods={m.spec.name: _method_info(m, hashes) for m in plan.methods},
        tasks={t.task.name: _task_info(t, plan.metrics[t.task.name]) for t in plan.tasks},
        metrics={key: _metric_info(m, plan, hashes) for key, m in distinct.items()},
        seeds=experiment.seeds,
        steps=experiment.steps,
        device=device,
        versions=package_versions(),
        git=git_revision(),
    )


def _adapter_hash(adapter: Path | None) -> Mapping[str, str]:
    """Name the content of a user's adapter: a file of the same name may hold another one later."""
    if adapter is None:
        return {}
    files = [adapter] if adapter.is_file() else sorted(adapter.rglob("*.safetensors"))
    content = hashlib.sha256()
    for file in files:
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return {"adapter_sha256": content.hexdigest()}


def _method_info(method: PlannedMethod, hashes: Callable[[str], str]) -> MethodInfo:
    spec = method.spec
    return MethodInfo(
        build=method.build.name,
        miniature=method.build.miniature,
        title=spec.title,
        control=spec.control,
        licence=spec.licence,
        weights={name: hashes(name) for name in method.build.files},
        stochastic=spec.stochastic,
        stepped=spec.stepped,
        outside=tuple(name for name, task in TASKS.items() if task.kind not in spec.tasks),
    )


def _task_info(pictures: TaskSet, metrics: Sequence[Metric]) -> TaskInfo:
    return TaskInfo(
        data=pictures.dataset.name,
        degradation=pictures.degradation(),
        prompt=pictures.task.prompt,
        images=tuple(source.id for source in pictures.sources),
        scenes=tuple(source.scene for source in pictures.sources),
        variants={metric.name: metric.variant for metric in metrics},
    )


def _metric_info(metric: Metric, plan: Plan, hashes: Callable[[str], str]) -> MetricInfo:
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
        fetch=gone.command if gone else None,
    )


def _joined(before: Run, now: RunInfo) -> RunInfo:
    """Join two descriptions of one folder, or refuse: what is there must mean what it meant."""
    old, new = before.info.settings, now.settings
    differ = [
        f"{key}: {old.get(key)!r} -> {new[key]!r}"
        for key in new
        if key not in ADDITIVE | NEUTRAL and old.get(key) != new[key]
    ]
    differ += [
        f"{name}: {before.info.methods[name].build} -> {info.build}"
        for name, info in now.methods.items()
        if name in before.info.methods
        and (before.info.methods[name].build, before.info.methods[name].weights)
        != (info.build, info.weights)
    ]
    if differ:
        raise UsageError(
            f"{before.folder} holds another run ({'; '.join(differ)}); choose another --out"
        )
    return now.model_copy(
        update={
            "methods": {**before.info.methods, **now.methods},
            "tasks": {**before.info.tasks, **_joined_tasks(before.info.tasks, now.tasks)},
            "metrics": {**before.info.metrics, **now.metrics},
            "seeds": tuple(dict.fromkeys((*before.info.seeds, *now.seeds))),
            "steps": tuple(dict.fromkeys((*before.info.steps, *now.steps))),
        }
    )


def _joined_tasks(
    before: Mapping[str, TaskInfo], now: Mapping[str, TaskInfo]
) -> Mapping[str, TaskInfo]:
    """Return the tasks of now, each with the metrics that it was measured with before."""
    return {
        name: task.model_copy(update={"variants": {**before[name].variants, **task.variants}})
        if name in before
        else task
        for name, task in now.items()
    }
