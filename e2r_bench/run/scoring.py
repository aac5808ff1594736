"""Per-image numbers: from the pictures on disk to the rows of per_image.jsonl."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from e2r_bench.maps.shares import SHARES, measure_shares
from e2r_bench.run.plan import Plan
from e2r_bench.run.restore import Watch
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import Row
from e2r_bench.store.names import cell_of
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import E2RError, PictureError, one_line
from e2r_metrics.base.pictures import EightBit, read_image
from e2r_metrics.catalog import Metric

if TYPE_CHECKING:
    from e2r_metrics import Session

_NO_PICTURE = "no picture; run again to resume"


def score_all(plan: Plan, store: Store, session: "Session", watch: Watch) -> None:
    """Append the rows that are missing, then put all into the plan's order.

    Every number is computed from the 8-bit picture on disk, one picture at a time: it can be
    recomputed from the run folder alone, and no batch changes it.
    """
    store.replace_rows(list(_kept(store)))
    done = {row.key() for row in store.rows().all}
    cells = asked_cells(plan, store)
    for count, cell in enumerate(cells, 1):
        metrics = [m for m in _measured(plan, cell.task) if _key(cell, m.id) not in done]
        shares = [key for key in SHARES if _key(cell, key) not in done]
        store.put_rows(_rows(store, session, cell, metrics, shares))
        watch("score", count, len(cells))
    store.replace_rows(_ordered(store))


def asked_cells(plan: Plan, store: Store) -> list[Cell]:
    """Return the cells that this call, and not an earlier one on the folder, asks for."""
    methods = {method.name for method in plan.methods}
    return [c for c in store.cells() if c.method in methods and c.task in plan.metrics]


def _measured(plan: Plan, task: str) -> Sequence[Metric]:
    return [m for m in plan.metrics[task] if m.per_image and m.id not in plan.missing]


def _kept(store: Store) -> Iterator[Row]:
    """Yield the rows that still mean what they say: a good value, of a cell and metric of now."""
    cells = set(store.cells())
    for row in store.rows().all:
        metric = store.info.metrics.get(row.metric_id)
        if row.status != "ok" or metric is None or cell_of(row) not in cells:
            continue
        build = store.info.methods[row.method].build
        told = f"{store.info.protocol} {metric.protocol}"
        if (row.build, row.protocol) == (build, told):
            yield row


def _ordered(store: Store) -> list[Row]:
    """Return the rows cell by cell in the plan's order, metrics in theirs."""
    cells = {cell: place for place, cell in enumerate(store.cells())}
    metrics = {key: place for place, key in enumerate(store.info.metrics)}
    return sorted(store.rows().all, key=lambda row: (cells[cell_of(row)], metrics[row.metric_id]))


def _key(cell: Cell, key: str) -> tuple[str, str, str, int, int, str, str]:
    name, _, variant = key.partition(":")
    return (cell.method, cell.task, cell.image, cell.draw.seed, cell.draw.steps, name, variant)


def _rows(
    store: Store, session: "Session", cell: Cell, metrics: Sequence[Metric], shares: Sequence[str]
) -> Iterator[Row]:
    keys = [*(metric.id for metric in metrics), *shares]
    if not keys:
        return
    if not store.has(cell):
        note = store.failure(cell) or _NO_PICTURE
        yield from (_row(store, cell, key, None, note) for key in keys)
        return
    restored = read_image(store.path(cell))
    clean = read_image(store.clean_path(cell.task, cell.image))
    for metric in metrics:
        try:
            value = _value(session, metric, restored, clean)
        except E2RError as error:
            yield _row(store, cell, metric.id, None, one_line(error))
        else:
            yield _row(store, cell, metric.id, value)
    yield from _share_rows(store, cell, shares, restored, clean)


def _share_rows(
    store: Store, cell: Cell, keys: Sequence[str], restored: EightBit, clean: EightBit
) -> Iterator[Row]:
    if not keys:
        return
    try:
        values = measure_shares(restored, clean)
    except PictureError as error:
        yield from (_row(store, cell, key, None, one_line(error)) for key in keys)
    else:
        yield from (_row(store, cell, key, values[key]) for key in keys)


def _value(session: "Session", metric: Metric, restored: EightBit, clean: EightBit) -> float:
    return float(session.per_image(metric, [restored], [clean])[0])


def _row(store: Store, cell: Cell, key: str, value: float | None, note: str = "") -> Row:
    metric = store.info.metrics[key]
    return Row(
        method=cell.method,
        build=store.info.methods[cell.method].build,
        task=cell.task,
        image=cell.image,
        scene=store.scenes(cell.task)[cell.image],
        seed=cell.draw.seed,
        steps=cell.draw.steps,
        metric=metric.name,
        variant=metric.variant,
        value=value,
        status="failed" if value is None else "ok",
        protocol=f"{store.info.protocol} {metric.protocol}",
        note=note,
    )
