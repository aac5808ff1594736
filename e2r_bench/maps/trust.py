"""Trust masks of a run: half of its scenes calibrate, the other half is masked and checked.

What was calibrated is written with what it stands on, so that `carry` can tell where else it may be
used.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from e2r_bench.maps.bands import Map, texture
from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.conformal import (
    Trust,
    calibrate,
    largest_threshold,
    least_scenes,
    local_error,
    smallest_by_scene,
    trusted,
)
from e2r_bench.maps.looks import Looks, Made, looks_of, made_of
from e2r_bench.maps.paint import paint
from e2r_bench.maps.write import (
    picture_path,
    read_arrays,
    write_arrays,
    write_sheet,
    write_trust,
)
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import NO_TRUTH
from e2r_bench.store.store import Store
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png

TEXTURE = "texture"
SCORES = (TEXTURE, "inconsistency", "unexplained", "seed_deviation")
"""Maps that need no truth, in the order in which a score is chosen; the first is of any output."""
ERROR = "ciede2000"
_EVERY = float(np.finfo(np.float32).max)
UNIT = "CIEDE2000"


@dataclass(frozen=True)
class Checked:
    """What was promised for a method and a task, and what came of it on the held-out scenes.

    Attributes:
        bound, level: mean error allowed inside a mask, and the chance of breaking it.
        threshold: largest score that is trusted; None where nothing is.
        made: what the pictures came from; a threshold is carried to the same only.
        looks: statistics of each calibration scene that need no truth.
        calibrated_on: set, degradation and build; elsewhere nothing is promised.
        trusted_share: mean share of the held-out pictures that is trusted, in [0, 1].
        broken: held-out scenes with a mask beyond the bound.
    """

    method: str
    task: str
    score: str
    statement: str
    threshold: float | None
    calibration: tuple[str, ...]
    tested: tuple[str, ...]
    trusted_share: float | None
    broken: int
    calibrated_on: str
    bound: float
    level: float
    made: Made
    looks: Looks

    def line(self) -> str:
        """Return what is promised, for which pictures, and how much of them is trusted."""
        share = "no" if self.trusted_share is None else f"{100 * self.trusted_share:.1f}%"
        return (
            f"{self.method} {self.task}: {self.statement}; calibrated on {len(self.calibration)} "
            f"scenes of {self.calibrated_on}, by {self.score}; {share} of the pixels of "
            f"{len(self.tested)} held-out scenes are trusted, {self.broken} of the scenes lie "
            "beyond the bound"
        )


def too_few(store: Store, tasks: Sequence[str], level: float) -> Iterator[str]:
    """Yield, before anything is computed, each task whose scenes cannot calibrate the level."""
    least = least_scenes(level)
    for task in tasks or list(store.info.tasks):
        scenes = len(set(store.scenes(task).values()))
        if scenes // 2 < least:
            enough = math.ceil(100 / (scenes // 2 + 1)) / 100
            yield (
                f"{task}: nothing will be trusted: level {level:g} needs {least} calibration "
                f"scenes, half of {scenes} are {scenes // 2}; give {2 * least} scenes or a --level "
                f"of at least {enough:g}"
            )


def refuse_blind(store: Store) -> None:
    """Raise `UsageError` where a task of the run has no truth to calibrate and check on."""
    blind = ", ".join(task for task, told in store.info.tasks.items() if not told.truth)
    if blind:
        raise UsageError(
            f"trust mask: expected a truth to calibrate and check on; {blind}: {NO_TRUTH}"
        )


def trust_masks(
    store: Store, cells: Sequence[Cell], bound: float, level: float, score: str | None
) -> list[Checked]:
    """Calibrate, mask and check every method and task of `cells`; write masks and trust.json.

    Args:
        store: maps must have been written, with `ciede2000` and the score among them.
        cells: the pictures.
        bound: mean CIEDE2000 allowed inside a mask.
        level: the chance, at most, that a new scene breaks it.
        score: a name in `SCORES`; None for the first.

    Raises:
        UsageError: maps that are not there, no truth, or a bad bound or level.
    """
    refuse_blind(store)
    found: list[Checked] = []
    for method, task in dict.fromkeys((cell.method, cell.task) for cell in cells):
        here = [cell for cell in cells if (cell.method, cell.task) == (method, task)]
        found.append(_checked(store, here, bound, level, score))
    write_trust(store, [asdict(one) for one in found])
    return found


def split_scenes(scenes: Sequence[str], name: str) -> tuple[set[str], set[str]]:
    """Return two halves of the distinct scenes, drawn by name: calibration and test."""
    distinct = sorted(set(scenes))
    order = rng_for(0, name, "trust calibration split").permutation(len(distinct))
    half = len(distinct) // 2
    return {distinct[k] for k in order[:half]}, {distinct[k] for k in order[half:]}


def _checked(
    store: Store, here: Sequence[Cell], bound: float, level: float, score: str | None
) -> Checked:
    method, task = here[0].method, here[0].task
    scene = store.scenes(task)
    calibration, test = split_scenes([scene[cell.image] for cell in here], f"{method}/{task}")
    name = score or SCORES[0]
    held = [cell for cell in here if scene[cell.image] in calibration]
    limits = [
        largest_threshold(values, error, bound) for _, values, error in pairs(store, held, name)
    ]
    by_scene = smallest_by_scene(limits, [scene[cell.image] for cell in held])
    trust = calibrate(by_scene, bound, level)
    seen = masked(store, [cell for cell in here if scene[cell.image] in test], name, trust)
    shares = [share for _, _, share in seen]
    broken = {scene[cell.image] for cell, inside, _ in seen if inside > bound}
    return Checked(
        method=method,
        task=task,
        score=name,
        statement=trust.statement(UNIT),
        # Where no calibration scene breaks the bound everything is trusted; JSON has no infinity.
        threshold=min(trust.threshold, _EVERY) if trust.threshold > -math.inf else None,
        calibration=tuple(sorted(calibration)),
        tested=tuple(sorted(test)),
        trusted_share=float(np.mean(shares)) if shares else None,
        broken=len(broken),
        calibrated_on=_where(store, method, task),
        bound=bound,
        level=level,
        made=made_of(store, method, task),
        looks=looks_of(store, held),
    )


def _where(store: Store, method: str, task: str) -> str:
    told = store.info.tasks[task]
    return f"{told.data}, {told.degradation}, build {store.info.methods[method].build}"


def masked(
    store: Store, cells: Sequence[Cell], name: str, trust: Trust
) -> list[tuple[Cell, float, float]]:
    """Write the masks of held-out pictures; return mean error inside and share of each."""
    found: list[tuple[Cell, float, float]] = []
    for cell, values, error in pairs(store, cells, name):
        mask = trusted(values, trust)
        _write_mask(store, cell, mask.astype(np.float32))
        inside = float(error[mask].mean()) if mask.any() else 0.0
        found.append((cell, inside, float(mask.mean())))
    return found


def pairs(store: Store, cells: Sequence[Cell], name: str) -> Iterator[tuple[Cell, Map, Map]]:
    """Yield each picture with its score, which needs no truth, and its local error.

    Raises:
        UsageError: maps that are not there.
    """
    for cell in cells:
        arrays = read_arrays(store, cell)
        if name == TEXTURE:
            arrays[TEXTURE] = texture(read_image(store.path(cell)))
        if name not in arrays or ERROR not in arrays:
            raise UsageError(
                f"trust mask: {cell.image} has no maps {name!r} and {ERROR!r}; write all maps"
            )
        yield cell, arrays[name], local_error(arrays[ERROR])


def _write_mask(store: Store, cell: Cell, mask: Map) -> None:
    arrays = read_arrays(store, cell)
    whole = {**arrays, "trusted": mask}
    write_arrays(store, cell, whole)
    write_sheet(store, cell, whole)
    write_png(picture_path(store, cell, "trusted"), paint(mask, SCALES["trusted"]))
