"""Which tasks of an experiment each method can serve: known from the plan, before anything runs."""

from collections.abc import Iterable, Mapping

from e2r_baselines.method import MethodSpec
from e2r_baselines.tasks import TASKS, Task
from e2r_metrics.base.errors import UsageError


def unserved_tasks(spec: MethodSpec, tasks: Iterable[Task]) -> dict[str, str]:
    """Return the tasks that a method has nothing to run with, each with the reason."""
    found = ((task.name, spec.unserved(task)) for task in tasks)
    return {name: why for name, why in found if why is not None}


def refuse_idle(name: str, spec: MethodSpec, unserved: Mapping[str, str], asked: int) -> None:
    """Refuse a method that serves none of the tasks asked for.

    Args:
        name: of the instance.
        spec: the method.
        unserved: see `unserved_tasks`, of every task asked for: a shard may have none of those
            that a method serves.
        asked: how many tasks that are.

    Raises:
        UsageError: it serves none; nothing was started.
    """
    if len(unserved) < asked:
        return
    gone = unserved_tasks(spec, TASKS.values())
    known = ",".join(task for task in TASKS if task not in gone)
    raise UsageError(
        f"method {name!r}: expected a task that it serves{f' (--tasks {known})' if known else ''}, "
        f"found {', '.join(unserved)}: {'; '.join(dict.fromkeys(unserved.values()))}"
    )
