"""A threshold that was calibrated on one run, used on another: only where nothing seen differs."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from e2r_bench.maps.conformal import Trust
from e2r_bench.maps.looks import Looks, Made, differences, looks_of, made_of, unlike
from e2r_bench.maps.trust import UNIT, masked
from e2r_bench.maps.write import write_trust
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text


@dataclass(frozen=True)
class Calibrated:
    """An entry of a trust.json: a threshold, and what it stands on."""

    trust: Trust
    score: str
    made: Made
    looks: Looks
    calibrated_on: str


@dataclass(frozen=True)
class Carried:
    """What came of a threshold on other pictures.

    Attributes:
        statement: what holds, and on what condition.
        smallest_p: of the comparisons of looks, corrected for their number; no proof of likeness.
        trusted_share: mean share of the pictures that is trusted, in [0, 1].
        broken: scenes with a mask beyond the bound, which the truth of this run tells.
    """

    method: str
    task: str
    score: str
    threshold: float
    statement: str
    calibrated_on: str
    scenes: tuple[str, ...]
    smallest_p: float
    trusted_share: float
    broken: int

    def line(self) -> str:
        """Return what is promised, on which condition, and what came of it here."""
        return (
            f"{self.method} {self.task}: {self.statement}; {100 * self.trusted_share:.1f}% of the "
            f"pixels of {len(self.scenes)} scenes are trusted, {self.broken} of the scenes lie "
            "beyond the bound"
        )


def carry(store: Store, cells: Sequence[Cell], path: Path) -> list[Carried]:
    """Mask the pictures of a run by thresholds of another; nothing is written where one is refused.

    Args:
        store: its maps must have been written, with `ciede2000` and the score among them.
        cells: the pictures.
        path: a trust.json.

    Raises:
        UsageError: no such file, nothing calibrated for a method and task, or pictures that differ
            from those of the calibration in task, degradation, protocol, method or looks.
    """
    known = read_calibrated(path)
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.method, cell.task), []).append(cell)
    chosen = {key: _fitting(store, key, here, known, path) for key, here in groups.items()}
    found = [_carried(store, groups[key], *chosen[key]) for key in groups]
    write_trust(store, [asdict(one) for one in found])
    return found


def read_calibrated(path: Path) -> list[Calibrated]:
    """Read a trust.json that calibrated thresholds; entries that trust nothing are left out.

    Raises:
        UsageError: it is not there, or is none.
    """
    try:
        told: list[Mapping[str, Any]] = json.loads(read_text(path))
        found = [_entry(one) for one in told if one["threshold"] is not None]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"--carry {path}: expected a trust.json of `e2r-bench maps RUN --bound B`, found: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not found:
        raise UsageError(f"--carry {path}: expected a threshold, found only masks without trust")
    return found


def _entry(one: Mapping[str, Any]) -> Calibrated:
    looks = {name: tuple(map(float, values)) for name, values in one["looks"].items()}
    threshold, bound, level = (float(one[key]) for key in ("threshold", "bound", "level"))
    if not all(map(math.isfinite, (threshold, bound, level))):
        raise ValueError("a threshold, bound or level that is no number")
    trust = Trust(threshold, bound, level, len(one["calibration"]))
    where = (str(one["score"]), Made(**one["made"]), Looks(**looks), str(one["calibrated_on"]))
    return Calibrated(trust, *where)


def _fitting(
    store: Store, key: tuple[str, str], cells: Sequence[Cell], known: Sequence[Calibrated],
    path: Path,
) -> tuple[Calibrated, float]:  # fmt: skip
    """Return the entry for a method and task and the smallest p of looks, or refuse it."""
    here = made_of(store, *key)
    nearest = min(known, key=lambda one: len(differences(one.made, here)))
    gone = differences(nearest.made, here)
    if gone:
        raise UsageError(
            f"--carry {path}: nothing was calibrated on what {key[0]} {key[1]} is made of; the "
            f"nearest differs in {'; '.join(gone)}. Its bound would not hold: calibrate on this "
            "run with --bound, or choose --methods and --tasks"
        )
    smallest, differ = unlike(nearest.looks, looks_of(store, cells))
    if differ:
        raise UsageError(
            f"--carry {path}: pictures of {key[0]} {key[1]} look unlike those of the calibration "
            f"({'; '.join(differ)}). Its bound may not hold: calibrate on this run with --bound"
        )
    return nearest, smallest


def _carried(store: Store, cells: Sequence[Cell], found: Calibrated, smallest: float) -> Carried:
    scene = store.scenes(cells[0].task)
    seen = masked(store, cells, found.score, found.trust)
    scenes = tuple(sorted({scene[cell.image] for cell in cells}))
    return Carried(
        method=cells[0].method,
        task=cells[0].task,
        score=found.score,
        threshold=found.trust.threshold,
        statement=(
            f"{found.trust.statement(UNIT)}: those of {found.calibrated_on}, by {found.score}; "
            f"that these {len(scenes)} are exchangeable with them is assumed, not shown (residual, "
            f"texture and brightness compared, smallest p {smallest:.2g})"
        ),
        calibrated_on=found.calibrated_on,
        scenes=scenes,
        smallest_p=smallest,
        trusted_share=float(np.mean([share for _, _, share in seen])),
        broken=len({scene[c.image] for c, inside, _ in seen if inside > found.trust.bound}),
    )
