"""Two calls on one run folder: what run.json says once the second has added to the first."""

from collections.abc import Mapping
from typing import Any

from e2r_bench.store.info import MethodInfo, RunInfo, TaskInfo


def joined(before: RunInfo, now: RunInfo) -> RunInfo:
    """Join two descriptions of one folder; what this call names comes first, in its order."""
    return now.model_copy(
        update={
            "methods": {
                **_joined_methods(before, now),
                **_others(before.methods, now.methods),
            },
            "tasks": {
                **_joined_tasks(before.tasks, now.tasks),
                **_others(before.tasks, now.tasks),
            },
            "metrics": {**now.metrics, **_others(before.metrics, now.metrics)},
            "seeds": tuple(dict.fromkeys((*now.seeds, *before.seeds))),
            "steps": tuple(dict.fromkeys((*now.steps, *before.steps))),
        }
    )


def _others(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in before.items() if name not in now}


def _joined_methods(before: RunInfo, now: RunInfo) -> Mapping[str, MethodInfo]:
    """Return the methods of now, each with what was said of it on tasks that now does not name."""
    found = dict(now.methods)
    for name in found.keys() & before.methods.keys():
        said = before.methods[name].unserved
        kept = {task: why for task, why in said.items() if task not in now.tasks}
        unserved = {**kept, **found[name].unserved}
        found[name] = found[name].model_copy(update={"unserved": unserved})
    return found


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
