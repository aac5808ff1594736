"""The pictures to look at: one case per task, image and restorer, with all its scores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from e2r_baselines.method import Draw
from e2r_bench.maps.selection import restorers, shown_draw
from e2r_bench.maps.shares import VARIANT
from e2r_bench.maps.write import arrays_path, read_map_rows
from e2r_bench.store.cell import Cell
from e2r_bench.store.names import cell_of
from e2r_bench.store.store import Store


@dataclass(frozen=True)
class Case:
    """One restored picture and what was measured of it.

    Attributes:
        origin: which run it is from; empty on the page of a single run.
        store: that run.
        cell: the picture.
        scores: metric id or map score -> value; infinite ones are left out of JSON by the page.
    """

    origin: str
    store: Store
    cell: Cell
    scores: Mapping[str, float]


def cases_of(origin: str, store: Store) -> Iterator[Case]:
    """Yield every restored picture on disk that a page shows, in the run's order."""
    mapped = _map_scores(store)
    for method in restorers(store):
        draw = shown_draw(store, method)
        for task in store.info.tasks:
            measured = _scores(store, method, task, draw)
            for image in store.images(task):
                cell = Cell(method, task, draw, image)
                if store.has(cell):
                    known = measured.get(image, {})
                    scores = known | unmeasured(mapped.get(cell, {}), known)
                    yield Case(origin, store, cell, scores)


def _scores(store: Store, method: str, task: str, draw: Draw) -> Mapping[str, dict[str, float]]:
    """Return image -> metric id -> value, of the pictures of one draw."""
    found: dict[str, dict[str, float]] = {}
    for key in store.info.metrics:
        for image, value in store.values(method, task, draw, key).items():
            found.setdefault(image, {})[key] = value
    return found


def unmeasured(found: Mapping[str, float], known: Mapping[str, float]) -> dict[str, float]:
    """Return the scores of maps that the run has not measured itself, under a metric's id."""
    return {name: value for name, value in found.items() if f"{name}:{VARIANT}" not in known}


def _map_scores(store: Store) -> Mapping[Cell, dict[str, float]]:
    """Return the scores of maps by name, only where the maps are."""
    found: dict[Cell, dict[str, float]] = {}
    for row in read_map_rows(store).all:
        if row.value is not None and arrays_path(store, cell_of(row)).is_file():
            found.setdefault(cell_of(row), {})[row.metric] = row.value
    return found


def bytes_of(cases: Sequence[Case]) -> int:
    """Return how large all files are that cases show: results, inputs and truths, each once."""
    files = {
        path
        for case in cases
        for path in (
            case.store.path(case.cell),
            case.store.clean_path(case.cell.task, case.cell.image),
            case.store.degraded_path(case.cell.task, case.cell.image),
        )
    }
    return sum(path.stat().st_size for path in files if path.is_file())


def median_case(cases: Sequence[Case], score: str) -> Case:
    """Return the case whose score is the middle one: neither the best nor the worst.

    Args:
        cases: at least one.
        score: the key to rank by; cases without a finite value rank last and are not counted.
    """
    ranked = sorted(cases, key=lambda case: _rank(case.scores.get(score)))
    counted = sum(math.isfinite(_rank(case.scores.get(score))) for case in cases)
    return ranked[max(counted - 1, 0) // 2]


def _rank(value: float | None) -> float:
    return value if value is not None and math.isfinite(value) else math.inf
