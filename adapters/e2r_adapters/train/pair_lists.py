"""Lists of training pairs in a file: a target, a condition picture, and perhaps a caption a row.

Two layouts, told apart by the names of their columns: `image_path,condition_image_path,caption`,
and DiffSynth's metadata, `image,edit_image,prompt`. Either may be CSV, JSON or JSON lines. Paths
are relative to the file. Nothing is guessed: a row that is not whole is refused with its line.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text
from e2r_metrics.base.pairs import Pair as Files

SUFFIXES = (".csv", ".json", ".jsonl")
_LAYOUTS = (
    ("image_path", "condition_image_path", "caption"),
    ("image", "edit_image", "prompt"),
)
_ASKED = " or ".join(",".join(layout) for layout in _LAYOUTS)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Listed:
    """One row of a list.

    Attributes:
        files: the condition picture first, then the target; named by the former.
        caption: what this pair's editor is told; "" where the list has no captions.
    """

    files: Files
    caption: str


def is_list(path: Path) -> bool:
    """Return whether a path names a list of pairs rather than a folder."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def read_list(path: Path) -> list[Listed]:
    """Return the pairs of a list in its order.

    Args:
        path: with one of `SUFFIXES`.

    Raises:
        UsageError: a file that cannot be read, other columns, a row that is not whole, the same
            row twice, or a picture that is not there; with the line (of a JSON array: the entry).
    """
    found: dict[Listed, str] = {}
    layout: tuple[str, ...] | None = None
    for where, row in _rows(path, _text(path)):
        columns = _layout(where, row)
        if layout is not None and columns != layout:
            raise UsageError(f"{where}: expected the columns of the rows before, found others")
        layout = columns
        one = _listed(path.parent, where, row, columns)
        if one in found:
            raise UsageError(f"{where}: the same row as {found[one]}; keep one of them")
        found[one] = where.removeprefix(f"{path}: ")
    if not found:
        raise UsageError(f"{path}: expected rows with {_ASKED}, found none")
    return list(found)


def _text(path: Path) -> str:
    try:
        # Spreadsheets put a byte order mark in front.
        return read_text(path).removeprefix("\ufeff")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise UsageError(f"{path}: expected a list of pairs, found {reason}") from error


def _rows(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    """Yield each row with the place where it stands, in words."""
    if path.suffix.lower() == ".csv":
        yield from _csv_rows(path, text)
    elif path.suffix.lower() == ".jsonl":
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"{path}: line {number}", _object(f"{path}: line {number}", line)
    else:
        entries = _parsed(str(path), text)
        if not isinstance(entries, list):
            raise UsageError(f"{path}: expected a JSON array of rows, found {_kind(entries)}")
        for number, entry in enumerate(entries, 1):
            yield f"{path}: entry {number}", _mapping(f"{path}: entry {number}", entry)


def _csv_rows(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names: list[str] | None = None
    try:
        for cells in reader:
            where = f"{path}: line {reader.line_num}"
            if not cells:
                continue
            if names is None:
                names = [cell.strip() for cell in cells]
                if len(set(names)) < len(names):
                    raise UsageError(f"{where}: expected each column once, found {cells}")
                _layout(where, dict.fromkeys(names))
            elif len(cells) != len(names):
                raise UsageError(
                    f"{where}: expected {len(names)} columns as in the first line, found "
                    f'{len(cells)}; put "quotes" around a caption with commas'
                )
            else:
                yield where, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise UsageError(f"{path}: line {reader.line_num}: expected CSV, found {error}") from error


def _object(where: str, line: str) -> Row:
    return _mapping(where, _parsed(where, line))


def _parsed(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        said = error.msg if isinstance(error, json.JSONDecodeError) else "what is no JSON"
        line = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f"{where}: expected JSON, found: {said}{line}") from error


def _mapping(where: str, entry: Any) -> Row:
    if not isinstance(entry, dict):
        raise UsageError(f"{where}: expected an object with {_ASKED}, found {_kind(entry)}")
    return entry


def _kind(value: Any) -> str:
    return {dict: "an object", list: "an array", str: "a text"}.get(type(value), "another value")


def _layout(where: str, row: Row) -> tuple[str, ...]:
    """Return the columns of a row, of which the caption may be left out for a whole list."""
    for layout in _LAYOUTS:
        for columns in (layout, layout[:2]):
            if set(row) == set(columns):
                return columns
    shown = ",".join(str(key) for key in row)[:120]
    raise UsageError(f"{where}: expected the columns {_ASKED}, and no other, found {shown!r}")


def _listed(folder: Path, where: str, row: Row, columns: tuple[str, ...]) -> Listed:
    said = {column: _cell(where, column, row[column]) for column in columns}
    image, condition = (_file(folder, where, column, said[column]) for column in columns[:2])
    written = Path(said[columns[1]])
    # A path of this machine is not recorded; one below the list is.
    name = written.name if written.is_absolute() else written.as_posix()
    files = Files(str(Path(name).with_suffix("")), condition, image)
    return Listed(files, said[columns[2]] if len(columns) > 2 else "")


def _cell(where: str, column: str, value: Any) -> str:
    if isinstance(value, list) and len(value) > 1:
        raise UsageError(
            f"{where}: expected one picture as {column}, found {len(value)}; editors are trained "
            "on one condition picture"
        )
    (value,) = value if isinstance(value, list) and value else (value,)
    if not isinstance(value, str) or not value.strip():
        found = "none" if value in ("", None) or isinstance(value, str) else _kind(value)
        raise UsageError(f"{where}: expected text as {column}, found {found}")
    return value.strip()


def _file(folder: Path, where: str, column: str, written: str) -> Path:
    path = folder / written
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a zero byte
        there = False
    if not there:
        raise UsageError(f"{where}: {column} {written!r}: no such picture beside the list")
    return path
