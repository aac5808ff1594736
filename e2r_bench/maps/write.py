"""Maps of a run, on disk: PNG with a scale, contact sheets, npz, rows of scores, trust masks."""

import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from e2r_baselines.consistency import has_model
from e2r_baselines.tasks import TASKS, Task
from e2r_bench.maps.bands import Map
from e2r_bench.maps.compute import (
    SCALES,
    VERSION,
    Maps,
    Sample,
    SpatialLpips,
    all_maps,
    check_names,
)
from e2r_bench.maps.paint import paint
from e2r_bench.maps.selection import restorers, seeds_of, shown_draw
from e2r_bench.maps.sheet import contact_sheet, head
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import NO_TRUTH, Row
from e2r_bench.store.names import cell_folder, cell_of
from e2r_bench.store.rows import RowFile, Rows
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import PictureError, UsageError, unknown
from e2r_metrics.base.files import write_bytes, write_text
from e2r_metrics.base.pictures import read_image, write_png

ROWS = "maps/per_image.jsonl"
VARIANT = "map"
"""What the rows of maps say in place of a metric's variant."""
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What to map.

    Attributes:
        methods, tasks: names; empty for all restorers and tasks.
        maps: which maps to write; empty for all.
        limit: the first so many pictures of a task.
    """

    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    limit: int | None = None


@dataclass(frozen=True)
class Mapped:
    """What came of a call.

    Attributes:
        cells: the pictures that have maps now.
        failed: picture -> why it has none, or lacks some.
    """

    cells: tuple[Cell, ...]
    failed: Mapping[Cell, str]


def write_maps(store: Store, wanted: Wanted, lpips: SpatialLpips | None, watch: Watch) -> Mapped:
    """Write the maps of every picture wanted; a picture that cannot be mapped is told, by name.

    PNG, sheets and npz (float16) stand in `maps/<method>/<task>/seed<k>_steps<n>/`, scores in
    `maps/per_image.jsonl`, as rows like those of the metrics; rows of other pictures stay.

    Raises:
        UsageError: an unknown method, task or map, a folder that cannot be written, or pictures
            without a truth that no map can be made of.
    """
    check_names(wanted.maps)
    cells = tuple(_cells(store, wanted))
    _refuse_blind(store, cells)
    rows: list[Row] = []
    mapped: list[Cell] = []
    failed: dict[Cell, str] = {}
    for count, cell in enumerate(cells, 1):
        try:
            found = all_maps(_sample(store, cell), lpips)
        except PictureError as error:
            failed[cell] = str(error)
        else:
            mapped.append(cell)
            rows += _write_one(store, cell, wanted.maps, found)
            failed |= {cell: "; ".join(found.left_out.values())} if found.left_out else {}
        watch("maps", count, len(cells))
    _write_rows(store, rows, set(cells))
    return Mapped(tuple(mapped), failed)


def _refuse_blind(store: Store, cells: Sequence[Cell]) -> None:
    """Refuse where not one picture can have a map: no truth, no model, and a single seed."""
    for cell in cells:
        told, seeds = store.info.tasks[cell.task], seeds_of(store, cell.method)
        if told.truth or has_model(_task(cell.task).kind) or len(seeds) > 1:
            return
    if cells:
        raise UsageError(
            f"{store.folder}: expected pictures that a map can be made of: {NO_TRUTH}, no model "
            "of their degradation is known, and there is one seed; run a task with a model, such "
            "as --tasks dehaze or derain, or several --seeds"
        )


def _task(name: str) -> Task:
    # Of a task that is data no model of its degradation is known.
    return TASKS.get(name, Task(name, name, ""))


def _write_one(store: Store, cell: Cell, names: Collection[str], found: Maps) -> list[Row]:
    kept = {k: v for k, v in found.values.items() if not names or k in names}
    for name, values in kept.items():
        write_png(picture_path(store, cell, name), paint(values, SCALES[name]))
    write_arrays(store, cell, kept)
    write_sheet(store, cell, kept)
    return [_row(store, cell, name, value) for name, value in found.scores.items()]


def _write_rows(store: Store, rows: Sequence[Row], renewed: Collection[Cell]) -> None:
    """Write rows beside those of pictures that this call did not touch, in the run's order."""
    place = {cell: at for at, cell in enumerate(store.cells())}
    kept = [row for row in read_map_rows(store).all if cell_of(row) not in renewed]
    whole = [row for row in kept if arrays_path(store, cell_of(row)).is_file()]
    told = [row for row in (*whole, *rows) if cell_of(row) in place]
    ordered = sorted(told, key=lambda row: place[cell_of(row)])
    write_text(store.folder / ROWS, "".join(row.model_dump_json() + "\n" for row in ordered))


def read_map_rows(store: Store) -> Rows:
    """Return the scores of maps as rows with their index; none before `e2r-bench maps`."""
    return RowFile(store.folder / ROWS).rows()


def picture_path(store: Store, cell: Cell, name: str) -> Path:
    """Return the path of a map's PNG."""
    return _folder(store, cell) / f"{cell.image}.{name}.png"


def sheet_path(store: Store, cell: Cell) -> Path:
    """Return the path of a picture's contact sheet."""
    return picture_path(store, cell, "sheet")


def write_sheet(store: Store, cell: Cell, maps: Mapping[str, Map]) -> None:
    """Write input, output, truth and these maps of a picture on one sheet, with its names."""
    photos = {
        "input": store.degraded_path(cell.task, cell.image),
        "restored": store.path(cell),
    }
    if store.info.tasks[cell.task].truth:
        photos["ground truth"] = store.clean_path(cell.task, cell.image)
    pixels = {name: read_image(path) for name, path in photos.items()}
    ordered = {name: maps[name] for name in SCALES if name in maps}
    draw = f"seed {cell.draw.seed}, {cell.draw.steps} steps"
    title = head((cell.method, cell.task, cell.image, draw))
    write_png(sheet_path(store, cell), contact_sheet(title, pixels, ordered, SCALES))


def arrays_path(store: Store, cell: Cell) -> Path:
    """Return the path of a picture's arrays; keys are names of maps."""
    return _folder(store, cell) / f"{cell.image}.npz"


def read_arrays(store: Store, cell: Cell) -> dict[str, Map]:
    """Return the maps of a picture as float32; none where `e2r-bench maps` has not written any."""
    path = arrays_path(store, cell)
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def write_arrays(store: Store, cell: Cell, maps: Mapping[str, Map]) -> None:
    """Write maps as float16, which keeps three digits."""
    buffer = io.BytesIO()
    largest = np.finfo(np.float16).max
    halves = {k: np.clip(v, -largest, largest).astype(np.float16) for k, v in maps.items()}
    np.savez_compressed(buffer, allow_pickle=False, **halves)
    write_bytes(arrays_path(store, cell), buffer.getvalue())


def _folder(store: Store, cell: Cell) -> Path:
    return store.folder / "maps" / cell_folder(cell)


def _cells(store: Store, wanted: Wanted) -> Iterator[Cell]:
    for method in _chosen("method", wanted.methods, restorers(store), store.info.methods):
        draw = shown_draw(store, method)
        for task in _chosen("task", wanted.tasks, list(store.info.tasks), store.info.tasks):
            cells = (Cell(method, task, draw, image) for image in store.images(task))
            yield from [cell for cell in cells if store.has(cell)][: wanted.limit]


def _chosen(
    what: str, asked: Sequence[str], default: Sequence[str], known: Collection[str]
) -> Sequence[str]:
    for name in asked:
        if name not in known:
            raise unknown(f"{what} of this run", name, known)
    return asked or default


def _sample(store: Store, cell: Cell) -> Sample:
    info = store.info.tasks[cell.task]
    drawn = [replace(cell, draw=draw) for draw in seeds_of(store, cell.method)]
    return Sample(
        task=_task(cell.task),
        restored=read_image(store.path(cell)),
        clean=read_image(store.clean_path(cell.task, cell.image)) if info.truth else None,
        degraded=read_image(store.degraded_path(cell.task, cell.image)),
        seeds=[read_image(store.path(one)) for one in drawn if store.has(one)],
        truncate="rounding=truncate" in store.info.protocol,
    )


def _row(store: Store, cell: Cell, name: str, value: float) -> Row:
    return Row(
        method=cell.method,
        build=store.info.methods[cell.method].build,
        task=cell.task,
        image=cell.image,
        scene=store.scenes(cell.task)[cell.image],
        seed=cell.draw.seed,
        steps=cell.draw.steps,
        metric=name,
        variant=VARIANT,
        value=value,
        status="ok",
        protocol=f"{store.info.protocol} maps v{VERSION}",
    )


def write_trust(store: Store, statements: Sequence[Mapping[str, object]]) -> None:
    """Write what was calibrated, on which scenes, and what is promised."""
    write_text(store.folder / "maps" / "trust.json", json.dumps(statements, indent=1) + "\n")
