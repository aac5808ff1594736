"""The pictures to look at: one case per task, image and restorer, with all its scores."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_baselines.method import Draw
from e2r_bench.maps.selection import restorers, shown_draw
from e2r_bench.runs import Run

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
    rows = run.rows()
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
    mine = rows[
        (rows.method == method) & (rows.seed == draw.seed) & (rows.steps == draw.steps)
        & (rows.status == "ok")
    ]  # fmt: skip
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in mine.to_dict("records"):
        key = (str(row["task"]), str(row["image"]))
        found.setdefault(key, {})[f"{row['metric']}:{row['variant']}"] = float(row["value"])
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


def json_scores(scores: Mapping[str, float]) -> dict[str, Any]:
    """Return scores that JSON can hold; an infinite PSNR becomes a string that still sorts."""
    return {
        key: value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
        for key, value in scores.items()
        if not math.isnan(value)
    }
