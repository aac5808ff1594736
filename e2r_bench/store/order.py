"""The plan's order of rows: cell by cell, and the metrics of each cell in theirs."""

from collections.abc import Callable, Iterator

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.store.index import Index
from e2r_bench.store.info import RunInfo

_TABLE = np.dtype([("group", np.int64), ("image", np.int64), ("place", np.int64)])


def file_order(
    index: Index, info: RunInfo, draws: Callable[[str], tuple[Draw, ...]]
) -> tuple[Iterator[int], bool]:
    """Return the first byte of every line in the plan's order, and whether the file has it too.

    Args:
        index: of rows that are all of cells and metrics of the run.
        info: the run.
        draws: those of a method.
    """
    table = np.fromiter(index.table(), _TABLE, index.count)
    ranks = _ranks(index, info, draws, table)
    kept = bool(np.all(np.diff(ranks) > 0))
    places = table["place"] if kept else table["place"][np.argsort(ranks, kind="stable")]
    return (int(place) for place in places), kept


def _ranks(
    index: Index, info: RunInfo, draws: Callable[[str], tuple[Draw, ...]], table: np.ndarray
) -> np.ndarray:
    """Return the place in the plan's order of each line: (N,) int64."""
    columns = [
        (method, task, draw) for method in info.methods for task in info.tasks
        for draw in draws(method)
    ]  # fmt: skip
    column = {key: place for place, key in enumerate(columns)}
    metric = {key: place for place, key in enumerate(info.metrics)}
    most = max((len(task.images) for task in info.tasks.values()), default=0)
    per_group = np.zeros((len(index.groups) + 1, 3), np.int64)
    tasks = {task: place for place, task in enumerate(info.tasks)}
    for (method, task, draw, key), number in index.groups.items():
        per_group[number] = column[method, task, draw], metric[key], tasks[task]
    image = _image_ranks(index, info)[per_group[table["group"], 2], table["image"]]
    at = per_group[table["group"]]
    return (at[:, 0] * most + image) * len(metric) + at[:, 1]


def _image_ranks(index: Index, info: RunInfo) -> np.ndarray:
    """Return the place of each image in each task: (tasks, images) int64, -1 for none."""
    names = index.image_names()
    ranks = np.full((len(info.tasks), len(names) + 1), -1, np.int64)
    for place, task in enumerate(info.tasks.values()):
        order = {image: rank for rank, image in enumerate(task.images)}
        for number, name in names.items():
            ranks[place, number] = order.get(name, -1)
    return ranks
