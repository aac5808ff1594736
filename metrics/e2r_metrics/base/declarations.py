"""Weight files as data: the `weights.toml` of each package, read and checked."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.places import Place


@dataclass(frozen=True)
class WeightFile:
    """One table of a `weights.toml`, whose head says what the fields mean."""

    name: str
    title: str
    licence: str
    kind: Literal["file", "unpinned", "folder", "snapshot"] = "file"
    file: str = ""
    sha256: str = ""
    size: int = 0
    licence_url: str = ""
    notice: str = ""
    used_by: tuple[str, ...] = ()
    sources: tuple[Place, ...] = ()
    any_of: tuple[str, ...] = ()
    files: Mapping[str, str] | None = None
    edition: int | None = None


def read_declarations(path: Path) -> dict[str, WeightFile]:
    """Read a `weights.toml`.

    Raises:
        UsageError: the file is not there, is not TOML, or has a key that nobody knows.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: expected a TOML file of weight files: {error}") from error
    return {name: _declared(path, name, table) for name, table in tables.items()}


@cache
def declarations_of(package: str) -> Mapping[str, WeightFile]:
    """Return the files that a package's `weights.toml` declares; read once."""
    return MappingProxyType(read_declarations(Path(str(files(package).joinpath("weights.toml")))))


def own_declarations() -> dict[str, WeightFile]:
    """Return the files that this package's metrics need."""
    return dict(declarations_of("e2r_metrics"))


def _declared(path: Path, name: str, table: Mapping[str, Any]) -> WeightFile:
    known = {field.name for field in fields(WeightFile)} - {"name"}
    for key in table:
        if key not in known:
            raise unknown(f"key in {path.name} [{name}]", key, known)
    lists: dict[str, Any] = {key: tuple(table.get(key, ())) for key in ("used_by", "any_of")}
    try:
        lists["sources"] = tuple(Place(**source) for source in table.get("sources", ()))
        row = WeightFile(name=name, **{**table, **lists})
    except TypeError as error:
        raise UsageError(f"{path.name} [{name}]: {error}") from error
    if not row.any_of and not row.file:
        raise UsageError(f"{path.name} [{name}]: expected `file` or `any_of`, found neither")
    if row.kind == "file" and not row.any_of and len(row.sha256) < 8:
        raise UsageError(f"{path.name} [{name}]: expected a sha256 of at least 8 digits")
    return row
