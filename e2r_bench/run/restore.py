"""Which pictures are still to be made, in calls of one method on one task."""

from collections.abc import Callable, Iterator, Mapping

from e2r_baselines.method import draws_of
from e2r_bench.run.executor import Executor, Work
from e2r_bench.run.plan import Plan
from e2r_bench.store.cell import Cell
from e2r_bench.store.costs import put_cost
from e2r_bench.store.store import Store

Watch = Callable[[str, int, int], None]
"""Told (stage, done, total) as a run goes on; a progress bar, or nothing."""


def restore_all(plan: Plan, store: Store, executor: Executor, watch: Watch) -> None:
    """Restore every cell that has no picture yet; what fails is recorded in the store."""
    works, totals = list(missing_work(plan, store)), announce(plan, store, watch)
    done = dict.fromkeys(totals, 0)
    _point(done, totals, watch)
    for finished in executor.map(works):
        work = finished.work
        for (image, draw), seconds in finished.seconds.items():
            store.made(Cell(work.method, work.task, draw, image), seconds)
        for name, cost in finished.costs.items():
            put_cost(store.folder, name, cost)
        for (image, draw), note in finished.failed.items():
            store.fail(Cell(work.method, work.task, draw, image), note)
        done[_stage(work)] += len(work.images)
        watch(_stage(work), done[_stage(work)], totals[_stage(work)])
        _point(done, totals, watch)


def _point(done: Mapping[str, int], totals: Mapping[str, int], watch: Watch) -> None:
    """Show the first stage that is not over: what is being done, and not what was."""
    for stage, total in totals.items():
        if done[stage] < total:
            watch(stage, done[stage], total)
            return


def announce(plan: Plan, store: Store, watch: Watch) -> dict[str, int]:
    """Say how many pictures each stage has left, and return that."""
    totals: dict[str, int] = {}
    for work in missing_work(plan, store):
        totals[_stage(work)] = totals.get(_stage(work), 0) + len(work.images)
    for stage, total in totals.items():
        watch(stage, 0, total)
    return totals


def _stage(work: Work) -> str:
    return f"{work.method} {work.task}"


def missing_work(plan: Plan, store: Store) -> Iterator[Work]:
    """Yield the work that is left, in the plan's order, at most a batch of images in each."""
    size = plan.experiment.batch
    for method in plan.methods:
        draws = draws_of(method.spec, plan.experiment.seeds, plan.experiment.steps)
        for pictures in (one for one in plan.tasks if one.task.name not in method.unserved):
            name = pictures.task.name
            unreadable = store.info.tasks[name].unreadable
            left = [
                source.id
                for source in pictures.sources
                if source.id not in unreadable
                and not all(store.has(Cell(method.name, name, d, source.id)) for d in draws)
            ]
            for start in range(0, len(left), size):
                yield Work(method.name, name, tuple(left[start : start + size]), draws)
