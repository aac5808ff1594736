"""One line per method, task, draw and metric: value, n, interval, and what it was made with."""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.run.restore import Watch
from e2r_bench.statistics.blocks import clustered_blocks
from e2r_bench.statistics.jackknife import jackknife
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.results import Estimate
from e2r_bench.store.cell import Cell
from e2r_bench.store.fitting import large_enough
from e2r_bench.store.index import Group
from e2r_bench.store.info import MetricInfo, Row
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_text
from e2r_metrics.catalog import EXTRACTORS, metric_of

if TYPE_CHECKING:
    from e2r_metrics import Session

COLUMNS = (
    "method", "build", "miniature", "task", "data", "seed", "steps", "metric", "variant", "n",
    "scenes", "value", "low", "high", "interval", "unit", "higher_is_better", "status", "protocol",
    "note",
)  # fmt: skip
OUTSIDE = "the method is not made for this task"


def write_summary(store: Store, session: "Session", watch: Watch) -> None:
    """Write summary.csv and summary.json from the rows and, for set metrics, the pictures."""
    import pandas as pd

    lines = list(_lines(store, session, watch))
    frame = pd.DataFrame(lines, columns=list(COLUMNS))
    write_text(store.folder / "summary.csv", frame.to_csv(index=False))
    table = [{k: _json(v) for k, v in line.items()} for line in lines]
    write_text(store.folder / "summary.json", json.dumps(table, indent=1) + "\n")


def _json(value: Any) -> Any:
    """Return a number that JSON can hold: an identical pair has infinite PSNR."""
    infinite = isinstance(value, float) and not math.isfinite(value)
    return str(value) if infinite else value


def _lines(store: Store, session: "Session", watch: Watch) -> Iterator[dict[str, Any]]:
    groups = [
        (method, task, draw)
        for method in store.info.methods
        for task in store.info.tasks
        for draw in store.draws(method)
    ]
    for count, (method, task, draw) in enumerate(groups, 1):
        for key in store.info.metrics:
            if store.has_metric(task, key):
                yield summary_line(store, session, (method, task, draw, key))
        watch("summarise", count, len(groups))


def summary_line(store: Store, session: "Session", group: Group) -> dict[str, Any]:
    """Return a line of the summary by column: from rows, or of a set metric from the pictures."""
    method, task, draw, key = group
    metric = store.info.metrics[key]
    unserved = store.info.methods[method].unserved.get(task)
    if unserved is not None:
        made = {"status": "not planned", "note": unserved}
    elif metric.missing is not None:
        made = {"status": "not measured", "note": _why(metric)}
    elif metric.per_image:
        made = _per_image(store.rows().groups.get(group, ()))
    else:
        made = _set_value(store, session, key, (method, task, draw))
    info = store.info.methods[method]
    outside = OUTSIDE if unserved is None and task in info.outside else ""
    notes = (outside, info.cost_note(draw.steps), made.get("note"))
    made["note"] = "; ".join(filter(None, notes))
    return _named(store, method, task, draw, metric) | made


def _named(store: Store, method: str, task: str, draw: Draw, metric: MetricInfo) -> dict[str, Any]:
    info = store.info.methods[method]
    return {
        "method": method, "build": info.build, "miniature": info.miniature, "task": task,
        "data": store.info.tasks[task].data, "seed": draw.seed, "steps": draw.steps,
        "metric": metric.name, "variant": metric.variant,
        "n": 0, "unit": metric.unit, "higher_is_better": metric.higher_is_better,
        "protocol": f"{store.info.protocol} {metric.protocol}", "status": "ok",
    }  # fmt: skip


def _why(metric: MetricInfo) -> str:
    return "; ".join(filter(None, (metric.missing, metric.fetch)))


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
    store: Store, session: "Session", key: str, group: tuple[str, str, Draw]
) -> dict[str, Any]:
    """Compute one set metric over the pictures that exist; its n says how many they are."""
    method, task, draw = group
    metric = metric_of(key)
    if store.info.tasks[task].shave:
        return {"status": "not measured", "note": "it looks at whole pictures; a border is shaved"}
    scenes = store.scenes(task)
    cells = [Cell(method, task, draw, image) for image in scenes]
    made = [cell.image for cell in cells if store.has(cell)]
    if metric.extractor is None or metric.distance is None:
        raise UsageError(f"{key} looks at single images, it is no set metric")
    found, small = large_enough(store, task, metric.extractor, made)
    gone = len(cells) - len(made)
    notes = [f"{gone} of {len(cells)} images failed"] if gone else []
    notes += [f"{image}: {why}" for image, why in small.items()]
    if len(found) < 2:
        return {"status": "failed", "note": "; ".join(notes) or "needs at least two images"}
    files = [store.path(Cell(method, task, draw, image)) for image in found]
    restored = session.clustered(metric.extractor, files)
    clean = session.clustered(metric.extractor, [store.clean_path(task, image) for image in found])
    if EXTRACTORS[metric.extractor].patch is not None:
        notes.append(f"{len(clean.rows)} crops")
    own = [scenes[image] for image in found]
    # The second arm is the reference itself: a jackknife of one arm never looks at it.
    blocks = partial(clustered_blocks, metric.distance, restored, clean, clean)
    interval = _interval(lambda: jackknife(blocks(), own))
    value = session.set_value(metric, restored.rows, clean.rows)
    made_of = {"n": len(found), "scenes": len(set(own)), "note": "; ".join(notes)}
    return made_of | {"value": value} | interval
