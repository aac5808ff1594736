"""What failed in a run, by name and reason; pictures of one reason stand together."""

from collections.abc import Iterator
from dataclasses import dataclass

from e2r_bench.report.labels import label_draw
from e2r_bench.store.fitting import failures_of_run
from e2r_bench.store.store import Store

_NAMED = 20


@dataclass(frozen=True)
class Failure:
    """Pictures that failed for one reason.

    Attributes:
        origin: which run they are from; empty on the page of a single run.
        method: the instance, with the draw where it has one.
        task: the task.
        images: names of the pictures, in the run's order.
        reason: what went wrong, on one line.
    """

    origin: str
    method: str
    task: str
    images: tuple[str, ...]
    reason: str

    @property
    def named(self) -> str:
        """Return the first names, and how many more there are."""
        more = len(self.images) - _NAMED
        told = ", ".join(self.images[:_NAMED])
        if more <= 0:
            return told
        return f"{told}, and {more} more: see failures.json and per_image.jsonl"


def failures_of(origin: str, store: Store) -> Iterator[Failure]:
    """Yield pictures without a result or without a number, by method, task and reason."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for cell, reason in failures_of_run(store).items():
        drawn = label_draw(store, cell.method, cell.draw)
        method = f"{cell.method}, {drawn}" if drawn else cell.method
        found.setdefault((method, cell.task, reason), []).append(cell.image)
    for (method, task, reason), images in found.items():
        yield Failure(origin, method, task, tuple(images), reason)
