"""Which pictures of a run an extractor of crops can look at: those that hold one."""

from collections.abc import Iterator, Mapping, Sequence

from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import PictureError
from e2r_metrics.base.pictures import picture_size
from e2r_metrics.catalog import CATALOG, EXTRACTORS
from e2r_metrics.patches import corners


def large_enough(
    store: Store, task: str, extractor: str, images: Sequence[str]
) -> tuple[list[str], Mapping[str, str]]:
    """Return the images that an extractor can look at, in order, and why not of each other.

    What was restored has the size of its clean picture, so that all methods lack the same ones.
    """
    side = EXTRACTORS[extractor].patch
    if side is None:
        return list(images), {}
    small: dict[str, str] = {}
    for image in images:
        try:
            corners(*picture_size(store.clean_path(task, image)), side)
        except PictureError as error:
            small[image] = str(error)
    return [image for image in images if image not in small], small


def failures_of_run(store: Store) -> Mapping[Cell, str]:
    """Return `Store.failures`, and the pictures that are too small for a metric of crops."""
    found = dict(store.failures())
    for cell, told in _too_small(store):
        found[cell] = f"{found[cell]}; {told}" if cell in found else told
    return found


def _too_small(store: Store) -> Iterator[tuple[Cell, str]]:
    for key, info in store.info.metrics.items():
        extractor = CATALOG[key].extractor if key in CATALOG and info.missing is None else None
        if extractor is None or EXTRACTORS[extractor].patch is None:
            continue
        for task in (one for one in store.info.tasks if store.has_metric(one, key)):
            known = [one for one in store.images(task) if store.clean_path(task, one).is_file()]
            _, small = large_enough(store, task, extractor, known)
            for cell in store.cells() if small else ():
                if cell.task == task and cell.image in small and store.has(cell):
                    yield cell, f"{key}: {small[cell.image]}"
