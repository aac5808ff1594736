"""Pictures that two sets of one run have in common: found by themselves, recorded, said."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations

from e2r_baselines.copies import find_copies
from e2r_bench.store.info import RunInfo, Shared
from e2r_bench.store.store import Store, create_store


def with_shared(store: Store) -> Store:
    """Return the run with `shared` in its record; its pairs must have been written.

    Compared are the clean pictures that are scored, cropped as the protocol says, under one
    framing; crops of one another are found by `e2r-bench leakage`.
    """
    sets = [task for task in _one_of_each(store.info) if _readable(store.info, task)]
    found = tuple(s for pair in combinations(sets, 2) for s in _between(store, *pair))
    if found == store.info.shared:
        return store
    return create_store(store.folder, store.info.model_copy(update={"shared": found}))


def shared_lines(info: RunInfo) -> Iterator[str]:
    """Yield one line for each two sets that have pictures in common."""
    for (first, second), count in Counter(one.sets for one in info.shared).items():
        noun = "one picture" if count == 1 else f"{count} pictures"
        yield (
            f"{first} and {second} share {noun}, named in run.json: what the two say of them is "
            "not independent"
        )


def _one_of_each(info: RunInfo) -> Sequence[str]:
    """Return one task of each set: tasks on the same pictures share them by design."""
    firsts: dict[tuple[str, tuple[str, ...]], str] = {}
    for name, task in info.tasks.items():
        firsts.setdefault((task.data, task.images), name)
    return tuple(firsts.values())


def _readable(info: RunInfo, task: str) -> list[str]:
    told = info.tasks[task]
    return [image for image in told.images if image not in told.unreadable]


def _between(store: Store, first: str, second: str) -> Iterator[Shared]:
    names = [_readable(store.info, task) for task in (first, second)]
    paths = [
        [store.clean_path(task, image) for image in images]
        for task, images in zip((first, second), names, strict=True)
    ]
    sets = (store.info.tasks[first].data, store.info.tasks[second].data)
    for copy in find_copies(*paths):
        images = (names[0][copy.first], names[1][copy.second])
        yield Shared(sets=sets, images=images, identical=copy.identical)
