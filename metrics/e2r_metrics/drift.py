"""The drift gate: numbers that must not move, and what to say when one does.

Goldens are values of the catalog's functions on inputs made from seeds; they are written only by
an explicit call with a reason, which is recorded beside them.
"""

import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_text

GOLDENS = Path(__file__).with_name("goldens.json")
PACKAGES = ("numpy", "scipy", "opencv-python-headless", "pillow", "torch", "torchvision", "timm")
Precision = Literal["float64", "float32", "network", "features"]
TOLERANCE: Mapping[Precision, float] = {
    "float64": 1e-12, "float32": 1e-6, "network": 1e-5, "features": 1e-4
}  # fmt: skip
"""Relative, with an absolute floor of the same size: what a changed order of sums may move.

A "network" in float32 gives a picture's number, "features" are a network's, compared as a set.
"""


@dataclass(frozen=True)
class Golden:
    """One watched number.

    Attributes:
        name: what is computed, on what.
        value: what it was.
        dtype: the precision it is computed in, which sets the tolerance.
        tolerance: instead of that; relative, with an absolute floor of the same size.
    """

    name: str
    value: float
    dtype: Literal["float64", "float32"]
    tolerance: float | None = None

    @property
    def allowed(self) -> float:
        """Return the tolerance."""
        return TOLERANCE[self.dtype] if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class Record:
    """All goldens, why they were written, when, and with which packages."""

    reason: str
    written: str
    versions: Mapping[str, str]
    goldens: tuple[Golden, ...]


@dataclass(frozen=True)
class Moved:
    """One number that is not what it was; `now` is None where it could not be computed."""

    golden: Golden
    now: float | None

    def __str__(self) -> str:
        own = self.golden.tolerance is not None
        allowed = f"{self.golden.allowed:g} ({'given' if own else self.golden.dtype})"
        if self.now is None:
            return f"{self.golden.name}: golden {self.golden.value!r}, no longer computed"
        gap = self.now - self.golden.value
        return (
            f"{self.golden.name}: {self.golden.value!r} -> {self.now!r}, moved by {gap:.3g}, "
            f"allowed {allowed}"
        )


@dataclass(frozen=True)
class Drift:
    """What a check found: the numbers that moved, and the packages that changed since."""

    checked: int
    moved: tuple[Moved, ...]
    changed: Mapping[str, tuple[str, str]]


Numbers = Callable[[], Iterator[Golden]]


def check(path: Path, numbers: Numbers) -> Drift:
    """Recompute the numbers and compare them with the goldens in `path`.

    Those of the catalog are `GOLDENS` and `goldens.catalog_numbers`.

    Raises:
        UsageError: no goldens there, or a number that has no golden yet.
    """
    record = read_record(path)
    now = {golden.name: golden for golden in numbers()}
    new = sorted(set(now) - {golden.name for golden in record.goldens})
    if new:
        raise UsageError(f"{path}: no golden for {', '.join(new)}; write goldens with a reason")
    pairs = [(golden, now.get(golden.name)) for golden in record.goldens]
    moved = compare(pairs)
    versions = package_versions()
    changed = {
        name: (before, versions.get(name, "absent"))
        for name, before in record.versions.items()
        if versions.get(name, "absent") != before
    }
    return Drift(len(pairs), moved, changed)


def compare(pairs: Sequence[tuple[Golden, Golden | None]]) -> tuple[Moved, ...]:
    """Return which numbers moved, from goldens and what they are now; that has the tolerance."""
    return tuple(
        Moved(
            replace(golden, tolerance=now.tolerance) if now else golden, now.value if now else None
        )
        for golden, now in pairs
        if now is None or not _close(replace(golden, tolerance=now.tolerance), now.value)
    )


def write(reason: str, path: Path, numbers: Numbers) -> Record:
    """Write goldens anew, whole or not at all.

    Raises:
        UsageError: a reason too short to be one, or a file among installed packages.
    """
    installed = {"site-packages", "dist-packages"} & set(path.resolve().parts)
    if installed:
        raise UsageError(
            f"{path}: expected a file in your own repository, found one among installed packages; "
            "give --goldens FILE"
        )
    if len(reason.split()) < 3:
        raise UsageError(f"expected a reason of at least three words, found {reason!r}")
    when = datetime.now(UTC).date().isoformat()
    record = Record(reason.strip(), when, package_versions(), tuple(numbers()))
    content = {**asdict(record), "goldens": [_told(golden) for golden in record.goldens]}
    write_text(path, json.dumps(content, indent=1) + "\n")
    return record


def _told(golden: Golden) -> dict[str, str | float]:
    """Return a golden as it is written: its precision says the tolerance, unless it has its own."""
    return {key: value for key, value in asdict(golden).items() if value is not None}


def read_record(path: Path) -> Record:
    """Read goldens.

    Raises:
        UsageError: no such file, or not one that `write` made.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        goldens = tuple(Golden(**row) for row in content["goldens"])
        return Record(content["reason"], content["written"], content["versions"], goldens)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: expected a file of goldens: {error}") from error


def report(drift: Drift) -> Sequence[str]:
    """Return what a person should read, line by line."""
    lines = [f"{drift.checked} numbers checked, {len(drift.moved)} moved"]
    lines += [f"  {moved}" for moved in drift.moved]
    lines += [f"  {name}: {old} -> {new}" for name, (old, new) in drift.changed.items()]
    return lines


def package_versions() -> dict[str, str]:
    """Return the versions of what the numbers stand on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def _close(golden: Golden, now: float) -> bool:
    if np.isinf(golden.value) or np.isnan(golden.value):
        return bool(np.array_equal(golden.value, now, equal_nan=True))
    allowed = golden.allowed * max(1.0, abs(golden.value))
    return bool(abs(now - golden.value) <= allowed)
