"""Which pairs an adapter is trained on: drawn by a seed, recorded by content, kept off the tests.

A smaller choice with the same seed is always part of a larger one, so that 16 against 128 pairs
compares amounts and not luck.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2r_adapters.dataset import SUFFIXES, Pair, list_pairs, painted_pair, read_pair
from e2r_baselines.nearduplicate import Overlap, find_overlaps
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError


@dataclass(frozen=True)
class Selection:
    """The training pairs of all tasks and how they were chosen.

    Attributes:
        pairs: task by task, in the order drawn.
        seed: the pairs seed.
        overlaps: training files that also stand in a test set; empty unless that was allowed.
        test: folders that were searched for overlaps.
    """

    pairs: tuple[Pair, ...]
    seed: int
    overlaps: tuple[Overlap, ...] = ()
    test: tuple[Path, ...] = ()


def choose(count: int, pairs: int, seed: int, task: str) -> list[int]:
    """Draw `pairs` of `count` without replacement; a prefix of one permutation of the seed.

    Raises:
        UsageError: fewer than `pairs` to choose from.
    """
    if pairs > count:
        raise UsageError(f"{task}: expected at least {pairs} pairs to choose from, found {count}")
    order = rng_for(seed, task, "few-shot-pairs").permutation(count)
    return [int(index) for index in order[:pairs]]


def select(
    tasks: Sequence[str],
    pairs: int,
    seed: int,
    data: Mapping[str, Path],
    painted: int,
    test: Sequence[Path] = (),
    allow_overlap: bool = False,
) -> Selection:
    """Choose the training pairs of each task.

    Args:
        tasks: task names.
        pairs: how many of each.
        seed: decides which; with the task's name.
        data: task -> folder of pairs; tasks that are not in it are painted.
        painted: side of a painted scene in pixels.
        test: folders of test pictures, searched through all their subfolders.
        allow_overlap: record training pictures that stand in the test set instead of refusing.

    Raises:
        UsageError: too few pairs, a broken pair, or an overlap with the test set.
    """
    chosen: list[Pair] = []
    for task in tasks:
        if task in data:
            listed = list_pairs(data[task])
            order = choose(len(listed), pairs, seed, task)
            chosen += [read_pair(task, *listed[index]) for index in order]
        else:
            chosen += [painted_pair(task, seed, index, painted) for index in range(pairs)]
    overlaps = _overlaps(chosen, test)
    if overlaps and not allow_overlap:
        first = overlaps[0]
        raise UsageError(
            f"{len(overlaps)} training pictures also stand in the test set, such as {first.train} "
            f"({first.kind} of {first.test}); choose other pairs, or record it with --allow-overlap"
        )
    return Selection(tuple(chosen), seed, overlaps, tuple(test))


def _overlaps(pairs: Sequence[Pair], test: Sequence[Path]) -> tuple[Overlap, ...]:
    train = sorted({path for pair in pairs for path in pair.files})
    if not train or not test:
        return ()
    return tuple(find_overlaps(train, [path for folder in test for path in _files(folder)]))


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder of test pictures, found none")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def record(selection: Selection) -> dict[str, Any]:
    """Return the selection as JSON: names, content hashes and overlaps, no machine's paths."""
    return {
        "pairs_seed": selection.seed,
        "searched_for_overlaps": [folder.name for folder in selection.test],
        "overlaps": [
            {"train": o.train.name, "test": o.test.name, "kind": o.kind} for o in selection.overlaps
        ],
        "pairs": [
            {"task": pair.task, "name": pair.name, "sha256": pair.key} for pair in selection.pairs
        ],
    }


def hash_of(selection: Selection) -> str:
    """Return one sha256 for all chosen pairs, whatever their order."""
    keys = sorted(pair.key for pair in selection.pairs)
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()
