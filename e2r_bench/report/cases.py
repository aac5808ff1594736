"""The pictures to look at: one case per task, image and restorer, with all its scores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_baselines.method import Draw
from e2r_bench.maps.selection import restorers, shown_draw
from e2r_bench.maps.write import ROWS as MAP_ROWS
from e2r_bench.runs import Run, read_rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Case:
    """One restored picture and what was measured of it.

    Attributes:
        origin: which run it is from; empty on the page of a single run.
        scores: metric id or map score -> value; infinite ones are left out of JSON by the page.
    """

    origin: str
    run: Run
    task: str
    image: str
    method: str
    draw: Draw
    scores: Mapping[str, float]


def cases_of(origin: str, run: Run) -> Iterator[Case]:
    """Yield every restored picture on disk that a page shows, in the run's order."""
    import pandas as pd

    # Scores of maps are rows too, in a file of their own.
    mapped = [row.model_dump() for row in read_rows(run.folder / MAP_ROWS)]
    rows = pd.concat([run.rows(), pd.DataFrame(mapped)]) if mapped else run.rows()
    for method in restorers(run):
        draw = shown_draw(run, method)
        scores = _scores(rows, method, draw)
        for task in run.info.tasks:
            for image in run.images(task):
                if run.restored_path(method, task, draw, image).is_file():
                    found = scores.get((task, image), {})
                    yield Case(origin, run, task, image, method, draw, found)


def _scores(
    rows: "pd.DataFrame", method: str, draw: Draw
) -> dict[tuple[str, str], dict[str, float]]:
    mine = rows.loc[
        (rows.method == method) & (rows.seed == draw.seed) & (rows.steps == draw.steps)
        & (rows.status == "ok")
    ]  # fmt: skip
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in mine.to_dict(orient="records"):
        key = (str(row["task"]), str(row["image"]))
        name = row["metric"] if row["variant"] == "map" else f"{row['metric']}:{row['variant']}"
        found.setdefault(key, {})[str(name)] = float(row["value"])
    return found


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
