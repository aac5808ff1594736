"""A run folder: pictures, rows, failures and timings by cell; the one way to read and add."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from e2r_baselines.method import Draw
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import Row, RunInfo
from e2r_bench.store.lines import written
from e2r_bench.store.names import cell_folder, cell_of, picture_path
from e2r_bench.store.order import file_order
from e2r_bench.store.reading import read_failures, read_summary, remove_maps
from e2r_bench.store.rows import RowFile, Rows
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import appending, read_text, write_parts, write_text
from e2r_metrics.base.pictures import EightBit, write_png

if TYPE_CHECKING:
    import pandas as pd

RUN_JSON = "run.json"
ROWS = "per_image.jsonl"
TIMING = "timing.jsonl"
FAILURES = "failures.json"
INPUTS = "inputs.json"
RUN_MARKS = (RUN_JSON, INPUTS)
"""What tells a run folder, whole or interrupted: its inputs are written before anything else."""


@dataclass
class Store:
    """A run on disk.

    Attributes:
        folder: the run folder.
        info: the content of its run.json.
    """

    folder: Path
    info: RunInfo
    _row_file: RowFile = field(init=False, repr=False)
    _failed: dict[str, str] = field(init=False, repr=False)
    _scenes: dict[str, dict[str, str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._row_file = RowFile(self.folder / ROWS)
        self._failed = read_failures(self.folder / FAILURES)
        self._scenes = {
            name: dict(zip(task.images, task.scenes, strict=True))
            for name, task in self.info.tasks.items()
        }

    def draws(self, method: str) -> tuple[Draw, ...]:
        """Return the draws that a method has in this run."""
        info = self.info.methods[method]
        seeds = self.info.seeds if info.stochastic else (0,)
        steps = self.info.steps if info.stepped else (0,)
        return tuple(Draw(seed, count) for seed in seeds for count in steps)

    def tasks(self, method: str) -> tuple[str, ...]:
        """Return the tasks that a method has in this run; others were not planned."""
        unserved = self.info.methods[method].unserved
        return tuple(task for task in self.info.tasks if task not in unserved)

    def images(self, task: str) -> tuple[str, ...]:
        """Return the image names of a task, in run order."""
        return self.info.tasks[task].images

    def scenes(self, task: str) -> Mapping[str, str]:
        """Return image -> scene of a task; images of one scene are not independent."""
        return self._scenes[task]

    def cells(self) -> Iterator[Cell]:
        """Yield every cell of the run in its plan's order."""
        for method in self.info.methods:
            for task in self.tasks(method):
                for draw in self.draws(method):
                    for image in self.images(task):
                        yield Cell(method, task, draw, image)

    def has_metric(self, task: str, metric: str) -> bool:
        """Return whether a metric id is the variant that this task is measured by."""
        name, _, variant = metric.partition(":")
        return self.info.tasks[task].variants.get(name) == variant

    def clean_path(self, task: str, image: str) -> Path:
        """Return the clean picture's path, PNG, 8 bits."""
        return self.folder / "pairs" / task / "clean" / f"{image}.png"

    def degraded_path(self, task: str, image: str) -> Path:
        """Return the degraded picture's path, PNG, 8 bits (clipped, where the noise was not)."""
        return self.folder / "pairs" / task / "degraded" / f"{image}.png"

    def path(self, cell: Cell) -> Path:
        """Return the path of a cell's restored picture, PNG, 8 bits."""
        return picture_path(self.folder, cell)

    def has(self, cell: Cell) -> bool:
        """Say whether a cell's picture is there."""
        return self.path(cell).is_file()

    def put_picture(self, cell: Cell, picture: EightBit, seconds: float) -> None:
        """Write a cell's picture and the wall time it took, and forget that it ever failed."""
        write_png(self.path(cell), picture)
        self.made(cell, seconds)

    def made(self, cell: Cell, seconds: float) -> None:
        """Record the wall time of a picture that is there, and forget that it ever failed."""
        # Wall time is never part of the rows, which must not change.
        told = {"method": cell.method, "task": cell.task, "image": cell.image}
        row = told | asdict(cell.draw) | {"seconds": round(seconds, 4)}
        with appending(self.folder / TIMING) as stream:
            stream.write(json.dumps(row) + "\n")
        if self._failed.pop(str(cell), None) is not None:
            self._write_failures()

    def fail(self, cell: Cell, note: str) -> None:
        """Record why a cell has no picture."""
        self._failed[str(cell)] = note
        self._write_failures()

    def drop(self, touched: Callable[[Cell], bool]) -> None:
        """Remove the pictures, rows, failures and maps of some cells."""
        gone = [cell for cell in self.cells() if touched(cell)]
        names = {str(cell) for cell in gone}
        for cell in gone:
            self.path(cell).unlink(missing_ok=True)
            remove_maps(self.folder / "maps" / cell_folder(cell), cell.image)
        self.replace_rows(row for row in self.rows().all if str(cell_of(row)) not in names)
        self._failed = {key: note for key, note in self._failed.items() if key not in names}
        self._write_failures()

    def failure(self, cell: Cell) -> str | None:
        """Return why a cell has no picture, None if nothing went wrong so far."""
        unreadable = self.info.tasks[cell.task].unreadable.get(cell.image)
        return self._failed.get(str(cell)) or unreadable

    def failures(self) -> Mapping[Cell, str]:
        """Return the cells without a picture, then those without a number, and what went wrong."""
        clean = not self._failed and not any(t.unreadable for t in self.info.tasks.values())
        cells = () if clean else self.cells()
        found = {cell: note for cell in cells if (note := self.failure(cell))}
        for row in self.rows().failed():
            cell = cell_of(row)
            if self.failure(cell) is None:
                told = f"{row.metric_id}: {row.note}"
                found[cell] = f"{found[cell]}; {told}" if cell in found else told
        return found

    def _write_failures(self) -> None:
        content = json.dumps(self._failed, indent=1, ensure_ascii=False, sort_keys=True)
        write_text(self.folder / FAILURES, content + "\n")

    def rows(self) -> Rows:
        """Return all rows with their index; read from disk once per version of the file."""
        return self._row_file.rows()

    def put_rows(self, rows: Iterable[Row]) -> None:
        """Append rows; see `order_rows`."""
        with appending(self.folder / ROWS) as stream:
            stream.writelines(row.model_dump_json() + "\n" for row in rows)

    def replace_rows(self, rows: Iterable[Row]) -> None:
        """Write exactly these rows, whole or not at all."""
        write_parts(self.folder / ROWS, (written(row) for row in rows))

    def order_rows(self) -> None:
        """Put the rows into the plan's order; nothing is written where they are in it.

        Every row must be of a cell of this run and of one of its metrics.
        """
        rows = self.rows()
        places, kept = file_order(rows.index, self.info, self.draws)
        if not (kept and rows.index.plain and (self.folder / ROWS).is_file()):
            self.replace_rows(rows.at(place) for place in places)

    def values(self, method: str, task: str, draw: Draw, metric: str) -> dict[str, float]:
        """Return image -> value of a per-image metric id; failed images are left out."""
        found = self.rows().index.values((method, task, draw, metric))
        known = self._scenes[task]
        return {image: value for image, value in found.items() if image in known}

    def frame(self) -> "pd.DataFrame":
        """Return the rows as a frame; columns are the attributes of `Row`."""
        import pandas as pd

        rows = [row.model_dump() for row in self.rows().all]
        return pd.DataFrame(rows, columns=list(Row.model_fields))

    def summary(self) -> "pd.DataFrame":
        """Return summary.csv as a frame; see `reading.read_summary`."""
        return read_summary(self.folder)

    def timings(self) -> Iterator[Mapping[str, Any]]:
        """Yield the wall times of pictures; lines that are damaged are left out."""
        path = self.folder / TIMING
        if not path.is_file():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict) and "seconds" in row:
                yield row


def open_store(folder: Path) -> Store:
    """Open a run folder.

    Raises:
        UsageError: there is no run.json, or it is of another program or another version.
    """
    path = folder / RUN_JSON
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder}: expected a run folder with {RUN_JSON}, found none; make one with "
            "`e2r-bench run`"
        ) from error
    try:
        return Store(folder, RunInfo.model_validate_json(text))
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(".".join(map(str, first["loc"])).split()) or "its start"
        raise UsageError(
            f"{path}: expected a run of this version of e2r-bench, found {first['msg'].lower()} at "
            f"{where}; make it again, or read it with the version that wrote it"
        ) from error


def create_store(folder: Path, info: RunInfo) -> Store:
    """Write run.json, whole or not at all, and return the store."""
    content = json.dumps(info.model_dump(mode="json"), indent=2, ensure_ascii=False)
    write_text(folder / RUN_JSON, content + "\n")
    return Store(folder, info)
