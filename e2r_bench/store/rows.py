"""Rows on disk: lines of JSON, asked through an index, so that no question reads all of them."""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

from e2r_bench.store.index import Group, Index, open_index
from e2r_bench.store.info import Row
from e2r_bench.store.lines import parsed, read_lines


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, one by one; see `lines.read_lines`."""
    yield from (line.row for line in read_lines(path))


@dataclass(frozen=True)
class Rows:
    """The rows of a file: what they are is read when it is asked for.

    Attributes:
        path: the file.
        index: what is known without reading it.
    """

    path: Path
    index: Index

    @property
    def all(self) -> Sequence[Row]:
        """Return every whole row, in the order of the file."""
        return _Lines(self)

    @property
    def groups(self) -> Mapping[Group, Sequence[Row]]:
        """Return the same by `Group`, each in the order of the file."""
        return _Groups(self)

    def failed(self) -> Iterator[Row]:
        """Yield the rows that say "failed", in the order of the file."""
        yield from (self.at(place) for place in self.index.failed())

    def of(self, group: Group, image: str) -> Row | None:
        """Return an image's row in a group; None where it has none."""
        place = self.index.place_in(group, image)
        return None if place is None else self.at(place)

    def at(self, place: int) -> Row:
        """Return the row of the line that starts at a byte of the file."""
        return parsed(self.path, place, self.line(place))

    def line(self, place: int) -> bytes:
        """Return the line that starts at a byte of the file, with its end."""
        content = self._content
        return content[place : content.find(b"\n", place) + 1]

    @cached_property
    def _content(self) -> mmap.mmap:
        with self.path.open("rb") as stream:
            return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


class _Lines(Sequence[Row]):
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return self._rows.index.count

    def __iter__(self) -> Iterator[Row]:
        return (self._rows.at(place) for place in self._rows.index.places())

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        places = list(self._rows.index.places())[index]
        if isinstance(places, int):
            return self._rows.at(places)
        return [self._rows.at(place) for place in places]


class _Groups(Mapping[Group, Sequence[Row]]):
    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def __getitem__(self, key: Group) -> Sequence[Row]:
        found = [self._rows.at(place) for place in self._rows.index.places_of(key)]
        if not found:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[Group]:
        return iter(self._rows.index.groups)

    def __len__(self) -> int:
        return len(self._rows.index.groups)


@dataclass
class RowFile:
    """A file of rows with its index; looked at again only when it changed on disk.

    Attributes:
        path: `per_image.jsonl`.
    """

    path: Path
    _rows: Rows | None = field(default=None, init=False)
    _version: tuple[int, ...] = field(default=(-1,), init=False)

    def rows(self) -> Rows:
        """Return the rows.

        Raises:
            UsageError: see `lines.read_lines` and `index.open_index`.
        """
        version = self._on_disk()
        if self._rows is None or version != self._version:
            self._rows = Rows(self.path, open_index(self.path))
            self._version = version
        return self._rows

    def _on_disk(self) -> tuple[int, ...]:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return ()
        return stat.st_ino, stat.st_size, stat.st_mtime_ns
