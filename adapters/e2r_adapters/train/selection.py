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

from e2r_adapters.train.config import TrainConfig
from e2r_adapters.train.pictures import Pair
from e2r_adapters.train.sources import candidates, is_painted, open_pair, paint_pair, words
from e2r_baselines.nearduplicate import Overlap, find_overlaps
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pairs import SUFFIXES


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


def select(config: TrainConfig, painting: bool = True) -> Selection:
    """Choose the training pairs of each task.

    Args:
        config: see `TrainConfig`.
        painting: False leaves out pairs that would be painted, which takes a minute.

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
        if not painting and is_painted(config, task):
            continue
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
    """Return which clean pictures of a task's data stand in a test set."""
    if is_painted(config, task):
        return ()
    return _found(tuple(one.clean for one in candidates(config, task)), tuple(test))


@lru_cache(maxsize=32)
def _found(train: tuple[Path, ...], test: tuple[Path, ...]) -> tuple[Overlap, ...]:
    """Return overlaps, searched for once: arms of a study share folders, and seeds share pairs."""
    return tuple(find_overlaps(train, test)) if train and test else ()


def _pairs_of(config: TrainConfig, task: str, barred: Set[Path]) -> tuple[list[Pair], str]:
    """Return the pairs of one task, of none of the files barred, and where they are from."""
    if is_painted(config, task):
        later = f", {config.variation.degrade} on it" if config.variation.degrade else ""
        return [paint_pair(config, task, i) for i in range(config.pairs)], f"painted{later}"
    listed = [one for one in candidates(config, task) if one.clean not in barred]
    order = choose(len(listed), config.pairs, config.pairs_seed, task)
    pairs = [open_pair(config, task, listed[index], place) for place, index in enumerate(order)]
    return pairs, words(config, task, listed, barred)


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
        "pairs": [_told(pair) for pair in selection.pairs],
    }


def _told(pair: Pair) -> dict[str, str]:
    told = {"task": pair.task, "name": pair.name, "sha256": pair.key}
    return told | ({"caption": pair.caption} if pair.caption else {})


def hash_of(selection: Selection) -> str:
    """Return one sha256 for all chosen pairs and their captions, whatever their order."""
    keys = sorted(f"{pair.key} {pair.caption}".rstrip() for pair in selection.pairs)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()
