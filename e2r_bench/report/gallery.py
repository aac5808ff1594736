"""The gallery as data: pictures, scores and map overlays of every case, for the page's script."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_baselines.consistency import MIN_SIDE
from e2r_bench.maps.bands import FLAG, Map, band_split
from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.write import read_arrays
from e2r_bench.report.cases import Case, unmeasured
from e2r_bench.report.labels import label_build, label_draw
from e2r_bench.report.pictures import Album
from e2r_bench.report.roles import ROLES, role_of
from e2r_metrics.base.pictures import EightBit, read_image

OVERLAYS = (
    "invented", "lost", "unfaithful",
    "ciede2000", "inconsistency", "unexplained",
    "seed_deviation", "hallucination", "trusted",
)  # fmt: skip
"""In threes: each three share one picture, one in each of its channels."""
FLAGGED = ("invented", "lost", "unfaithful")
"""Maps whose scores count the pixels from `bands.FLAG` levels on."""
_STEPS = 32
FLAG_STEP = (FLAG / SCALES["invented"].high * _STEPS - 0.5) / (_STEPS - 1)
"""Where a stored map passes the flag, as a share of its largest value."""
_LARGEST_OVERLAY = 256

_MAP_SCORES: Mapping[str, str] = {
    "invented": "RMS levels",
    "lost": "RMS levels",
    "unfaithful": "RMS levels",
    "noise": "RMS levels",
    "invented_share": "% of pixels",
    "lost_share": "% of pixels",
    "unfaithful_share": "% of pixels",
}


def gallery(cases: Sequence[Case], album: Album, run: str) -> dict[str, Any]:
    """Return what the page's script shows; pictures are added to the album.

    Args:
        cases: every restored picture of the page.
        album: where pictures go; keys in the result are indices of `album.sources`.
        run: what the run is called, in commands to copy.
    """
    rows = [_row(case, album) for case in cases]
    keys = dict.fromkeys(key for row in rows for key in row["scores"])
    metrics = {key: m for case in cases for key, m in case.store.info.metrics.items()}
    return {
        "run": run,
        "exact": album.exact,
        "groups": [{"title": role.title, "says": role.means} for role in ROLES],
        "cases": rows,
        "scores": [
            {
                "key": key,
                "group": role_of(key, metrics).title,
                "unit": metrics[key].unit if key in metrics else _MAP_SCORES.get(key, "map"),
                "higher": key in metrics and metrics[key].higher_is_better,
            }
            for key in keys
        ],
        "overlays": [
            {
                "key": name,
                "title": SCALES[name].title,
                "unit": SCALES[name].unit,
                "high": SCALES[name].high,
                "flag": FLAG if name in FLAGGED else None,
                "slot": at // 3,
                "channel": at % 3,
            }
            for at, name in enumerate(OVERLAYS)
        ],
    }


def _row(case: Case, album: Album) -> dict[str, Any]:
    store, cell = case.store, case.cell
    info = store.info.tasks[cell.task]
    pixels = read_image(store.path(cell))
    maps, scores = maps_of(case, pixels)
    return {
        "origin": case.origin,
        "task": cell.task,
        "image": cell.image,
        "method": cell.method,
        "build": label_build(cell.method, store.info.methods[cell.method]),
        "drawn": label_draw(store, cell.method, cell.draw),
        "size": [pixels.shape[1], pixels.shape[0]],
        "scores": _json({**case.scores, **unmeasured(scores, case.scores)}),
        "input": album.photo(store.degraded_path(cell.task, cell.image)),
        "truth": album.photo(store.clean_path(cell.task, cell.image)) if info.truth else None,
        "restored": album.photo(store.path(cell)),
        "maps": _overlays(maps, album),
        "has": [name for name in OVERLAYS if name in maps],
        "peaks": {n: round(float(maps[n].max()), 3) for n in OVERLAYS if n in maps},
    }


def maps_of(case: Case, restored: EightBit) -> tuple[dict[str, Map], dict[str, float]]:
    """Return the maps that `e2r-bench maps` wrote; else the band split, which is quick."""
    stored = read_arrays(case.store, case.cell)
    if {"invented", "lost", "unfaithful"} <= stored.keys():
        return stored, {}
    truth = case.store.info.tasks[case.cell.task].truth
    if not truth or min(restored.shape[:2]) < MIN_SIDE:
        return stored, {}
    clean = read_image(case.store.clean_path(case.cell.task, case.cell.image))
    bands = band_split(restored, clean)
    found = {"invented": bands.invented, "lost": bands.lost, "unfaithful": bands.unfaithful}
    return stored | found, bands.scores()


def maps_folder(album: Album) -> Path:
    """Return where maps lie beside a page that does not hold them."""
    return album.page.parent / f"{album.page.stem}_maps"


def _overlays(maps: Mapping[str, Map], album: Album) -> list[int | None]:
    """Add one picture for each three overlays that this case has any of; None for the others."""
    folder = maps_folder(album)
    found: list[int | None] = []
    for slot in range(0, len(OVERLAYS), 3):
        names = OVERLAYS[slot : slot + 3]
        if not any(name in maps for name in names):
            found.append(None)
            continue
        packed = np.stack([_quantised(name, maps) for name in names], axis=-1)
        found.append(album.overlay(packed, folder / f"{len(album.sources)}.png"))
    return found


def _quantised(name: str, maps: Mapping[str, Map]) -> npt.NDArray[np.uint8]:
    """Return a map on its own scale in few levels, which compress well; 0 where there is none.

    Levels are counted from below, so that whatever is flagged lies from one of them on.
    """
    if name not in maps:
        shape = _smaller(next(iter(maps.values()))).shape
        return np.zeros(shape, np.uint8)
    level = np.floor(_smaller(maps[name]) / SCALES[name].high * _STEPS)
    return np.rint(np.clip(level, 0, _STEPS - 1) * (255 / (_STEPS - 1))).astype(np.uint8)


def _smaller(values: Map) -> Map:
    factor = _LARGEST_OVERLAY / max(values.shape)
    if factor >= 1:
        return values
    small = cv2.resize(values, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _json(scores: Mapping[str, float]) -> dict[str, float | str]:
    """Return scores that JSON can hold: an identical pair has infinite PSNR."""
    return {
        key: round(value, 6) if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")
        for key, value in scores.items()
        if not math.isnan(value)
    }
