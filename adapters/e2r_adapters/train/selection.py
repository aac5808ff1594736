"""Which pairs an adapter is trained on: drawn by a seed, recorded by content, kept off the tests.

A smaller choice with the same seed is always part of a larger one, so that 16 against 128 pairs
compares amounts and not luck.
"""

import hashlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from e2r_adapters.train.config import PAINTED, TrainConfig
from e2r_adapters.train.pictures import MADE, Pair, made_pair, painted_pair, read_pair
from e2r_adapters.train.profiles import kind_of
from e2r_baselines.nearduplicate import Overlap, find_overlaps
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pairs import (
    SUFFIXES,
    Matching,
    dataset_pairs,
    list_pictures,
    sides_of,
)


@dataclass(frozen=True)
class Selection:
    """The training pairs of all tasks and how they were chosen.

    Attributes:
        pairs: task by task, in the order drawn.
        seed: the pairs seed.
        sources: task -> where its pictures are from, in words.
        overlaps: training files that also stand in a test set; empty unless that was allowed.
        test: folders that were searched for overlaps.
        dropped: training files that no pair was drawn from, for they stand in a test set.
    """

    pairs: tuple[Pair, ...]
    seed: int
    sources: Mapping[str, str]
    overlaps: tuple[Overlap, ...] = ()
    test: tuple[Path, ...] = ()
    dropped: tuple[Overlap, ...] = ()


def choose(count: int, pairs: int, seed: int, task: str) -> list[int]:
    """Draw `pairs` of `count` without replacement; a prefix of one permutation of the seed.

    Raises:
        UsageError: fewer than `pairs` to choose from.
    """
    if pairs > count:
        raise UsageError(f"{task}: expected at least {pairs} pairs to choose from, found {count}")
    order = rng_for(seed, task, "few-shot-pairs").permutation(count)
    return [int(index) for index in order[:pairs]]


def select(config: TrainConfig) -> Selection:
    """Choose the training pairs of each task.

    Raises:
        UsageError: too few pairs, a broken pair, no folder of pairs or of tests, or an overlap
            with the test set.
    """
    test = [path for folder in config.test for path in _below(folder)]
    chosen: list[Pair] = []
    sources: dict[str, str] = {}
    dropped: dict[Overlap, None] = {}
    for task in config.tasks:
        barred = _barred(config, task, test) if config.drop_overlap else ()
        pairs, sources[task] = _pairs_of(config, task, {overlap.train for overlap in barred})
        chosen += pairs
        dropped |= dict.fromkeys(barred)
    overlaps = _overlaps(chosen, test)
    if overlaps and not config.allow_overlap:
        first = overlaps[0]
        raise UsageError(
            f"{len(overlaps)} training pictures also stand in the test set, such as {first.train} "
            f"({first.kind} of {first.test}); choose other pairs, or record it with --allow-overlap"
        )
    return Selection(
        tuple(chosen), config.pairs_seed, sources, overlaps, config.test, tuple(dropped)
    )


def _barred(config: TrainConfig, task: str, test: Sequence[Path]) -> tuple[Overlap, ...]:
    """Return which clean pictures of a task's folder stand in a test set."""
    folder = config.data.get(task, PAINTED)
    if folder == PAINTED or not folder.is_dir():
        return ()
    made = kind_of(task) in MADE and _is_clean(folder, config.matching)
    if made:
        files = list(list_pictures(folder, config.matching.recursive).values())
    else:
        files = [pair.clean for pair in dataset_pairs(folder, config.matching)]
    return _found(tuple(files), tuple(test))


@lru_cache(maxsize=32)
def _found(train: tuple[Path, ...], test: tuple[Path, ...]) -> tuple[Overlap, ...]:
    """Return overlaps, searched for once: arms of a study share folders, and seeds share pairs."""
    return tuple(find_overlaps(train, test)) if train and test else ()


def _pairs_of(config: TrainConfig, task: str, barred: Set[Path]) -> tuple[list[Pair], str]:
    """Return the pairs of one task, of none of the files barred, and where they are from."""
    seed, folder = config.pairs_seed, config.data.get(task, PAINTED)
    if folder == PAINTED:
        side = config.profile.painted
        return [painted_pair(task, seed, i, side) for i in range(config.pairs)], "painted"
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of pairs for {task}, found no such folder")
    without = f", without {len(barred)} that stand in a test set" if barred else ""
    kind = kind_of(task)
    if kind in MADE and _is_clean(folder, config.matching):
        there = list_pictures(folder, config.matching.recursive).items()
        listed = [(name, path) for name, path in there if path not in barred]
        order = choose(len(listed), config.pairs, seed, task)
        pairs = [
            made_pair(task, *listed[index], seed, place, config.reading)
            for place, index in enumerate(order)
        ]
        what = "noise" if kind == "denoise" else "haze"
        return pairs, f"{what} painted on {folder.resolve().name}{without}"
    files = [p for p in dataset_pairs(folder, config.matching) if p.clean not in barred]
    order = choose(len(files), config.pairs, seed, task)
    pairs = [read_pair(task, files[index], config.reading) for index in order]
    return pairs, f"pairs of {folder.resolve().name}{without}"


def _is_clean(folder: Path, matching: Matching) -> bool:
    """Return whether a folder holds pictures themselves rather than two sides of pairs."""
    if any(sides_of(folder)):
        return False
    if not matching.recursive:
        return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())
    return not any(all(sides_of(part)) for part in folder.iterdir() if part.is_dir())


def _overlaps(pairs: Sequence[Pair], test: Sequence[Path]) -> tuple[Overlap, ...]:
    return _found(tuple(sorted({path for pair in pairs for path in pair.files})), tuple(test))


def _below(folder: Path) -> list[Path]:
    """Return the pictures of a test set, through all its sub-folders."""
    if not folder.is_dir():
        raise UsageError(f"--test {folder}: expected a folder of test pictures, found none")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(f"--test {folder}: expected test pictures, found none")
    return found


def record(selection: Selection) -> dict[str, Any]:
    """Return the selection as JSON: names, content hashes and overlaps, no machine's paths."""
    return {
        "pairs_seed": selection.seed,
        "trained_on": dict(selection.sources),
        "searched_for_overlaps": [folder.name for folder in selection.test],
        "overlaps": [
            {"train": o.train.name, "test": o.test.name, "kind": o.kind} for o in selection.overlaps
        ],
        "dropped": [
            {"train": o.train.name, "test": o.test.name, "kind": o.kind} for o in selection.dropped
        ],
        "pairs": [
            {"task": pair.task, "name": pair.name, "sha256": pair.key} for pair in selection.pairs
        ],
    }


def hash_of(selection: Selection) -> str:
    """Return one sha256 for all chosen pairs, whatever their order."""
    keys = sorted(pair.key for pair in selection.pairs)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()
