"""Which pictures serve each task of an experiment, and what its restorers are told."""

from collections.abc import Iterable
from dataclasses import replace

from e2r_baselines.mixtures import MIXTURES
from e2r_baselines.tasks import TASKS, Task, with_prompts
from e2r_bench.run.config import Experiment
from e2r_bench.run.data import Dataset, load_dataset
from e2r_bench.run.prepare import TaskSet
from e2r_bench.run.protocols import Protocol
from e2r_bench.run.tasks import task_named
from e2r_metrics.base.errors import UsageError


def task_sets(experiment: Experiment, protocol: Protocol) -> Iterable[TaskSet]:
    """Yield each task of an experiment with its pictures.

    Raises:
        UsageError: an unknown task, a set that cannot be read, or one that a task cannot use.
    """
    loaded: dict[str, Dataset] = {}
    for name in dict.fromkeys(experiment.tasks):
        known = task_named(name, experiment.task)
        where = _data_for(name, experiment)
        if where not in loaded:
            loaded[where] = load_dataset(where, experiment.matching())
        dataset = loaded[where]
        task = _prompted(known, experiment)
        cut = dataset.sources[: experiment.limit]
        yield _made(
            TaskSet(task, dataset, cut, protocol, experiment.noise_seed, experiment.reading())
        )


def _made(pictures: TaskSet) -> TaskSet:
    """Return the set, or refuse one of clean pictures where nothing says how to degrade them."""
    if pictures.task.degradation is None and not pictures.from_files():
        raise UsageError(
            f"task {pictures.task.name!r} has no degradation of its own: expected pairs, found "
            f"only clean pictures in {pictures.dataset.name}; give --data with degraded ones"
        )
    return pictures


def _prompted(task: Task, experiment: Experiment) -> Task:
    if experiment.prompt is not None:
        return replace(task, prompt=experiment.prompt)
    # g1, the paper, has no prompt for the tasks that only the later repository has.
    if experiment.prompts not in task.prompts:
        return task
    return with_prompts(task, experiment.prompts)


def _data_for(task: str, experiment: Experiment) -> str:
    """Return the set that serves `task`: TASK=folder wins over a bare one."""
    bare: list[str] = []
    named = {*TASKS, *MIXTURES, *experiment.tasks}
    for entry in experiment.data:
        name, equals, where = entry.partition("=")
        if equals and name == task:
            return where
        if not (equals and name in named):
            bare.append(entry)
    if len(bare) != 1:
        raise UsageError(
            f"--data: expected one set for task {task!r}, found {len(bare)}; give --data FOLDER, "
            f"or --data {task}=FOLDER"
        )
    return bare[0]
