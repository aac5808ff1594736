"""Trust masks of a run: half of its scenes calibrate, the other half is masked and checked."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from e2r_bench.maps.bands import Map
from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.conformal import (
    calibrate,
    largest_threshold,
    local_error,
    smallest_by_scene,
    trusted,
)
from e2r_bench.maps.paint import paint
from e2r_bench.maps.write import Place, picture_path, read_arrays, write_arrays, write_trust
from e2r_bench.runs import Run
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import write_png

SCORES = ("inconsistency", "unexplained", "seed_deviation")
"""Maps that need no truth, in the order in which a score is chosen."""
ERROR = "ciede2000"
UNIT = "CIEDE2000"


@dataclass(frozen=True)
class Checked:
    """What was promised for a method and a task, and what came of it on the held-out scenes."""

    method: str
    task: str
    score: str
    statement: str
    threshold: float | None
    calibration: tuple[str, ...]
    tested: tuple[str, ...]
    trusted_share: float | None
    broken: int


def trust_masks(
    run: Run, places: Sequence[Place], bound: float, level: float, score: str | None
) -> list[Checked]:
    """Calibrate, mask and check every method and task of `places`; write masks and trust.json.

    Args:
        run: maps must have been written, with `ciede2000` and the score among them.
        places: the pictures.
        bound: mean CIEDE2000 allowed inside a mask.
        level: the chance, at most, that a new scene breaks it.
        score: a name in `SCORES`; None for the first that the task has.

    Raises:
        UsageError: maps that are not there, or a bad bound or level.
    """
    found: list[Checked] = []
    for method, task in dict.fromkeys((place.method, place.task) for place in places):
        here = [place for place in places if (place.method, place.task) == (method, task)]
        found.append(_checked(run, here, bound, level, score))
    write_trust(run, [asdict(one) for one in found])
    return found


def split_scenes(scenes: Sequence[str], name: str) -> tuple[set[str], set[str]]:
    """Return two halves of the distinct scenes, drawn by name: calibration and test."""
    distinct = sorted(set(scenes))
    order = rng_for(0, name, "trust calibration split").permutation(len(distinct))
    half = len(distinct) // 2
    return {distinct[k] for k in order[:half]}, {distinct[k] for k in order[half:]}


def _checked(
    run: Run, here: Sequence[Place], bound: float, level: float, score: str | None
) -> Checked:
    method, task = here[0].method, here[0].task
    calibration, test = split_scenes([place.scene for place in here], f"{method}/{task}")
    name = score or _first_score(read_arrays(run, here[0]), here[0])
    held = [place for place in here if place.scene in calibration]
    limits = [
        largest_threshold(values, error, bound) for _, values, error in _pairs(run, held, name)
    ]
    trust = calibrate(smallest_by_scene(limits, [p.scene for p in held]), bound, level)
    masks: dict[str, list[tuple[float, float]]] = {}
    for place, values, error in _pairs(run, [p for p in here if p.scene in test], name):
        mask = trusted(values, trust)
        _write_mask(run, place, mask.astype(np.float32))
        inside = float(error[mask].mean()) if mask.any() else 0.0
        masks.setdefault(place.scene, []).append((inside, float(mask.mean())))
    shares = [share for seen in masks.values() for _, share in seen]
    return Checked(
        method=method,
        task=task,
        score=name,
        statement=trust.statement(UNIT),
        threshold=trust.threshold if math.isfinite(trust.threshold) else None,
        calibration=tuple(sorted(calibration)),
        tested=tuple(sorted(test)),
        trusted_share=float(np.mean(shares)) if shares else None,
        broken=sum(max(inside for inside, _ in seen) > bound for seen in masks.values()),
    )


def _first_score(arrays: dict[str, Map], place: Place) -> str:
    for name in SCORES:
        if name in arrays:
            return name
    raise UsageError(
        f"trust mask: {place.method} on {place.task} has none of {', '.join(SCORES)}; write all "
        "maps, or leave the task out"
    )


def _pairs(run: Run, places: Sequence[Place], name: str) -> Iterator[tuple[Place, Map, Map]]:
    for place in places:
        arrays = read_arrays(run, place)
        if name not in arrays or ERROR not in arrays:
            raise UsageError(
                f"trust mask: {place.image} has no maps {name!r} and {ERROR!r}; write all maps"
            )
        yield place, arrays[name], local_error(arrays[ERROR])


def _write_mask(run: Run, place: Place, mask: Map) -> None:
    arrays = read_arrays(run, place)
    write_arrays(run, place, {**arrays, "trusted": mask})
    write_png(picture_path(run, place, "trusted"), paint(mask, SCALES["trusted"]))
