"""Which executor does a run's work: one process, several of this machine, or a Ray cluster."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from e2r_baselines.method import Compute
from e2r_bench.run.executor import Executor, SerialExecutor
from e2r_bench.run.plan import Catalog, Plan
from e2r_bench.run.worker import LocalWorker
from e2r_bench.store.costs import put_cost
from e2r_bench.store.info import MethodInfo
from e2r_bench.store.store import Store


@dataclass(frozen=True)
class Engine:
    """Who works; never changes what comes out.

    Attributes:
        executor: this process, processes of this machine, or actors of a Ray cluster.
        workers: how many at once; None for one a GPU, or one a core where there are none.
        address: of a Ray cluster; None for one of this machine's own, for this run only.
    """

    executor: Literal["serial", "processes", "ray"] = "serial"
    workers: int | None = None
    address: str | None = None


def make_executor(
    engine: Engine, plan: Plan, store: Store, compute: Compute, catalog: Catalog | None
) -> Executor:
    """Return what does the work of a plan.

    Raises:
        UsageError: Ray is asked for and not there, or does not answer.
    """
    if engine.executor == "serial":
        note = partial(put_cost, store.folder)
        return SerialExecutor(LocalWorker(plan, store.folder, compute, store.put_picture, note))
    from e2r_bench.run.remote import Post

    wanted: Mapping[str, MethodInfo] = {m.name: store.info.methods[m.name] for m in plan.methods}
    # Relative paths of data, weights and adapters mean what they mean here.
    experiment = plan.experiment.model_copy(update={"out": store.folder.absolute()})
    post = Post(experiment, wanted, os.getcwd(), catalog)
    if engine.executor == "processes":
        from e2r_bench.run.processes import process_crew

        return process_crew(post, engine.workers)
    from e2r_bench.run.ray_crew import ray_crew

    return ray_crew(post, engine.workers, engine.address)
