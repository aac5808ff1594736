"""A published run measured again: every row from its picture."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from e2r_bench.bundle.compared import Checked, Number
from e2r_bench.bundle.reading import Finding
from e2r_bench.bundle.resummarise import check_summary, no_pictures
from e2r_bench.maps.shares import SHARES
from e2r_bench.run.restore import Watch
from e2r_bench.run.scoring import rows_of
from e2r_bench.store.cell import Cell
from e2r_bench.store.gaps import groups_of
from e2r_bench.store.info import Row
from e2r_bench.store.names import cell_of
from e2r_bench.store.store import Store
from e2r_metrics import CATALOG

if TYPE_CHECKING:
    from e2r_metrics import Session


def rescore(
    store: Store, session: "Session", moved: Mapping[str, str], watch: Watch
) -> tuple[Checked, Checked]:
    """Measure a run again and compare it, rows first, then the lines of its summary.

    Args:
        store: the run that was laid out, with the pictures that are there.
        session: metrics with their networks.
        moved: packages whose version is another one here.
        watch: told of progress.
    """
    unfit = {key: why for key in store.info.metrics if (why := _unfit(store, session, key))}
    rows, summary = Checked(), Checked()
    rows.differing += _strangers(store)
    cells = list(store.cells())
    for count, cell in enumerate(cells, 1):
        _check_cell(store, session, cell, unfit, rows, moved)
        watch("rescore", count, len(cells))
    check_summary(store, session, unfit, summary, moved)
    return rows, summary


def _strangers(store: Store) -> Iterator[Finding]:
    """Yield the rows that are of no picture of the run."""
    known = set(groups_of(store))
    index = store.rows().index
    for group in index.groups:
        images = index.images(group)
        if group in known and store.info.metrics[group[-1]].per_image:
            images -= set(store.images(group[1]))
        for image in sorted(images):
            cell = Cell(*group[:3], image)
            yield Finding("row", f"{cell} {group[-1]}", "a row of nothing that was run: added")


def _unfit(store: Store, session: "Session", key: str) -> str:
    """Return why a metric cannot be measured here as it was published; "" where it can."""
    info = store.info.metrics[key]
    if info.missing is not None:
        return ""
    here = SHARES.get(key) or CATALOG.get(key)
    if here is None:
        return f"{key}: this machine knows no such metric"
    if here.protocol != info.protocol:
        return f"{key}: this version of e2r-bench defines it in another way"
    if key not in SHARES and (why := session.lacks(CATALOG[key])):
        return f"{key}: {why}"
    for name, digest in info.weights.items():
        if session.weights.hashes(name) != digest:
            return f"{key}: the weights {name} on this machine are others"
    return ""


def _check_cell(
    store: Store,
    session: "Session",
    cell: Cell,
    unfit: Mapping[str, str],
    checked: Checked,
    moved: Mapping[str, str],
) -> None:
    there = dict(_rows_there(store, cell, checked))
    gone = no_pictures(store, cell)
    for key in there:
        if key in unfit or gone:
            checked.unchecked[unfit.get(key, gone)] += 1
    asked = [key for key in there if key not in unfit and not gone]
    metrics = [CATALOG[key] for key in asked if key not in SHARES]
    shares = [key for key in asked if key in SHARES]
    for row in rows_of(store, session, cell, metrics, shares):
        _compare(there[row.metric_id], row, checked, moved)


def _rows_there(store: Store, cell: Cell, checked: Checked) -> Iterator[tuple[str, Row]]:
    """Yield a cell's published rows; one that its group has for other pictures must be there."""
    rows = store.rows()
    for key, metric in store.info.metrics.items():
        group = (cell.method, cell.task, cell.draw, key)
        if not metric.per_image or group not in rows.index.groups:
            continue
        row = rows.of(group, cell.image)
        if row is None:
            told = "other pictures have a row, this one has none: removed"
            checked.differing.append(Finding("row", f"{cell} {key}", told))
        else:
            yield key, row


def _compare(then: Row, now: Row, checked: Checked, moved: Mapping[str, str]) -> None:
    name = f"{cell_of(then)} {then.metric_id}"
    differ = [
        f"{key} {old!r}, expected {new!r}"
        for (key, old), new in zip(then, dict(now).values(), strict=True)
        if key not in ("value", "note") and old != new
    ]
    if differ:
        told = f"altered: {'; '.join(differ)}"
        checked.differing.append(Finding("row", name, told))
    elif then.value is None or now.value is None:
        checked.equal += 1
    else:
        number = Number("row", name, then.metric_id)
        checked.number(number, then.value, now.value, moved)
