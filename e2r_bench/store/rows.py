"""Rows on disk: read once and indexed, so that no question reads everything again."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from e2r_baselines.method import Draw
from e2r_bench.store.info import Row
from e2r_metrics.base.errors import UsageError

Group = tuple[str, str, Draw, str]
"""Method, task, draw and metric id: the rows behind one number of a table."""


@dataclass(frozen=True)
class Rows:
    """The rows of a run, in the order of the file.

    Attributes:
        all: every whole row.
        groups: the same by `Group`.
    """

    all: Sequence[Row]
    groups: Mapping[Group, Sequence[Row]]


def index(rows: Iterable[Row]) -> Rows:
    """Return rows with their index."""
    groups: defaultdict[Group, list[Row]] = defaultdict(list)
    kept = list(rows)
    for row in kept:
        groups[row.method, row.task, Draw(row.seed, row.steps), row.metric_id].append(row)
    return Rows(kept, groups)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file; a last line that was cut off by a crash is left out.

    Raises:
        UsageError: a line that is no row, or two rows of one cell and metric; the line is named.
    """
    if not path.exists():
        return
    seen: set[tuple[str, str, str, int, int, str, str]] = set()
    with _opened(path) as stream:
        # Bytes that are no text are those of a row that is none; the line is then named.
        for number, line in enumerate(stream, 1):
            if not line.endswith(b"\n"):
                return
            row = _parsed(path, number, line)
            if row.key() in seen:
                raise UsageError(
                    f"{path}, line {number}: expected one row for each cell and metric, found a "
                    f"second one of {' '.join(map(str, row.key()))}; delete the file: the pictures "
                    "are scored again"
                )
            seen.add(row.key())
            yield row


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


def _parsed(path: Path, number: int, line: bytes) -> Row:
    try:
        return Row.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"{path}, line {number}: expected a row of e2r-bench, found {first['msg'].lower()}; "
            "delete the line: that picture is scored again"
        ) from error


@dataclass
class RowFile:
    """A file of rows with its index; read again only when it changed on disk.

    Attributes:
        path: `per_image.jsonl`.
    """

    path: Path
    _rows: Rows = field(default_factory=lambda: index(()))
    _version: tuple[int, ...] = ()

    def rows(self) -> Rows:
        """Return the rows; see `read_rows`."""
        version = self._on_disk()
        if version != self._version:
            self._rows = index(read_rows(self.path))
            self._version = version
        return self._rows

    def _on_disk(self) -> tuple[int, ...]:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return ()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns
