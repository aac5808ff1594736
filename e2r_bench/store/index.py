"""An index of rows: one number's values, and what is missing, found without reading the rows.

The rows themselves stay lines of JSON, which anybody reads and mends. Their index is a SQLite
database that is made in memory and, for large files, written beside them whole or not at all; it is
never changed, so it needs no journal, no WAL and no lock, works on network file systems and in
folders that cannot be written, and whoever deletes it loses some seconds.
"""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from e2r_baselines.method import Draw
from e2r_bench.store.info import Row
from e2r_bench.store.lines import Line, read_lines
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_bytes

Group = tuple[str, str, Draw, str]
"""Method, task, draw and metric id: the rows behind one number of a table."""

KEPT_FROM = 10_000
"""Rows from which on an index is written to disk: below, reading them again costs less."""
_VERSION = 1
_TABLES = """
CREATE TABLE line (
    grp INTEGER, image INTEGER, place INTEGER, value REAL, status TEXT, how INTEGER,
    PRIMARY KEY (grp, image)
) WITHOUT ROWID;
CREATE TABLE grp (
    id INTEGER PRIMARY KEY, method TEXT, task TEXT, seed INTEGER, steps INTEGER, metric TEXT
);
CREATE TABLE image (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE told (id INTEGER PRIMARY KEY, build TEXT, protocol TEXT);
CREATE TABLE file (
    version INTEGER, stat TEXT, size INTEGER, sha256 TEXT, count INTEGER, plain INTEGER
);
"""


@dataclass(frozen=True)
class Kind:
    """What rows of one group have in common.

    Attributes:
        group: method, task, draw and metric id.
        build: what the method ran with.
        protocol: what was measured how.
        status: as in `Row`.
    """

    group: Group
    build: str
    protocol: str
    status: str


def kind_of(row: Row) -> Kind:
    """Return what a row has in common with others."""
    group = (row.method, row.task, Draw(row.seed, row.steps), row.metric_id)
    return Kind(group, row.build, row.protocol, row.status)


class Index:
    """What can be asked of a file of rows.

    Attributes:
        count: how many whole rows it has.
        plain: whether it is, byte for byte, what we would write of its rows.
        groups: the number of each group.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open database, which is closed with this."""
        weakref.finalize(self, connection.close)
        self._ask = connection.execute
        self.count, plain = self._ask("SELECT count, plain FROM file").fetchone()
        self.plain = bool(plain)
        self.groups: Mapping[Group, int] = {
            (method, task, Draw(seed, steps), metric): number
            for number, method, task, seed, steps, metric in self._ask("SELECT * FROM grp")
        }

    def places(self) -> Iterator[int]:
        """Yield the first byte of each line, in the order of the file."""
        return (place for (place,) in self._ask("SELECT place FROM line ORDER BY place"))

    def places_of(self, group: Group) -> Iterator[int]:
        """Yield the first byte of each line of a group, in the order of the file."""
        asked = "SELECT place FROM line WHERE grp = ? ORDER BY place"
        return (place for (place,) in self._ask(asked, (self.groups.get(group, -1),)))

    def place_in(self, group: Group, image: str) -> int | None:
        """Return the first byte of an image's line in a group; None where it has none."""
        asked = (
            "SELECT place FROM line JOIN image ON image.id = line.image WHERE grp = ? AND name = ?"
        )
        found = self._ask(asked, (self.groups.get(group, -1), image)).fetchone()
        return None if found is None else found[0]

    def failed(self) -> Iterator[int]:
        """Yield the first byte of each line that says "failed", in the order of the file."""
        asked = "SELECT place FROM line WHERE status = 'failed' ORDER BY place"
        return (place for (place,) in self._ask(asked))

    def values(self, group: Group) -> dict[str, float]:
        """Return image -> value of a group, in the order of the file, without those that failed."""
        asked = (
            "SELECT image.name, value FROM line JOIN image ON image.id = line.image "
            "WHERE grp = ? AND value IS NOT NULL ORDER BY place"
        )
        return dict(self._ask(asked, (self.groups.get(group, -1),)))

    def images(self, group: Group) -> frozenset[str]:
        """Return the images that have a row in a group."""
        asked = "SELECT name FROM line JOIN image ON image.id = line.image WHERE grp = ?"
        return frozenset(name for (name,) in self._ask(asked, (self.groups.get(group, -1),)))

    def kinds(self) -> Iterator[Kind]:
        """Yield the kinds of rows that there are."""
        named = {number: group for group, number in self.groups.items()}
        asked = "SELECT DISTINCT grp, build, protocol, status FROM line JOIN told ON told.id = how"
        for number, build, protocol, status in self._ask(asked):
            yield Kind(named[number], build, protocol, status)

    def image_names(self) -> Mapping[int, str]:
        """Return the name of each number of an image in `table`."""
        return dict(self._ask("SELECT id, name FROM image"))

    def table(self) -> Iterator[tuple[int, int, int]]:
        """Yield (number of the group, number of the image, first byte), in the file's order."""
        return self._ask("SELECT grp, image, place FROM line ORDER BY place")


def open_index(path: Path) -> Index:
    """Return the index of a file of rows: the one beside it where that is of just this file.

    Raises:
        UsageError: a line that is no row, or two rows of one cell and metric; the line is named.
    """
    beside = path.with_name(f".{path.stem}.sqlite")
    found = _kept(path, beside)
    if found is not None:
        return found
    connection = _made(path)
    made = Index(connection)
    if made.count >= KEPT_FROM:
        # A folder that cannot be written is read all the same.
        with suppress(UsageError):
            write_bytes(beside, connection.serialize())
    return made


def _kept(path: Path, beside: Path) -> Index | None:
    if not (beside.is_file() and path.is_file()):
        return None
    try:
        uri = f"file:{quote(str(beside.absolute()))}?immutable=1"
        connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        asked = "SELECT version, stat, size, sha256 FROM file"
        version, stat, size, digest = connection.execute(asked).fetchone()
        same = version == _VERSION and size == path.stat().st_size and digest
        if same and (stat == _stat(path) or digest == sha256_of(path)):
            return Index(connection)
        connection.close()
    except (sqlite3.DatabaseError, OSError, TypeError, ValueError):
        return None  # damaged, or of another version: it is made again
    return None


def _stat(path: Path) -> str:
    """Return what no copy and no `touch` can forge; a copy is recognised by its content."""
    found = path.stat()
    return f"{found.st_dev} {found.st_ino} {found.st_mtime_ns} {found.st_ctime_ns}"


def _made(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    connection.executescript(_TABLES)
    builder = _Builder()
    try:
        connection.executemany(
            "INSERT INTO line VALUES (?, ?, ?, ?, ?, ?)", builder.read(path, read_lines(path))
        )
    except sqlite3.IntegrityError as error:
        connection.close()
        raise _repeated(path, builder.line) from error
    except BaseException:
        connection.close()
        raise
    for insert, names in (
        ("INSERT INTO grp VALUES (?, ?, ?, ?, ?, ?)", builder.groups),
        ("INSERT INTO image VALUES (?, ?)", builder.images),
        ("INSERT INTO told VALUES (?, ?, ?)", builder.told),
    ):
        connection.executemany(insert, ((number, *key) for key, number in names.items()))
    connection.execute("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?)", builder.file)
    connection.commit()
    return connection


def _repeated(path: Path, line: Line | None) -> UsageError:
    number, key = (line.number, line.row.key()) if line else (0, ())
    return UsageError(
        f"{path}, line {number}: expected one row for each cell and metric, found a second one of "
        f"{' '.join(map(str, key))}; delete the file: the pictures are scored again"
    )


class _Builder:
    """Turns lines into numbers, and remembers the names behind them."""

    def __init__(self) -> None:
        self.groups: dict[tuple[str, str, int, int, str], int] = {}
        self.images: dict[tuple[str], int] = {}
        self.told: dict[tuple[str, str], int] = {}
        self.line: Line | None = None
        self.file: tuple[object, ...] = ()

    def read(
        self, path: Path, lines: Iterable[Line]
    ) -> Iterator[tuple[int, int, int, float | None, str, int]]:
        there = path.is_file()
        stat, size = (_stat(path), path.stat().st_size) if there else ("", 0)
        count, end, plain = 0, 0, True
        for self.line in lines:
            row, end = self.line.row, self.line.end
            count, plain = count + 1, plain and self.line.plain
            yield (*self._numbers(row), self.line.place, row.value, row.status, self._told(row))
        digest = sha256_of(path) if count >= KEPT_FROM else ""
        self.file = (_VERSION, stat, size, digest, count, plain and end == size)

    def _numbers(self, row: Row) -> tuple[int, int]:
        group = (row.method, row.task, row.seed, row.steps, row.metric_id)
        number = self.groups.setdefault(group, len(self.groups))
        return number, self.images.setdefault((row.image,), len(self.images))

    def _told(self, row: Row) -> int:
        return self.told.setdefault((row.build, row.protocol), len(self.told))
