"""What a calibration stands on, and whether other pictures look like those it was made on.

A conformal threshold promises something for scenes exchangeable with the calibration scenes. That
cannot be proved from pictures; a difference can be seen, and is reason enough to refuse.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from e2r_bench.maps.bands import texture
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_metrics.base.pictures import EightBit, read_image

LEVEL = 0.01
"""Chance of refusing one that looks alike, over all statistics together."""
_SEED = re.compile(r"\bseed \d+")


@dataclass(frozen=True)
class Made:
    """What restored pictures came from: the task, how inputs were made and read, and the method."""

    task: str
    degradation: str
    protocol: str
    method: str
    build: str
    options: Mapping[str, Any]
    weights: Mapping[str, str]


@dataclass(frozen=True)
class Looks:
    """Statistics of each scene that need no truth, mean over its pictures.

    Attributes:
        residual: RMS of input minus output, levels of 255.
        texture: median of the output's texture, levels.
        brightness: mean of the output, levels.
    """

    residual: tuple[float, ...]
    texture: tuple[float, ...]
    brightness: tuple[float, ...]


def made_of(store: Store, method: str, task: str) -> Made:
    """Return what a method's pictures of a task came from; a draw of the same noise is the same."""
    told, info = store.info.tasks[task], store.info.methods[method]
    # Pairs of two sets are files of each; what they hold is for the looks to tell.
    degradation = "files" if told.degradation.startswith("files of ") else told.degradation
    return Made(
        task=task,
        degradation=_SEED.sub("a seed", degradation),
        protocol=store.info.protocol,
        method=info.method,
        build=info.build,
        options=dict(info.options),
        weights=dict(info.weights),
    )


def differences(calibrated: Made, here: Made) -> list[str]:
    """Return what differs, one entry each: "task: denoise25 -> denoise50"."""
    old, new = asdict(calibrated), asdict(here)
    return [f"{key}: {old[key]} -> {new[key]}" for key in old if old[key] != new[key]]


def looks_of(store: Store, cells: Sequence[Cell]) -> Looks:
    """Return the statistics of the scenes of `cells`, all of one method and task."""
    by_scene: dict[str, list[tuple[float, float, float]]] = {}
    for cell in cells:
        output = read_image(store.path(cell))
        given = read_image(store.degraded_path(cell.task, cell.image))
        scene = store.scenes(cell.task)[cell.image]
        by_scene.setdefault(scene, []).append(picture_statistics(output, given))
    table = np.array([np.mean(by_scene[scene], axis=0) for scene in sorted(by_scene)])
    columns = table.reshape(-1, 3).T
    return Looks(*(tuple(round(float(value), 4) for value in column) for column in columns))


def picture_statistics(output: EightBit, given: EightBit) -> tuple[float, float, float]:
    """Return what `Looks` keeps, of one picture; both (H, W, 3) uint8."""
    residual = given.astype(np.float64) - output
    return (
        float(np.sqrt(np.mean(residual**2))),
        float(np.median(texture(output))),
        float(output.mean(dtype=np.float64)),
    )


def unlike(calibrated: Looks, here: Looks) -> tuple[float, list[str]]:
    """Return the smallest p of two-sample Kolmogorov-Smirnov tests, and what differs by them.

    Bonferroni over the statistics: p is multiplied by their number, and at `LEVEL` or below a
    statistic differs. A few scenes can show large differences only.
    """
    from scipy import stats

    old, new = asdict(calibrated), asdict(here)
    smallest, found = 1.0, list[str]()
    for name in old:
        test = stats.ks_2samp(old[name], new[name])
        p = min(1.0, len(old) * float(test.pvalue))  # pyright: ignore[reportAttributeAccessIssue]
        smallest = min(smallest, p)
        if p <= LEVEL:
            medians = f"median {np.median(old[name]):.1f} -> {np.median(new[name]):.1f}"
            found.append(f"{name}: {medians} levels, p {p:.1g}")
    return smallest, found
