"""Two runs on one page, if their numbers mean the same; else which settings differ."""

from collections.abc import Iterator
from pathlib import Path

from e2r_bench.report.page import write_page
from e2r_bench.runs import Run
from e2r_metrics.base.errors import UsageError


def write_comparison(first: Run, second: Run, out: Path, embed: bool = True) -> Path:
    """Write one page, and its Markdown twin, for two runs.

    Args:
        first, second: runs of one protocol, on the same pictures, degraded alike.
        out: path of the page, `.html`.
        embed: as for `write_report`.

    Raises:
        UsageError: the runs may not be compared; every difference is named.
    """
    differ = list(differences(first, second))
    if differ:
        raise UsageError(
            f"{first.folder} and {second.folder} may not be compared: {'; '.join(differ)}; run "
            "both under one protocol, on the same pictures"
        )
    names = _origins(first.folder, second.folder)
    runs = dict(zip(names, (first, second), strict=True))
    return write_page(out, runs, " and ".join(names), embed)


def differences(first: Run, second: Run) -> Iterator[str]:
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


def _of_task(first: Run, second: Run, task: str) -> Iterator[str]:
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


def _same_input(first: Run, second: Run, task: str, image: str) -> bool:
    """Return whether both runs restored the same pixels; PNG of one encoder, so bytes will do."""
    return all(
        a.read_bytes() == b.read_bytes()
        for a, b in (
            (first.clean_path(task, image), second.clean_path(task, image)),
            (first.degraded_path(task, image), second.degraded_path(task, image)),
        )
    )


def _of_metrics(first: Run, second: Run) -> Iterator[str]:
    """Yield the tasks on which one bare metric name stands for two variants."""
    for task, one in first.info.tasks.items():
        two = second.info.tasks.get(task)
        for name, variant in one.variants.items():
            other = two.variants.get(name) if two else None
            if other is not None and other != variant:
                yield f"{task}: {name}:{variant} and {name}:{other}"


def _origins(first: Path, second: Path) -> tuple[str, str]:
    """Return short names of two folders that differ."""
    if first.name != second.name:
        return first.name, second.name
    return f"{first.name} (A)", f"{second.name} (B)"
