"""Who does the work of a run: here one process, cell by cell, in the plan's order; see `crew`.

Work carries names only. Weights, device and "auto" are resolved by the worker that does it, on the
machine that it stands on; what goes over the wire pickles.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from e2r_baselines.method import Draw
from e2r_bench.store.costs import Cost


@dataclass(frozen=True)
class Work:
    """Some pictures to restore by one instance of a method on one task.

    Attributes:
        method: name of the instance.
        task: name of the task.
        images: names of images; restored in one call of the method.
        draws: sampler settings that each of them needs.
    """

    method: str
    task: str
    images: tuple[str, ...]
    draws: tuple[Draw, ...]


@dataclass(frozen=True)
class Done:
    """What came of some work: its pictures are in the store.

    Attributes:
        work: what was asked.
        failed: (image, draw) -> what went wrong.
        seconds: (image, draw) -> wall time, of pictures whose worker does not keep the records.
        costs: instance -> what it costs, from such a worker.
    """

    work: Work
    failed: Mapping[tuple[str, Draw], str]
    seconds: Mapping[tuple[str, Draw], float] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)


Worker = Callable[[Work], Done]


class Executor(Protocol):
    """Does work in any order; the store puts results into the plan's."""

    def map(self, works: Sequence[Work]) -> Iterator[Done]:
        """Yield what came of each work, as it is done."""
        ...


@dataclass(frozen=True)
class SerialExecutor:
    """Does one work after the other in this process."""

    worker: Worker

    def map(self, works: Sequence[Work]) -> Iterator[Done]:
        """See `Executor.map`; in the order given."""
        for work in works:
            yield self.worker(work)
