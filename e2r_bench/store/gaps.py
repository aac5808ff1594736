"""What a run has not got yet: pictures first, then numbers, then its summary."""

from collections.abc import Iterator, Mapping, Set

from e2r_baselines.method import Draw
from e2r_bench.store.cell import Cell
from e2r_bench.store.index import Group
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError


def lacking(store: Store, unasked: Set[Group] = frozenset()) -> list[str]:
    """Return the cells without picture or failure; where there are none, the rows that lack.

    Args:
        store: the run.
        unasked: numbers that no call of the run asked for; see `summarised`.
    """
    return [str(cell) for cell in missing_cells(store)] or [
        f"{group[-1]} of {image}" for group, image in missing_rows(store, unasked)
    ]


def missing_cells(store: Store) -> Iterator[Cell]:
    """Yield the cells that have neither a picture nor a reason for none."""
    return (c for c in store.cells() if not store.has(c) and store.failure(c) is None)


def missing_rows(store: Store, unasked: Set[Group]) -> Iterator[tuple[Group, str]]:
    """Yield what has no row, among the numbers of single pictures that are measured here."""
    index = store.rows().index
    for group in groups_of(store):
        metric = store.info.metrics[group[-1]]
        planned = group[1] in store.tasks(group[0])
        if planned and metric.per_image and metric.missing is None and group not in unasked:
            there = index.images(group)
            yield from ((group, one) for one in store.images(group[1]) if one not in there)


def groups_of(store: Store) -> Iterator[Group]:
    """Yield what a run has a line of its summary for, by metric in run.json's order."""
    for key in store.info.metrics:
        for method in store.info.methods:
            for task in store.info.tasks:
                for draw in store.draws(method) if store.has_metric(task, key) else ():
                    yield method, task, draw, key


def summarised(store: Store) -> Mapping[Group, str]:
    """Return the status of every line of summary.csv; nothing where it is absent or damaged."""
    try:
        return {
            (str(one["method"]), str(one["task"]), Draw(int(one["seed"]), int(one["steps"])),
             f"{one['metric']}:{one['variant']}"): str(one["status"])
            for one in store.summary().to_dict("records")
        }  # fmt: skip
    except (UsageError, ValueError, KeyError):
        return {}


def unasked_of(lines: Mapping[Group, str]) -> frozenset[Group]:
    """Return the numbers that a summary says nobody measured."""
    return frozenset(group for group, status in lines.items() if status == "not measured")
