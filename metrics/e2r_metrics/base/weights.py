"""The one place that knows where weight files are and may open a connection for them.

Files are declared as data, in the `weights.toml` of each package; the head of this package's file
documents the format. A file is looked for in the user's folders, then in the caches of other
tools, then downloaded when it is small; its SHA-256 is checked wherever it came from.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2r_metrics.base.declarations import WeightFile
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError, WeightsError, unknown
from e2r_metrics.base.places import Place, fetched_path, local_candidates

UNASKED_BYTES = 150_000_000
"""Nothing larger is downloaded unless the user asks for that file."""


@dataclass(frozen=True)
class Found:
    """A file (or folder) that is here and is what it should be."""

    name: str
    path: Path
    where: str
    sha256: str


@dataclass(frozen=True)
class Missing:
    """A file that is not here: why, the command that would fetch it, and its size in bytes."""

    name: str
    reason: str
    command: str
    size: int

    @property
    def words(self) -> str:
        """Return the reason, and the command where there is one."""
        return f"{self.reason}; to fetch: {self.command}" if self.command else self.reason


class Resolver:
    """Finds weight files; every answer is given once per run and remembered."""

    def __init__(
        self,
        declared: Mapping[str, WeightFile],
        directories: Sequence[Path] = (),
        *,
        offline: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Take what is known and what is allowed.

        Args:
            declared: files by name, from `read_declarations`.
            directories: the user's folders, searched first; those of `E2R_WEIGHTS` follow.
            offline: never open a connection.
            say: called with a line before anything is downloaded.
        """
        extra = os.environ.get("E2R_WEIGHTS", "")
        self.declared = declared
        self.directories = (
            *directories,
            *(Path(part).expanduser() for part in extra.split(os.pathsep) if part),
        )
        self.offline = offline
        self._say = say
        self._answers: dict[str, Found | Missing] = {}
        self._unreachable: set[str] = set()

    def find(self, name: str) -> Found | Missing:
        """Return where `name` is; downloads it when it is small and the run is not offline.

        Raises:
            UsageError: nobody declares `name`.
            WeightsError: a user's folder holds another file under its name.
        """
        if name not in self._answers:
            self._answers[name] = self._find(name, download=not self.offline, limit=UNASKED_BYTES)
        return self._answers[name]

    def look(self, name: str) -> Found | Missing:
        """Return where `name` is on this machine, never downloading; errors as `find`."""
        return self._find(name, download=False, limit=0)

    def fetch(self, name: str) -> Found | Missing:
        """Return where `name` is, downloading it whatever its size; errors as `find`."""
        self._answers[name] = self._find(name, download=True, limit=None)
        return self._answers[name]

    def hashes(self, name: str) -> str:
        """Return the SHA-256 of what `find` found for `name`, "" when it is missing."""
        answer = self.find(name)
        return answer.sha256 if isinstance(answer, Found) else ""

    def _find(self, name: str, download: bool, limit: int | None) -> Found | Missing:
        rows = self._rows(name)
        for row in rows:
            if found := self._local(row):
                return found
        reasons: list[str] = []
        for row in rows:
            for place in row.sources:
                if not place.remote:
                    continue
                size = place.size or row.size
                if not download:
                    reasons.append("not on this machine" + (", offline" if self.offline else ""))
                elif limit is not None and (row.kind == "snapshot" or size > limit):
                    reasons.append(f"{_megabytes(size)} are not downloaded unasked")
                elif isinstance(answer := self._download(row, place), Found):
                    return answer
                else:
                    reasons.append(answer)
        return self._missing(name, rows, reasons)

    def _missing(self, name: str, rows: Sequence[WeightFile], reasons: Sequence[str]) -> Missing:
        smallest = min(rows, key=lambda row: row.size)
        why = "; ".join(dict.fromkeys(reasons)) or "no source to fetch it from"
        command = f"e2r-bench weights fetch {name}"
        if not any(place.remote for row in rows for place in row.sources):
            command = f"{_by_hand(smallest)} into a folder and pass --weights FOLDER"
        return Missing(name, f"{smallest.file or name}: {why}", command, smallest.size)

    def _rows(self, name: str) -> tuple[WeightFile, ...]:
        if name not in self.declared:
            raise self._unknown(name)
        row = self.declared[name]
        return tuple(self.declared[other] for other in row.any_of) if row.any_of else (row,)

    def _unknown(self, name: str) -> UsageError:
        holders = [one for one, row in self.declared.items() if name and row.file == name]
        if holders:
            return UsageError(
                f"unknown weight file {name!r}: expected a name, found the file of "
                f"{' and '.join(holders)}; give {holders[0]}"
            )
        return unknown("weight file", name, self.declared)

    def _local(self, row: WeightFile) -> Found | None:
        for folder in self.directories:
            path = folder / row.file
            if path.exists():
                if not (found := _checked(row, path, f"--weights {folder}")):
                    raise WeightsError(_another(row, path))
                return found
        for path, where in local_candidates(row.sources, row.kind):
            if path.exists() and (found := _checked(row, path, where)):
                return found
        path = fetched_path(row.sha256, row.file)
        return _checked(row, path, "downloaded before") if path.exists() else None

    def _download(self, row: WeightFile, place: Place) -> Found | str:
        from e2r_metrics.base.fetch import fetch_place

        if row.notice:
            self._say(f"{row.name}: {row.notice}")
        size = _megabytes(place.size or row.size)
        self._say(f"fetching {row.name} ({row.licence}, {size}) from {place.title}")
        path = fetched_path(row.sha256, row.file)
        problem = fetch_place(place, path, self._unreachable)
        if problem:
            return problem
        if row.kind == "snapshot":
            return self._local(row) or f"{place.title}: the snapshot lacks declared files"
        found = _checked(row, path, place.title)
        if found is None:
            message = _another(row, path)
            path.unlink(missing_ok=True)
            return message
        return found


def _checked(row: WeightFile, path: Path, where: str) -> Found | None:
    """Return what was found, if its content is what was declared."""
    if row.kind in ("file", "unpinned"):
        digest = sha256_of(path) if path.is_file() else ""
        good = bool(digest) and digest.startswith(row.sha256)
        return Found(row.name, path, where, digest) if good else None
    inside = row.files or {}
    if not all((path / relative).is_file() for relative in inside):
        return None
    if row.kind == "snapshot":
        return Found(row.name, path, where, path.name)
    digests = {relative: sha256_of(path / relative) for relative in sorted(inside)}
    if any(digests[relative] != expected for relative, expected in inside.items()):
        return None
    return Found(row.name, path, where, "+".join(digest[:16] for digest in digests.values()))


def _by_hand(row: WeightFile) -> str:
    """Return what to put, and from which page; a package that holds the file has none of it."""
    if not row.licence_url or any(place.kind == "package" for place in row.sources):
        return f"put {row.file}"
    return f"get {row.file} by way of {row.licence_url}, put it"


def _another(row: WeightFile, path: Path) -> str:
    found = sha256_of(path) if path.is_file() else "a folder"
    return (
        f"{path}: expected {row.title} with sha256 {row.sha256 or 'of its parts'}, "
        f"found {found}; remove it or put the right file there"
    )


def _megabytes(size: int) -> str:
    if not size:
        return "size not stated"
    return f"{size / 1e6:.1f} MB" if size < 10_000_000 else f"{size / 1e6:.0f} MB"
