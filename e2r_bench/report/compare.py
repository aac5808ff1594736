"""Two runs on one page, if their numbers mean the same; else which settings differ."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from e2r_bench.report.page import write_page
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import refuse_foreign, tidy


def write_comparison(first: Store, second: Store, out: Path, embed: bool = True) -> Path:
    """Write one page, and its Markdown twin, for two runs.

    Args:
        first, second: runs of one protocol, on the same pictures, degraded alike.
        out: path of the page, `.html`.
        embed: as for `write_report`.

    Raises:
        UsageError: the runs may not be compared, every difference is named; or another file has
            the name of the page.
    """
    stores = origins([first, second])
    _refuse_foreign(out)
    return write_page(out, stores, " and ".join(stores), embed)


def origins(runs: Sequence[Store]) -> dict[str, Store]:
    """Return runs that may be compared by short names; a single one has none.

    Raises:
        UsageError: runs whose numbers do not mean the same; every difference is named.
    """
    first = runs[0]
    for other in runs[1:]:
        if differ := list(differences(first, other)):
            raise UsageError(
                f"{first.folder} and {other.folder} may not be compared: {'; '.join(differ)}; run "
                "both under one protocol, on the same pictures"
            )
    if len(runs) == 1:
        return {"": first}
    names = [run.folder.resolve().name for run in runs]
    if len(set(names)) < len(names):
        names = [f"{name} ({chr(ord('A') + at)})" for at, name in enumerate(names)]
    return dict(zip(names, runs, strict=True))


def _refuse_foreign(out: Path) -> None:
    """Never write over a run, or over anything else that is no page of ours."""
    refuse_foreign(out, lambda head: head.startswith(b"<!doctype html>") and b"e2r-bench" in head)
    # A page of ours has its twin; without the page, the twin is somebody's text.
    twin = out.with_suffix(".md")
    if not out.is_file():
        refuse_foreign(twin, _nobodys)
    tidy(twin.parent, twin.name)


def _nobodys(head: bytes) -> bool:
    del head
    return False


def differences(first: Store, second: Store) -> Iterator[str]:
    """Yield what keeps the numbers of two runs apart; nothing for two that may be compared."""
    one, two = first.info, second.info
    if one.protocol != two.protocol:
        yield f"protocol {one.protocol} and {two.protocol}"
    shared = [task for task in one.tasks if task in two.tasks]
    if not shared:
        yield f"no task in common: {', '.join(one.tasks)} and {', '.join(two.tasks)}"
    for task in shared:
        yield from _of_task(first, second, task)
    yield from _of_metrics(first, second)
    for name in one.metrics:
        if name in two.metrics and one.metrics[name].protocol != two.metrics[name].protocol:
            yield f"definition of {name}"


def _of_task(first: Store, second: Store, task: str) -> Iterator[str]:
    one, two = first.info.tasks[task], second.info.tasks[task]
    if one.data != two.data:
        yield f"{task}: data {one.data} and {two.data}"
    if one.degradation != two.degradation:
        yield f"{task}: {one.degradation} and {two.degradation}"
    if one.images != two.images:
        only = len(set(one.images) ^ set(two.images))
        sizes = f"{len(one.images)} and {len(two.images)} pictures"
        yield f"{task}: {sizes}, {only} of them not in both" if only else f"{task}: another order"
        return
    # Names can agree where pixels do not: the input itself is what was restored.
    unlike = [name for name in one.images if not _same_input(first, second, task, name)]
    if unlike:
        yield f"{task}: {len(unlike)} inputs of one name differ in their pixels"


def _same_input(first: Store, second: Store, task: str, image: str) -> bool:
    """Return whether both runs restored the same pixels; PNG of one encoder, so bytes will do."""
    return all(
        _content(a) == _content(b)
        for a, b in (
            (first.clean_path(task, image), second.clean_path(task, image)),
            (first.degraded_path(task, image), second.degraded_path(task, image)),
        )
    )


def _content(path: Path) -> bytes | None:
    """Return a file's bytes; None for a source that could not be read when the run was made."""
    return path.read_bytes() if path.is_file() else None


def _of_metrics(first: Store, second: Store) -> Iterator[str]:
    """Yield the tasks on which one bare metric name stands for two variants."""
    for task, one in first.info.tasks.items():
        two = second.info.tasks.get(task)
        for name, variant in one.variants.items():
            other = two.variants.get(name) if two else None
            if other is not None and other != variant:
                yield f"{task}: {name}:{variant} and {name}:{other}"
