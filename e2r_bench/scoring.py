"""Per-image numbers: from the pictures on disk to the rows of per_image.jsonl."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_baselines.method import Draw
from e2r_bench.plan import Plan
from e2r_bench.restore import Failures, Watch
from e2r_bench.runs import ROWS, Row, Run, read_rows
from e2r_metrics.base.files import write_text
from e2r_metrics.base.pictures import EightBit, read_image
from e2r_metrics.catalog import Metric

if TYPE_CHECKING:
    from e2r_metrics import Session


@dataclass(frozen=True)
class _Cell:
    """One restored picture."""

    method: str
    task: str
    image: str
    scene: str
    draw: Draw


def score_all(plan: Plan, run: Run, session: "Session", failures: Failures, watch: Watch) -> None:
    """Append the rows that are missing, in the plan's order, so that a resumed file is the same.

    Every number is computed from the 8-bit picture on disk, one picture at a time: it can be
    recomputed from the run folder alone, and no batch changes it.
    """
    path = run.folder / ROWS
    done = {row.key() for row in _kept(path)}
    cells = list(_cells(plan, run))
    with path.open("a", encoding="utf-8") as stream:
        for count, cell in enumerate(cells, 1):
            metrics = [
                metric
                for metric in plan.metrics[cell.task]
                if metric.per_image
                and metric.id not in plan.missing
                and _key(cell, metric) not in done
            ]
            for row in _rows(run, session, cell, metrics, failures):
                stream.write(row.model_dump_json() + "\n")
            stream.flush()
            watch("score", count, len(cells))


def _kept(path: Path) -> Sequence[Row]:
    """Keep the whole and successful rows; a cut line and failures are computed again."""
    rows = read_rows(path)
    kept = [row for row in rows if row.status == "ok"]
    content = "".join(row.model_dump_json() + "\n" for row in kept)
    if not path.is_file() or path.stat().st_size != len(content.encode()):
        write_text(path, content)
    return kept


def _cells(plan: Plan, run: Run) -> Iterator[_Cell]:
    for method in plan.methods:
        name = method.spec.name
        for pictures in plan.tasks:
            for draw in run.draws(name):
                for source in pictures.sources:
                    yield _Cell(name, pictures.task.name, source.id, source.scene, draw)


def _key(cell: _Cell, metric: Metric) -> tuple[str, str, str, int, int, str, str]:
    draw = cell.draw
    return (
        cell.method, cell.task, cell.image, draw.seed, draw.steps, metric.name, metric.variant
    )  # fmt: skip


def _rows(
    run: Run, session: "Session", cell: _Cell, metrics: Sequence[Metric], failures: Failures
) -> Iterator[Row]:
    if not metrics:
        return
    path = run.restored_path(cell.method, cell.task, cell.draw, cell.image)
    if not path.is_file():
        note = failures.get((cell.method, cell.task, cell.image), "no picture; run again to resume")
        yield from (_row(run, cell, metric, None, note) for metric in metrics)
        return
    restored, clean = read_image(path), read_image(run.clean_path(cell.task, cell.image))
    for metric in metrics:
        yield _row(run, cell, metric, _value(session, metric, restored, clean))


def _value(session: "Session", metric: Metric, restored: EightBit, clean: EightBit) -> float:
    return float(session.per_image(metric, [restored], [clean])[0])


def _row(run: Run, cell: _Cell, metric: Metric, value: float | None, note: str = "") -> Row:
    return Row(
        method=cell.method,
        build=run.info.methods[cell.method].build,
        task=cell.task,
        image=cell.image,
        scene=cell.scene,
        seed=cell.draw.seed,
        steps=cell.draw.steps,
        metric=metric.name,
        variant=metric.variant,
        value=value,
        status="failed" if value is None else "ok",
        protocol=f"{run.info.protocol} {metric.protocol}",
        note=note,
    )
