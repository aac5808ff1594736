"""One line per method, task, draw and metric: value, n, interval, and what it was made with."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.errors import UsageError
from e2r_bench.files import write_text
from e2r_bench.restore import Watch
from e2r_bench.runs import ROWS, MetricInfo, Row, Run, read_rows
from e2r_bench.statistics.blocks import Kind, make_blocks
from e2r_bench.statistics.jackknife import jackknife
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.results import Estimate
from e2r_metrics.catalog import CATALOG, Metric

if TYPE_CHECKING:
    from e2r_metrics import Session

COLUMNS = (
    "method", "build", "miniature", "task", "seed", "steps", "metric", "variant", "n", "scenes",
    "value", "low", "high", "interval", "unit", "higher_is_better", "status", "protocol", "note",
)  # fmt: skip
OUTSIDE = "the method is not made for this task"


def write_summary(run: Run, session: "Session", watch: Watch) -> None:
    """Write summary.csv and summary.json from the rows and, for set metrics, the pictures."""
    import pandas as pd

    lines = list(_lines(run, session, watch))
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    write_text(run.folder / "summary.csv", frame.to_csv(index=False))
    table = [{k: _json(v) for k, v in line.items()} for line in lines]
    write_text(run.folder / "summary.json", json.dumps(table, indent=1) + "\n")


def _json(value: Any) -> Any:
    """Return a number that JSON can hold: an identical pair has infinite PSNR."""
    infinite = isinstance(value, float) and not math.isfinite(value)
    return str(value) if infinite else value


def _lines(run: Run, session: "Session", watch: Watch) -> Iterator[dict[str, Any]]:
    rows = _grouped(run)
    cells = [
        (method, task, draw)
        for method in run.info.methods
        for task in run.info.tasks
        for draw in run.draws(method)
    ]
    for count, (method, task, draw) in enumerate(cells, 1):
        for key, metric in run.info.metrics.items():
            if run.info.tasks[task].variants.get(metric.name) != metric.variant:
                continue
            named = _named(run, method, task, draw, metric)
            if metric.missing is not None:
                made = {"status": "not measured", "note": f"{metric.missing}; {metric.fetch}"}
            elif metric.per_image:
                made = _per_image(rows[method, task, draw, key])
            else:
                made = _set_value(run, session, key, (method, task, draw))
            if task in run.info.methods[method].outside:
                made["note"] = "; ".join(filter(None, (OUTSIDE, made.get("note"))))
            yield named | made
        watch("summarise", count, len(cells))


def _grouped(run: Run) -> Mapping[tuple[str, str, Draw, str], Sequence[Row]]:
    """Return the rows by method, task, draw and metric id."""
    groups: defaultdict[tuple[str, str, Draw, str], list[Row]] = defaultdict(list)
    for row in read_rows(run.folder / ROWS):
        draw = Draw(row.seed, row.steps)
        groups[row.method, row.task, draw, f"{row.metric}:{row.variant}"].append(row)
    return groups


def _named(run: Run, method: str, task: str, draw: Draw, metric: MetricInfo) -> dict[str, Any]:
    info = run.info.methods[method]
    return {
        "method": method, "build": info.build, "miniature": info.miniature, "task": task,
        "seed": draw.seed, "steps": draw.steps, "metric": metric.name, "variant": metric.variant,
        "n": 0, "unit": metric.unit, "higher_is_better": metric.higher_is_better,
        "protocol": f"{run.info.protocol} {metric.protocol}", "status": "ok",
    }  # fmt: skip


def _per_image(rows: Sequence[Row]) -> dict[str, Any]:
    if not rows:
        return {"status": "not measured", "note": "no call of this run asked for it"}
    good = [(row.value, row.scene) for row in rows if row.value is not None]
    failed = len(rows) - len(good)
    note = f"{failed} of {len(rows)} images failed" if failed else ""
    if not good:
        return {"status": "failed", "note": note}
    values, scenes = [value for value, _ in good], [scene for _, scene in good]
    interval = _interval(lambda: mean_estimate(np.asarray(values), scenes))
    value = float(np.mean(values))
    return {"n": len(good), "scenes": len(set(scenes)), "value": value, "note": note} | interval


def _interval(estimate: Callable[[], Estimate]) -> dict[str, Any]:
    """Return an interval's ends and name; or why there is none, which is an answer too."""
    try:
        made = estimate()
    except UsageError as reason:
        return {"interval": f"none: {reason}"}
    how = f"{made.level:.0%} {made.how}, {made.scenes} scenes"
    return {"low": made.low, "high": made.high, "interval": how}


def _set_value(
    run: Run, session: "Session", key: str, cell: tuple[str, str, Draw]
) -> dict[str, Any]:
    """Compute one set metric over the pictures that exist; its n says how many they are."""
    method, task, draw = cell
    metric = CATALOG[key]
    info = run.info.tasks[task]
    found = {
        image: scene
        for image, scene in zip(info.images, info.scenes, strict=True)
        if run.restored_path(method, task, draw, image).is_file()
    }
    gone = len(info.images) - len(found)
    note = f"{gone} of {len(info.images)} images failed" if gone else ""
    if len(found) < 2 or metric.extractor is None:
        return {"status": "failed", "note": note or "needs at least two images"}
    restored = session.features(
        metric.extractor, [run.restored_path(method, task, draw, image) for image in found]
    )
    clean = session.features(metric.extractor, [run.clean_path(task, image) for image in found])
    scenes = list(found.values())
    # The second arm is the reference itself: a jackknife of one arm never looks at it.
    blocks = partial(make_blocks, _kind(metric), restored, clean, clean)
    interval = _interval(lambda: jackknife(blocks(), scenes))
    value = session.set_value(metric, restored, clean)
    return {"n": len(found), "scenes": len(set(scenes)), "value": value, "note": note} | interval


def _kind(metric: Metric) -> Kind:
    """Say which distance a set metric is, for the resamples of `e2r_bench.statistics.blocks`."""
    if metric.name == "kid":
        return "kid"
    if metric.name in ("cmmd", "mmd_effnet"):
        return "mmd_u" if metric.variant == "u" else "mmd_v"
    return "frechet"
