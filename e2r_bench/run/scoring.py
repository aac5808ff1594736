"""Per-image numbers: from the pictures on disk to the rows of per_image.jsonl."""

from collections.abc import Iterator, Sequence, Set
from typing import TYPE_CHECKING

from e2r_bench.maps.shares import SHARES, measure_shares
from e2r_bench.run.plan import Plan
from e2r_bench.run.restore import Watch
from e2r_bench.store.cell import Cell
from e2r_bench.store.index import Kind, kind_of
from e2r_bench.store.info import Row
from e2r_bench.store.store import ROWS, Store
from e2r_metrics.base.errors import E2RError, PictureError, one_line
from e2r_metrics.base.pictures import EightBit, read_image
from e2r_metrics.catalog import Metric
from e2r_metrics.view import View

if TYPE_CHECKING:
    from e2r_metrics import Session

_NO_PICTURE = "no picture; run again to resume"


def score_all(plan: Plan, store: Store, session: "Session", watch: Watch) -> None:
    """Append the rows that are missing, then put all into the plan's order.

    Every number is computed from the 8-bit picture on disk, one picture at a time: it can be
    recomputed from the run folder alone, and no batch changes it.
    """
    _drop_void(store)
    total = asked_count(plan, store)
    todo = list(missing_rows(plan, store))
    done = total - len(todo)
    watch("score", done, total)
    for count, (cell, keys) in enumerate(todo, done + 1):
        metrics = [metric for metric in plan.metrics[cell.task] if metric.id in keys]
        shares = [key for key in SHARES if key in keys]
        store.put_rows(rows_of(store, session, cell, metrics, shares))
        watch("score", count, total)
    store.order_rows()


def put_aside(store: Store) -> Iterator[str]:
    """Yield which metrics an earlier call measured, and another variant now stands for."""
    seen = {(key, task) for _, task, _, key in store.rows().index.groups}
    for key, task in sorted(seen):
        if task in store.info.tasks and not store.has_metric(task, key):
            now = store.info.tasks[task].variants.get(key.partition(":")[0])
            yield (
                f"{key} on {task}: measured by an earlier call, and not shown any more: variant "
                f"{now} stands in its place; its values stay in {ROWS}"
            )


def asked_count(plan: Plan, store: Store) -> int:
    """Return how many pictures this call, and not an earlier one on the folder, asks for."""
    return sum(_asked(plan, cell) for cell in store.cells())


def _asked(plan: Plan, cell: Cell) -> bool:
    """Return whether this call, and not an earlier one on the folder, asks for a cell."""
    return any(m.name == cell.method for m in plan.methods) and cell.task in plan.metrics


def missing_rows(plan: Plan, store: Store) -> Iterator[tuple[Cell, Set[str]]]:
    """Yield the cells that lack a row, with the ids of the rows' metrics, in the plan's order."""
    index = store.rows().index
    for method in plan.methods:
        for task in (one for one in plan.metrics if one not in method.unserved):
            metrics = plan.metrics[task]
            keys = [*_measured(plan, metrics), *(SHARES if plan.truth else ())]
            for draw in store.draws(method.name):
                there = {key: index.images((method.name, task, draw, key)) for key in keys}
                for image in store.images(task):
                    gone = frozenset(key for key in keys if image not in there[key])
                    if gone:
                        yield Cell(method.name, task, draw, image), gone


def _measured(plan: Plan, metrics: Sequence[Metric]) -> Iterator[str]:
    return (m.id for m in metrics if m.per_image and m.id not in plan.missing)


def _drop_void(store: Store) -> None:
    """Remove rows that no longer mean what they say, and a torn one: they are measured again."""
    index = store.rows().index
    kinds = {kind for kind in index.kinds() if _holds(store, kind)}
    known = {task: frozenset(store.images(task)) for task in store.info.tasks}
    whole = index.plain and len(kinds) == sum(1 for _ in index.kinds())
    if whole and all(index.images(group) <= known[group[1]] for group in index.groups):
        return
    store.replace_rows(
        row for row in store.rows().all if kind_of(row) in kinds and row.image in known[row.task]
    )


def _holds(store: Store, kind: Kind) -> bool:
    """Return whether rows of a kind are good values, of cells and metrics of now."""
    method, task, draw, key = kind.group
    metric = store.info.metrics.get(key)
    if kind.status != "ok" or metric is None or task not in store.info.tasks:
        return False
    if method not in store.info.methods or draw not in store.draws(method):
        return False
    if task not in store.tasks(method):
        return False
    told = f"{store.info.protocol} {metric.protocol}"
    return (kind.build, kind.protocol) == (store.info.methods[method].build, told)


def rows_of(
    store: Store, session: "Session", cell: Cell, metrics: Sequence[Metric], shares: Sequence[str]
) -> Iterator[Row]:
    """Yield a cell's rows, measured from its picture on disk; a picture that is gone fails.

    Args:
        store: the run.
        session: metrics with their networks.
        cell: whose picture is measured.
        metrics: of single pictures, to measure.
        shares: ids in `maps.shares.SHARES`, to measure too.
    """
    keys = [*(metric.id for metric in metrics), *shares]
    if not keys:
        return
    if not store.has(cell):
        note = store.failure(cell) or _NO_PICTURE
        yield from (_row(store, cell, key, None, note) for key in keys)
        return
    info = store.info.tasks[cell.task]
    view = View(shave=info.shave)
    # Without a truth, what is measured looks at the picture alone, or at its input.
    truth = store.clean_path(cell.task, cell.image) if info.truth else store.path(cell)
    try:
        restored, clean = map(view.apply, (read_image(store.path(cell)), read_image(truth)))
    except PictureError as error:
        yield from (_row(store, cell, key, None, one_line(error)) for key in keys)
        return
    for metric in metrics:
        try:
            reference = _reference(store, cell, metric, view, clean)
            value = _value(session, metric, restored, reference)
        except E2RError as error:
            yield _row(store, cell, metric.id, None, one_line(error))
        else:
            yield _row(store, cell, metric.id, value)
    yield from _share_rows(store, cell, shares, restored, clean)


def _reference(store: Store, cell: Cell, metric: Metric, view: View, clean: EightBit) -> EightBit:
    """Return what a metric compares with: few look at what was restored."""
    if metric.against == "clean":
        return clean
    return view.apply(read_image(store.degraded_path(cell.task, cell.image)))


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
    metric, method = store.info.metrics[key], store.info.methods[cell.method]
    return Row(
        method=cell.method,
        build=method.build,
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
        note=note or method.cost_note(cell.draw.steps),
    )
