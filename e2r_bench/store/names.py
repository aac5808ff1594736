"""Names on disk: different cells never share a file, whatever their methods are called."""

from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from e2r_baselines.method import Draw
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import Row

_LONGEST_NAME = 120


def cell_of(row: Row) -> Cell:
    """Return the cell that a row is about."""
    return Cell(row.method, row.task, Draw(row.seed, row.steps), row.image)


def cell_folder(cell: Cell) -> Path:
    """Return the folder of a cell's picture below `images/` or `maps/`."""
    drawn = f"seed{cell.draw.seed}_steps{cell.draw.steps}"
    return Path(path_name(cell.method), cell.task, drawn)


def picture_path(folder: Path, cell: Cell) -> Path:
    """Return the path of a cell's restored picture in a run folder, PNG, 8 bits."""
    return folder / "images" / cell_folder(cell) / f"{cell.image}.png"


def path_name(name: str) -> str:
    """Return a method's name as one folder name; different names give different folders."""
    safe = quote(name, safe="")
    if len(safe) <= _LONGEST_NAME:
        return safe
    return f"{safe[:_LONGEST_NAME]}-{sha256(name.encode()).hexdigest()[:16]}"
