"""Which pictures serve each task of an experiment, and what its restorers are told."""

from collections.abc import Iterable
from dataclasses import replace

from e2r_baselines.tasks import Task, with_prompts
from e2r_bench.run.config import Experiment
from e2r_bench.run.datasets import datasets_of
from e2r_bench.run.prepare import TaskSet
from e2r_bench.run.protocols import Protocol
from e2r_bench.run.tasks import task_named
from e2r_metrics.base.errors import UsageError


def task_sets(experiment: Experiment, protocol: Protocol) -> Iterable[TaskSet]:
    """Yield each task of an experiment with its pictures.

    Raises:
        UsageError: an unknown task, a set that cannot be read, or one that a task cannot use.
    """
    for name, dataset in datasets_of(experiment).items():
        known = task_named(name, experiment.task)
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
            f"only clean pictures in {pictures.dataset.name}; give --data with degraded ones, or "
            "--no-truth where these are the inputs"
        )
    return pictures


def _prompted(task: Task, experiment: Experiment) -> Task:
    if experiment.prompt is not None:
        return replace(task, prompt=experiment.prompt)
    # g1, the paper, has no prompt for the tasks that only the later repository has.
    if experiment.prompts not in task.prompts:
        return task
    return with_prompts(task, experiment.prompts)
