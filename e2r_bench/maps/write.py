"""Maps of a run, on disk: PNG with a scale, npz, rows of scores, and trust masks."""

import io
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from e2r_baselines.method import Draw
from e2r_baselines.tasks import TASKS
from e2r_bench.maps.bands import Map
from e2r_bench.maps.compute import SCALES, VERSION, Sample, SpatialLpips, all_maps, check_names
from e2r_bench.maps.paint import paint
from e2r_bench.maps.selection import restorers, seeds_of, shown_draw
from e2r_bench.runs import Row, Run, path_name
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.files import write_bytes, write_text
from e2r_metrics.base.pictures import read_image, write_png

ROWS = "maps/per_image.jsonl"
Watch = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Place:
    """One picture of a run."""

    method: str
    task: str
    draw: Draw
    image: str
    scene: str


@dataclass(frozen=True)
class Wanted:
    """What to map.

    Attributes:
        methods, tasks: names; empty for all restorers and tasks.
        maps: which maps to write; empty for all.
        limit: the first so many pictures of a task.
    """

    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()
    limit: int | None = None


def write_maps(
    run: Run, wanted: Wanted, lpips: SpatialLpips | None, watch: Watch
) -> tuple[Place, ...]:
    """Write the maps of every picture wanted; return the pictures.

    PNG and npz (float16) files stand in `maps/<method>/<task>/seed<k>_steps<n>/`, scores in
    `maps/per_image.jsonl`, as rows like those of the metrics.

    Raises:
        UsageError: an unknown method, task or map, or a folder that cannot be written.
    """
    check_names(wanted.maps)
    places = tuple(_places(run, wanted))
    rows: list[Row] = []
    for count, place in enumerate(places, 1):
        found = all_maps(_sample(run, place), lpips)
        kept = {k: v for k, v in found.values.items() if not wanted.maps or k in wanted.maps}
        for name, values in kept.items():
            write_png(picture_path(run, place, name), paint(values, SCALES[name]))
        write_arrays(run, place, kept)
        rows += [_row(run, place, name, value) for name, value in found.scores.items()]
        watch("maps", count, len(places))
    write_text(run.folder / ROWS, "".join(row.model_dump_json() + "\n" for row in rows))
    return places


def picture_path(run: Run, place: Place, name: str) -> Path:
    """Return the path of a map's PNG."""
    return _folder(run, place) / f"{place.image}.{name}.png"


def arrays_path(run: Run, place: Place) -> Path:
    """Return the path of a picture's arrays; keys are names of maps."""
    return _folder(run, place) / f"{place.image}.npz"


def read_arrays(run: Run, place: Place) -> dict[str, Map]:
    """Return the maps of a picture as float32; none where `e2r-bench maps` has not written any."""
    path = arrays_path(run, place)
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name].astype(np.float32) for name in stored.files}


def write_arrays(run: Run, place: Place, maps: dict[str, Map]) -> None:
    """Write maps as float16, which keeps three digits."""
    buffer = io.BytesIO()
    largest = np.finfo(np.float16).max
    halves = {k: np.clip(v, -largest, largest).astype(np.float16) for k, v in maps.items()}
    np.savez_compressed(buffer, allow_pickle=False, **halves)
    write_bytes(arrays_path(run, place), buffer.getvalue())


def _folder(run: Run, place: Place) -> Path:
    drawn = f"seed{place.draw.seed}_steps{place.draw.steps}"
    return run.folder / "maps" / path_name(place.method) / place.task / drawn


def _places(run: Run, wanted: Wanted) -> Iterator[Place]:
    for method in _chosen("method", wanted.methods, restorers(run), run.info.methods):
        draw = shown_draw(run, method)
        for task in _chosen("task", wanted.tasks, list(run.info.tasks), run.info.tasks):
            info = run.info.tasks[task]
            pairs = list(zip(info.images, info.scenes, strict=True))[: wanted.limit]
            for image, scene in pairs:
                if run.restored_path(method, task, draw, image).is_file():
                    yield Place(method, task, draw, image, scene)


def _chosen(
    what: str, asked: Sequence[str], default: Sequence[str], known: Collection[str]
) -> Sequence[str]:
    for name in asked:
        if name not in known:
            raise unknown(f"{what} of this run", name, known)
    return asked or default


def _sample(run: Run, place: Place) -> Sample:
    if place.task not in TASKS:
        raise UsageError(f"maps: expected a task of e2r-bench, found {place.task!r}")
    seeds = [
        read_image(path)
        for draw in seeds_of(run, place.method)
        if (path := run.restored_path(place.method, place.task, draw, place.image)).is_file()
    ]
    return Sample(
        task=TASKS[place.task],
        restored=read_image(run.restored_path(place.method, place.task, place.draw, place.image)),
        clean=read_image(run.clean_path(place.task, place.image)),
        degraded=read_image(run.degraded_path(place.task, place.image)),
        seeds=seeds,
        truncate="rounding=truncate" in run.info.protocol,
    )


def _row(run: Run, place: Place, name: str, value: float) -> Row:
    return Row(
        method=place.method,
        build=run.info.methods[place.method].build,
        task=place.task,
        image=place.image,
        scene=place.scene,
        seed=place.draw.seed,
        steps=place.draw.steps,
        metric=name,
        variant="map",
        value=value,
        status="ok",
        protocol=f"{run.info.protocol} maps v{VERSION}",
    )


def write_trust(run: Run, statements: Sequence[dict[str, object]]) -> None:
    """Write what was calibrated, on which scenes, and what is promised."""
    write_text(run.folder / "maps" / "trust.json", json.dumps(statements, indent=1) + "\n")
