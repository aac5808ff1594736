"""A run's summary as TensorBoard scalars: over sampler steps, with the ends of each interval."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd
    from torch.utils.tensorboard import SummaryWriter

_ENDS = ("value", "low", "high")


def write_scalars(store: Store, out: Path) -> int:
    """Write event files, a folder per seed, and return how many numbers they hold.

    Tags are task/metric/method, with `.low` and `.high` for the ends of the interval; the step is
    the number of sampler steps, 0 for methods that have none. What is not measured, failed or
    infinite is left out; protocols, n and versions stand in the text tab.

    Args:
        store: a finished run.
        out: a new folder.

    Raises:
        UsageError: tensorboard is not installed, or `out` is taken.
    """
    if os.path.lexists(out):
        raise UsageError(f"{out}: expected a new folder, found one that is there")
    made = _writer()
    rows = store.summary()
    rows = rows[rows["status"] == "ok"]
    count = 0
    for seed, group in rows.groupby("seed", sort=True):
        with made(str(out / f"seed{seed}")) as writer:
            rows_of_seed = cast("pd.DataFrame", group).to_dict("records")
            count += sum(_add(writer, row) for row in rows_of_seed)
            _describe(writer, store)
    return count


def _writer() -> "type[SummaryWriter]":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "--to tensorboard: expected the package tensorboard, found none; "
            "pip install 'e2r-bench[tensorboard]'"
        ) from error
    return SummaryWriter


def _add(writer: "SummaryWriter", row: dict[Any, Any]) -> int:
    tag = f"{row['task']}/{row['metric']}:{row['variant']}/{row['method']}"
    for name, number in _finite(row):
        end = "" if name == "value" else f".{name}"
        writer.add_scalar(f"{tag}{end}", number, int(row["steps"]))
    return sum(name == "value" for name, _ in _finite(row))


def _finite(row: dict[Any, Any]) -> Iterator[tuple[str, float]]:
    for name in _ENDS:
        number = float(row[name])
        # Infinity and NaN differ from themselves less themselves.
        if number - number == 0:
            yield name, number


def _describe(writer: "SummaryWriter", store: Store) -> None:
    info = store.info
    tasks = [
        f"{name}: n = {len(task.images)} ({len(set(task.scenes))} scenes) of {task.data}; "
        f"{task.degradation}"
        for name, task in info.tasks.items()
    ]
    metrics = [f"{info.protocol} {one.protocol}" for one in info.metrics.values()]
    builds = [
        f"{name}: {one.build}" + (", a miniature: not the model" if one.miniature else "")
        for name, one in info.methods.items()
    ]
    versions = [f"{name} {one}" for name, one in info.versions.items()]
    for title, lines in (
        ("tasks", tasks), ("protocols", metrics), ("methods", builds), ("versions", versions),
    ):  # fmt: skip
        writer.add_text(title, "\n\n".join(lines))
