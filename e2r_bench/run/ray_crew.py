"""Workers that are actors of a Ray cluster: one a GPU, or one a core where there are none.

A run folder, data and weights have the same paths on all machines, as on a cluster with a shared
file system. Actors are warm: each holds its method's network until it is given another method.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

from e2r_bench.run.crew import CrewExecutor
from e2r_bench.run.executor import Done, Work
from e2r_bench.run.remote import Post, RemoteWorker
from e2r_metrics.base.errors import E2RError, UsageError, one_line


def ray_crew(post: Post, count: int | None, address: str | None) -> "RayExecutor":
    """Return an executor of `count` actors; None for one a GPU, or one a core without any.

    Raises:
        UsageError: Ray is not installed, the cluster does not answer, or has too little.
    """
    ray = _ray()
    mine = not ray.is_initialized()
    if mine:
        _connect(ray, count, address)
    there = ray.cluster_resources()
    gpus, cores = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    uses = "GPU" if gpus and post.experiment.device in ("auto", "cuda") else "CPU"
    most = gpus if uses == "GPU" else cores
    workers = count or most
    if not 0 < workers <= most:
        if mine:
            ray.shutdown()
        raise UsageError(f"--workers {workers}: expected at most {most}, a {uses} each")
    hire = partial(RayHand, ray, post, uses)
    return RayExecutor(CrewExecutor(hire, workers, (ray.exceptions.RayActorError,)), ray, mine)


def _ray() -> Any:
    try:
        return import_module("ray")
    except ModuleNotFoundError as error:
        raise UsageError(
            "--executor ray: expected Ray on this machine, found none; pip install 'e2r-bench[ray]'"
        ) from error


def _connect(ray: Any, count: int | None, address: str | None) -> None:
    asked = {"address": address} if address else {"address": "local", "num_cpus": count}
    try:
        ray.init(**asked, log_to_driver=False, include_dashboard=None if address else False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise UsageError(f"--address {address}: no Ray cluster: {one_line(error)}") from error


@dataclass(frozen=True)
class RayExecutor:
    """A crew of actors, on a cluster that is left when it was joined for this.

    Attributes:
        crew: who works.
        ray: the module.
        mine: whether the cluster was joined, or started, for this run.
    """

    crew: CrewExecutor
    ray: Any
    mine: bool

    def map(self, works: Sequence[Work]) -> Iterator[Done]:
        """See `executor.Executor`."""
        try:
            yield from self.crew.map(works)
        finally:
            if self.mine:
                self.ray.shutdown()


class Actor:
    """What runs on the cluster; opened by the first work, whose answer carries what went wrong."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._worker: RemoteWorker | None = None

    def do(self, work: Work) -> Done:
        """Do one work."""
        if self._worker is None:
            self._worker = RemoteWorker(self._post)
        return self._worker(work)


class RayHand:
    """One actor; Ray itself never restarts it, so that each death is counted here."""

    def __init__(self, ray: Any, post: Post, uses: str, place: int) -> None:
        del place  # Ray says which GPU an actor sees
        self._ray = ray
        needs = {"num_gpus": 1, "num_cpus": 0} if uses == "GPU" else {"num_cpus": 1}
        self._actor = ray.remote(Actor).options(max_restarts=0, **needs).remote(post)

    def do(self, work: Work) -> "Future[Done]":
        """See `crew.Hand.do`."""
        told: Future[Done] = Future()
        self._actor.do.remote(work).future().add_done_callback(partial(self._pass_on, told))
        return told

    def stop(self) -> None:
        """See `crew.Hand.stop`."""
        self._ray.kill(self._actor)

    def _pass_on(self, told: "Future[Done]", done: "Future[Done]") -> None:
        error = done.exception()
        cause = getattr(error, "cause", None)
        if error is None:
            told.set_result(done.result())
        else:
            # Ray wraps what a worker raised; a person reads the one line inside.
            told.set_exception(cause if isinstance(cause, E2RError) else error)
