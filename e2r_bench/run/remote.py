"""A worker in a process of its own: it gets names, and finds files, weights and device itself."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from e2r_baselines.method import Compute, Draw
from e2r_bench.run.config import Experiment
from e2r_bench.run.describe import describe_methods
from e2r_bench.run.executor import Done, Work
from e2r_bench.run.plan import Catalog, make_plan
from e2r_bench.run.services import open_services
from e2r_bench.run.worker import LocalWorker
from e2r_bench.store.cell import Cell
from e2r_bench.store.costs import Cost
from e2r_bench.store.info import MethodInfo
from e2r_bench.store.names import picture_path
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import EightBit, write_png


@dataclass(frozen=True)
class Post:
    """What a worker is told when it starts; it pickles, and holds names only.

    Attributes:
        experiment: the same as everywhere, but for the device, which may be the worker's own.
        methods: what each method must run with here too: builds, weights by SHA-256, versions.
        home: the folder that relative paths start from.
        catalog: the methods there are; None for ours and those of plugins.
        threads: of torch, None for its own choice.
    """

    experiment: Experiment
    methods: Mapping[str, MethodInfo]
    home: str
    catalog: Catalog | None = None
    threads: int | None = None


@dataclass
class RemoteWorker:
    """Restores into the run folder; the one who asked keeps its records.

    Attributes:
        post: what it was told.
    """

    post: Post
    _seconds: dict[tuple[str, Draw], float] = field(default_factory=dict, init=False)
    _costs: dict[str, Cost] = field(default_factory=dict, init=False)
    _local: LocalWorker = field(init=False)

    def __post_init__(self) -> None:
        experiment = self.post.experiment
        os.chdir(self.post.home)
        if self.post.threads is not None:
            import torch

            torch.set_num_threads(self.post.threads)
        resolver, session, device = open_services(experiment, _unsaid)
        plan = make_plan(experiment, resolver, session, self.post.catalog)
        _refuse_other(self.post.methods, describe_methods(plan, resolver.hashes))
        compute = Compute(device, experiment.dtype, experiment.batch, experiment.tile)
        self._local = LocalWorker(plan, experiment.out, compute, self._put, self._note)

    def __call__(self, work: Work) -> Done:
        """Restore the pictures of a work; see `LocalWorker`."""
        self._seconds.clear()
        self._costs.clear()
        done = self._local(work)
        return Done(done.work, done.failed, dict(self._seconds), dict(self._costs))

    def _put(self, cell: Cell, picture: EightBit, seconds: float) -> None:
        write_png(picture_path(self.post.experiment.out, cell), picture)
        self._seconds[cell.image, cell.draw] = seconds

    def _note(self, method: str, cost: Cost) -> None:
        self._costs[method] = cost


def _refuse_other(expected: Mapping[str, MethodInfo], found: Mapping[str, MethodInfo]) -> None:
    """Refuse to work with other weights than the run is described with."""
    for name, wanted in expected.items():
        told = found[name]
        for key in ("build", "version", "weights"):
            if getattr(told, key) != getattr(wanted, key):
                raise UsageError(
                    f"worker on {socket.gethostname()}: {name}: expected {key} "
                    f"{getattr(wanted, key)}, as where the run was started, found "
                    f"{getattr(told, key)}; give all machines the same files"
                )


def _unsaid(line: str) -> None:
    del line
