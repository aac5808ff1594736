"""How far a run is: what is done, failed and left, and when it will be over."""

from collections.abc import Mapping
from dataclasses import dataclass

from e2r_bench.report.unmeasured import unplanned
from e2r_bench.store.costs import seconds_of
from e2r_bench.store.gaps import (
    groups_of,
    missing_cells,
    missing_rows,
    summarised,
    unasked_of,
)
from e2r_bench.store.store import Store
from e2r_metrics.base.locks import holder


@dataclass(frozen=True)
class Part:
    """One method on one task.

    Attributes:
        method, task: which.
        done, failed, left: pictures; a picture that failed is tried again by the next call.
        seconds_left: at the mean wall time of its pictures so far; None before the first one.
    """

    method: str
    task: str
    done: int
    failed: int
    left: int
    seconds_left: float | None


@dataclass(frozen=True)
class Status:
    """A run folder as it is now.

    Attributes:
        parts: by method and task, in the run's order.
        rows_left: numbers of single pictures that are still to be measured.
        summarised: whether the summary of all of it is there.
        shard: "i/n" of a shard, else "".
        writer: who holds the folder now, "" for nobody.
        unplanned: which methods do not serve which task, and so have no part of it.
    """

    parts: tuple[Part, ...]
    rows_left: int
    summarised: bool
    shard: str
    writer: str
    unplanned: tuple[str, ...]

    @property
    def finished(self) -> bool:
        """Return whether nothing is left; a shard has no summary."""
        left = sum(part.left for part in self.parts) + self.rows_left
        return left == 0 and (self.summarised or bool(self.shard))

    @property
    def seconds_left(self) -> float | None:
        """Return the sum of the parts' times; None where some part has none yet.

        Of one worker, without what is measured and summarised at the end.
        """
        known = [part.seconds_left for part in self.parts if part.left]
        return None if None in known else sum(one or 0.0 for one in known)


def status_of(store: Store) -> Status:
    """Read a run's folder; nothing is written, and another process may be writing."""
    done: dict[tuple[str, str], list[int]] = {}
    left = set(missing_cells(store))
    for cell in store.cells():
        counts = done.setdefault((cell.method, cell.task), [0, 0, 0])
        counts[2 if cell in left else 0 if store.has(cell) else 1] += 1
    seconds = seconds_of(store)
    parts = tuple(
        Part(*key, *counts, seconds_left=_ahead(seconds, key, counts[2]))
        for key, counts in done.items()
    )
    lines = summarised(store)
    rows = sum(1 for _ in missing_rows(store, unasked_of(lines)))
    whole = lines.keys() >= set(groups_of(store))
    shard = str(store.info.settings.get("shard") or "")
    gone = unplanned({name: one.unserved for name, one in store.info.methods.items()})
    return Status(parts, rows, whole, shard, holder(store.folder), tuple(gone))


def _ahead(
    seconds: Mapping[tuple[str, str], float], key: tuple[str, str], left: int
) -> float | None:
    return 0.0 if left == 0 else seconds[key] * left if key in seconds else None
