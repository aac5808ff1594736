"""Public picture sets, as data: what each is, its licence, and how to get it.

They are declared in `public_sets.toml` beside this file, whose head documents the format. What
nobody states is empty there, and said to be unknown: no size, hash or licence is guessed.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError, unknown

_SHA256, _MD5 = 64, 32


@dataclass(frozen=True)
class Archive:
    """A public file, or `names` of single ones, whose hash somebody states.

    Attributes:
        url: of the file; with {name} in it, of each of `names`.
        file: its name.
        stated_by: who states the hash.
        sha256: of the content; of the digests of all names, in their order.
        md5: where only that is stated.
        size: bytes; 0 where nobody states it.
        names: a format of the numbers from 0 on; "" for an archive.
        inside: beginnings of the paths that are unpacked.
    """

    url: str
    file: str
    stated_by: str
    sha256: str = ""
    md5: str = ""
    size: int = 0
    names: str = ""
    inside: tuple[str, ...] = ("",)

    @property
    def digest(self) -> str:
        """Return the hash with its kind, such as "sha256 6f05..."."""
        of = " (of its files' digests)" if self.names else ""
        return f"sha256 {self.sha256}{of}" if self.sha256 else f"md5 {self.md5}"


@dataclass(frozen=True)
class PublicSet:
    """One table of `public_sets.toml`, whose head says what the fields mean."""

    name: str
    title: str
    n: int
    tasks: tuple[str, ...]
    licence: str
    page: str
    layout: str = ""
    note: str = ""
    archive: Archive | None = None

    def how(self) -> str:
        """Return how to get it: the command, or where it is and how it must lie."""
        if self.archive is not None:
            return f"e2r-bench data fetch {self.name}"
        return f"by hand from {self.page}; put it into a folder {self.name}: {self.layout}"


def public_sets(path: Path | None = None) -> dict[str, PublicSet]:
    """Return every set by name.

    Args:
        path: another file of the same form; None for ours.

    Raises:
        UsageError: the file cannot be read, or says what nobody knows.
    """
    place = path or Path(__file__).with_suffix(".toml")
    try:
        tables = tomllib.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{place}: expected a TOML file of public sets: {error}") from error
    return {name: _set(place.name, name, table) for name, table in tables.items()}


def set_named(name: str, known: Mapping[str, PublicSet]) -> PublicSet:
    """Return a set by its name in any case; `UsageError` names the nearest of an unknown one."""
    for key, row in known.items():
        if key.casefold() == name.casefold():
            return row
    raise unknown("public set", name, known)


def _set(file: str, name: str, table: Mapping[str, Any]) -> PublicSet:
    inner = dict(table)
    raw = inner.pop("archive", None)
    where = f"{file} [{name}]"
    archive = None if raw is None else _archive(where, raw)
    found: PublicSet = _made(PublicSet, where, {**inner, "name": name, "archive": archive})
    if archive is None and not found.layout:
        raise UsageError(f"{where}: expected `archive` or `layout`, found neither")
    return found


def _archive(where: str, table: Mapping[str, Any]) -> Archive:
    found: Archive = _made(Archive, f"{where} archive", table)
    hashes = (len(found.sha256), len(found.md5))
    if hashes not in ((_SHA256, 0), (0, _MD5)):
        raise UsageError(f"{where}: expected one whole sha256 or md5, found lengths {hashes}")
    if bool(found.names) != ("{name}" in found.url) or (found.names and not found.sha256):
        raise UsageError(f"{where}: expected {{name}} in the address, and a sha256, with `names`")
    return found


def _made(kind: type[Any], where: str, table: Mapping[str, Any]) -> Any:
    known = {field.name for field in fields(kind)}
    for key in table:
        if key not in known:
            raise unknown(f"key in {where}", key, known)
    lists = {key: tuple(value) for key, value in table.items() if isinstance(value, list)}
    try:
        return kind(**{**table, **lists})
    except TypeError as error:
        raise UsageError(f"{where}: {error}") from error
