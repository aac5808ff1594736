"""What papers report, as data: never a measurement of ours, and always marked as published."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError

_METRICS = ("psnr", "ssim")


@dataclass(frozen=True)
class Published:
    """One number of a paper, with all that has to travel with it.

    Attributes:
        method: as the paper calls it.
        task: one of our task names.
        dataset: what it was measured on.
        n: how many pictures.
        metric: "psnr" in dB or "ssim".
        value: as printed.
        protocol: a preset's name, or in words where no preset follows it.
        source: the paper, and what is special about the row.
        second_hand: whether another group's table, not the paper, was read.
    """

    method: str
    task: str
    dataset: str
    n: int
    metric: str
    value: float
    protocol: str
    source: str
    second_hand: bool = False


@cache
def published() -> tuple[Published, ...]:
    """Return every published number that comes with this package."""
    folder = Path(str(files("e2r_baselines").joinpath("published")))
    return tuple(row for path in sorted(folder.glob("*.toml")) for row in read_published(path))


def read_published(path: Path) -> Iterator[Published]:
    """Yield the numbers of one file.

    Raises:
        UsageError: the file is not TOML, or lacks source, protocol, n or a metric.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
        for result in content["result"]:
            yield from _rows(content, result)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{path}: expected published numbers with method, source, protocol and [[result]] "
            f"tables of task, dataset, n, psnr, ssim; found {type(error).__name__}: {error}"
        ) from error


def _rows(content: dict[str, Any], result: dict[str, Any]) -> Iterator[Published]:
    unknown = result.keys() - {"task", "dataset", "n", *_METRICS}
    if unknown:
        raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
    for metric in _METRICS:
        if metric in result:
            yield Published(
                method=content["method"],
                task=result["task"],
                dataset=result["dataset"],
                n=int(result["n"]),
                metric=metric,
                value=float(result[metric]),
                protocol=content["protocol"],
                source=content["source"],
                second_hand=bool(content.get("second_hand", False)),
            )
