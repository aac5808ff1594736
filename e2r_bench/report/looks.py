"""The first pictures that a reader sees: one middling case per task, with its invented detail."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.paint import paint
from e2r_bench.report.cases import Case, median_case
from e2r_bench.report.gallery import maps_folder, maps_of
from e2r_bench.report.labels import label_build, number
from e2r_bench.report.pictures import Album
from e2r_metrics.base.pictures import picture_size, read_image

_MAP = "invented"


@dataclass(frozen=True)
class Look:
    """One picture with its caption; `size` is (width, height): nothing moves as it loads."""

    source: str
    title: str
    note: str
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Strip:
    """One task: its pictures side by side, and the maps of what was invented in them."""

    task: str
    image: str
    looks: tuple[Look, ...]
    maps: tuple[Look, ...]


def looks_of(cases: Sequence[Case], album: Album) -> list[Strip]:
    """Return per task the middle case of the first restorer, as every restorer has it."""
    found: list[Strip] = []
    for task in dict.fromkeys(case.cell.task for case in cases):
        mine = [case for case in cases if case.cell.task == task]
        lead = (mine[0].origin, mine[0].cell.method)
        first = [case for case in mine if (case.origin, case.cell.method) == lead]
        score = next(iter(first[0].scores), "")
        middle = median_case(first, score)
        image = middle.cell.image
        same = [case for case in mine if case.cell.image == image]
        pictures = tuple(_pictures(same, middle, score, album))
        found.append(Strip(task, image, pictures, tuple(_maps(same, album))))
    return found


def _pictures(same: Sequence[Case], middle: Case, score: str, album: Album) -> Iterator[Look]:
    store, task, image = middle.store, middle.cell.task, middle.cell.image
    yield _look(album, store.degraded_path(task, image), "degraded", "input")
    for case in same:
        value = case.scores.get(score)
        said = "" if value is None else f"{score} {number(value)}"
        note = "; ".join(part for part in (_build(case), said) if part)
        yield _look(album, case.store.path(case.cell), _named(case), note)
    if store.info.tasks[task].truth:
        yield _look(album, store.clean_path(task, image), "clean", "ground truth")


def _look(album: Album, path: Path, title: str, note: str) -> Look:
    height, width = picture_size(path)
    return Look(album.sources[album.photo(path)], title, note, (width, height))


def _maps(same: Sequence[Case], album: Album) -> Iterator[Look]:
    for case in same:
        maps, _ = maps_of(case, read_image(case.store.path(case.cell)))
        if _MAP in maps:
            painted = paint(maps[_MAP], SCALES[_MAP])
            at = album.overlay(painted, maps_folder(album) / f"{len(album.sources)}.png")
            size = (painted.shape[1], painted.shape[0])
            yield Look(album.sources[at], _named(case), f"map: {_MAP}", size)


def _named(case: Case) -> str:
    return f"{case.origin}: {case.cell.method}" if case.origin else case.cell.method


def _build(case: Case) -> str:
    return label_build(case.cell.method, case.store.info.methods[case.cell.method])
