"""From what `--data` says to a set of pictures: the embedded one, or a folder, paired by name."""

import csv
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from e2r_baselines.mixtures import MIXTURES
from e2r_baselines.tasks import TASKS
from e2r_bench.run.config import Experiment
from e2r_bench.run.data import Dataset, Source
from e2r_bench.run.mini import mini
from e2r_bench.run.tasks import task_named
from e2r_metrics.base.addresses import fetched, is_address
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text
from e2r_metrics.base.pairs import (
    CLEAN_FOLDERS,
    EXACT,
    SUFFIXES,
    Matching,
    Pair,
    dataset_pairs,
    list_pictures,
    sides_of,
)


def folder(path: Path, matching: Matching = EXACT) -> Dataset:
    """Read a folder of photographs: flat (clean only), or pairs as `e2r_metrics.base.pairs` says.

    Raises:
        UsageError: not a folder, no images, or files without a partner (all are named).
    """
    if not path.is_dir():
        raise UsageError(
            f"--data {path}: expected 'mini' or a folder of images, found no such folder"
        )
    degraded, clean = sides_of(path)
    flat, files = not (degraded or clean or matching.recursive), list(path.iterdir())
    pictures = any(file.suffix.lower() in SUFFIXES for file in files)
    if flat and (pictures or not any(file.is_dir() for file in files)):
        found = list_pictures(path)
        sources = [Source(name, name, file) for name, file in found.items()]
    else:
        if degraded and not (clean or matching.recursive):
            raise UsageError(
                f"{path}: expected two folders of pairs, found only {degraded.name}/; put the "
                f"clean pictures beside it, as {CLEAN_FOLDERS[0]}/ or the like, or give --no-truth "
                "where there are none"
            )
        sources = [_paired(pair) for pair in dataset_pairs(path, matching)]
    return Dataset(_name(path.resolve()), tuple(sources))


def inputs(path: Path, recursive: bool = False) -> Dataset:
    """Read a folder of degraded pictures that have no truth: flat, or one such side of a set.

    Raises:
        UsageError: not a folder, no images, clean pictures beside or instead of them, or inputs in
            two places.
    """
    if not path.is_dir():
        raise UsageError(f"--data {path}: expected a folder of images, found no such folder")
    degraded, clean = sides_of(path)
    if clean is not None:
        raise UsageError(
            f"--no-truth: expected pictures without a truth in {path}, found {clean.name}/; leave "
            "--no-truth out, or give the folder of the inputs itself"
        )
    beside = [] if degraded is None else [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES]
    if degraded is not None and beside:
        raise UsageError(
            f"--no-truth: expected inputs in {path} or in {degraded.name}/, found some in both; "
            "give the folder of those that are meant"
        )
    found = list_pictures(degraded or path, recursive)
    sources = [Source(n, n.rpartition("/")[0] or n, None, file) for n, file in found.items()]
    return Dataset(_name(path.resolve()), tuple(sources))


def _paired(pair: Pair) -> Source:
    """Return a source; frames of one sequence, and hazes of one photograph, are one scene."""
    sequence = pair.name.rpartition("/")[0]
    return Source(pair.name, sequence or pair.clean.stem, pair.clean, degraded=pair.first)


def _name(path: Path) -> str:
    """Return the set's name; "test" alone would not say of what."""
    split = path.name.lower() in ("test", "train", "val", "valid", "validation")
    return f"{path.parent.name}/{path.name}" if split else path.name


def load_dataset(where: str, matching: Matching = EXACT, truth: bool = True) -> Dataset:
    """Return `mini`, or the folder at a path or an address.

    Args:
        where: "mini", a path, or an address.
        matching: how files find their partners.
        truth: False for a folder of inputs alone.

    Raises:
        UsageError: it is none of them.
    """
    if not truth and (where == "mini" or matching.pattern is not None):
        found = "mini, all clean" if where == "mini" else "--pair, a rule for partners"
        raise UsageError(f"--no-truth: expected --data FOLDER of inputs, found {found}")
    if where == "mini":
        return mini()
    place = fetched(where) if is_address(where) else Path(where).expanduser()
    found = folder(place, matching) if truth else inputs(place, matching.recursive)
    for source in found.sources:
        _check_name(source)
    return found


def _check_name(source: Source) -> None:
    """Refuse a name that no record can hold: JSON, CSV and pages are UTF-8."""
    try:
        source.id.encode()
    except UnicodeEncodeError as error:
        encoding = sys.getfilesystemencoding()
        remedy = "rename it" if encoding == "utf-8" else f"set PYTHONUTF8=1, not {encoding}"
        raise UsageError(
            f"{str(source.file)!a}: expected a file name in UTF-8, found bytes that are none; "
            f"{remedy}"
        ) from error


def datasets_of(experiment: Experiment) -> dict[str, Dataset]:
    """Return the whole set of each task, with the scenes that the experiment says.

    Raises:
        UsageError: an unknown task, a set that cannot be read, or bad scenes.
    """
    loaded: dict[str, Dataset] = {}
    scenes = {} if experiment.scenes is None else read_scenes(experiment.scenes)
    found: dict[str, Dataset] = {}
    for name in dict.fromkeys(experiment.tasks):
        task_named(name, experiment.task)
        where = _data_for(name, experiment)
        if where not in loaded:
            read = load_dataset(where, experiment.matching(), not experiment.no_truth)
            loaded[where] = with_scenes(read, scenes)
        found[name] = loaded[where]
    check_scenes(scenes, loaded.values())
    return found


def _data_for(task: str, experiment: Experiment) -> str:
    """Return the set that serves `task`: TASK=folder wins over a bare one."""
    bare: list[str] = []
    named = {*TASKS, *MIXTURES, *experiment.tasks}
    for entry in experiment.data:
        name, equals, where = entry.partition("=")
        if equals and name == task:
            return where
        if not (equals and name in named):
            bare.append(entry)
    if len(bare) != 1:
        raise UsageError(
            f"--data: expected one set for task {task!r}, found {len(bare)}; give --data FOLDER, "
            f"or --data {task}=FOLDER"
        )
    return bare[0]


Scenes = Mapping[tuple[str, str], str]
"""(name of a set, or "" for any; image) -> scene."""


def read_scenes(path: Path) -> Scenes:
    """Read which scene an image shows: CSV with the columns image, scene and, if wanted, data.

    `data` is the set that the image is of, where two sets have an image of one name.

    Raises:
        UsageError: no such file, other columns, an empty field, or an image with two scenes.
    """
    try:
        rows = list(csv.DictReader(read_text(path).splitlines(), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"--scenes {path}: expected a CSV file, found: {error}") from error
    found: dict[tuple[str, str], str] = {}
    for number, row in enumerate(rows, 2):
        image, scene = row.get("image"), row.get("scene")
        if not (image and scene):
            raise UsageError(
                f"--scenes {path}, line {number}: expected the columns image and scene, both "
                f"filled, found {row}"
            )
        before = found.setdefault((row.get("data") or "", image), scene)
        if before != scene:
            raise UsageError(
                f"--scenes {path}, line {number}: expected one scene for {image}, found {before} "
                f"and {scene}"
            )
    if not found:
        raise UsageError(f"--scenes {path}: expected the columns image and scene, found no rows")
    return found


def with_scenes(dataset: Dataset, scenes: Scenes) -> Dataset:
    """Return the set with the scenes of a file; images that it does not name keep their own."""

    def told(source: Source) -> str:
        anywhere = scenes.get(("", source.id), source.scene)
        return scenes.get((dataset.name, source.id), anywhere)

    sources = tuple(replace(source, scene=told(source)) for source in dataset.sources)
    return replace(dataset, sources=sources)


def check_scenes(scenes: Scenes, datasets: Iterable[Dataset]) -> None:
    """Raise `UsageError` for a name that no set has: a misspelt one would change nothing."""
    known = {(name, s.id) for one in datasets for s in one.sources for name in ("", one.name)}
    for name, image in scenes:
        if (name, image) not in known:
            where = f"the set {name!r}" if name else "any of the sets"
            raise UsageError(
                f"--scenes: expected images of --data, found {image!r}, not in {where}"
            )
