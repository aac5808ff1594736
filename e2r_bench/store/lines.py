"""Lines of a file of rows, each checked as it is read."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from e2r_bench.store.info import Row
from e2r_metrics.base.errors import UsageError


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line.

    Attributes:
        number: counted from 1.
        place: its first byte in the file.
        end: the byte after its last one.
        row: what it says.
        plain: whether it is written as we write.
    """

    number: int
    place: int
    end: int
    row: Row
    plain: bool


def read_lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a file; a last one that was cut off by a crash is left out.

    Raises:
        UsageError: a line that is no row, which is named, or something else than a file.
    """
    if not path.exists():
        return
    place = 0
    with _opened(path) as stream:
        # Bytes that are no text are those of a row that is none; the line is then named.
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            row = parsed(path, number, line)
            yield Line(number, place, place + len(line), row, written(row) == line)
            place += len(line)


def written(row: Row) -> bytes:
    """Return a row as a line of the file."""
    return row.model_dump_json().encode() + b"\n"


def _opened(path: Path) -> BinaryIO:
    if not path.is_file():
        raise UsageError(
            f"{path}: expected a file of rows, found a folder, pipe or device; remove it: the "
            "pictures are scored again"
        )
    try:
        return path.open("rb")
    except OSError as error:
        raise UsageError(f"{path}: expected a file of rows, found: {error.strerror}") from error


def parsed(path: Path, number: int, line: bytes) -> Row:
    """Return the row that a line holds; `number` names the line where it holds none."""
    try:
        return Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"{path}, line {number}: expected a row of e2r-bench, found {first['msg'].lower()}; "
            "delete the line: that picture is scored again"
        ) from error
