"""Who chooses among several results of one picture; see `e2r_adapters.early_filter`.

A judge by a number sees each result alone: "consistency", how well the result explains the input
under the task's degradation (`e2r_baselines.consistency`); a metric of one picture alone, such as
niqe, brisque or clip_iqa; or "oracle", the squared error against the truth, which nobody has who
restores: an upper bound of the others in PSNR, and no method. `command:LINE` compares two results.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2r_adapters.options import CONSISTENCY, ORACLE
from e2r_baselines.consistency import consistency
from e2r_baselines.degrade import Task
from e2r_baselines.method import Photo
from e2r_metrics.base.errors import PictureError, UsageError, unknown
from e2r_metrics.base.pictures import EightBit, eight_bit, write_png
from e2r_metrics.base.programs import (
    filled,
    last_line,
    run_program,
    signals_held,
    temporary_folder,
    words_of,
)
from e2r_metrics.catalog import CATALOG, Metric, resolve

if TYPE_CHECKING:
    from e2r_metrics.images import PerImage

Judge = Callable[[Sequence[EightBit], Photo, Task], int]
"""(results as they would be written, what they were made from, task) -> the place of the best."""
Loss = Callable[[EightBit, Photo, Task], float]
"""One result alone -> a number; the lowest is chosen, and of equals the first."""

COMMAND = "command:"
_PAIR = ("{first}", "{second}")
_TIMEOUT = 3600.0
"""Seconds that a program may take for one comparison: nothing but a hang takes so long."""


@dataclass(frozen=True)
class JudgeRow:
    """A judge that was asked for by name, before it is opened.

    Attributes:
        name: in full, as every row says it.
        weights: names of weight files.
        runs: the words of the program that it starts; empty for none.
        metric: that it judges by.
    """

    name: str
    weights: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    metric: Metric | None = None


def judge_named(name: str) -> JudgeRow:
    """Look a judge up.

    Raises:
        UsageError: nobody knows it, a metric that needs the truth, or a line that is none.
    """
    if name in (CONSISTENCY, ORACLE):
        return JudgeRow(name)
    if name.startswith(COMMAND):
        words = words_of(name)
        if not any(place in word for word in words for place in _PAIR):
            words = (*words, *_PAIR, "{prompt}")
        return JudgeRow(name, runs=words)
    known = {row.name: row for row in CATALOG.values() if row.scope == "single"}
    if name.partition(":")[0] not in known:
        raise unknown("judge", name, (CONSISTENCY, ORACLE, f"{COMMAND}LINE", *known))
    (metric,) = resolve([name])
    return JudgeRow(metric.id, metric.weights, metric=metric)


def open_judge(row: JudgeRow, files: Mapping[str, Path], device: str) -> Judge:
    """Return a judge that is ready.

    Args:
        row: see `judge_named`.
        files: weight file -> local path.
        device: the torch device of a metric's network.
    """
    if row.runs:
        return partial(_by_command, row.runs)
    if row.metric is None:
        return partial(_lowest, _inconsistency if row.name == CONSISTENCY else _error)
    from e2r_metrics.session import metric_module

    opened = metric_module(row.metric).open_metric(
        row.metric.variant, {name: files[name] for name in row.weights}, device
    )
    return partial(_lowest, partial(_by_metric, opened, row.metric))


def _lowest(loss: Loss, results: Sequence[EightBit], photo: Photo, task: Task) -> int:
    found = [loss(result, photo, task) for result in results]
    odd = [value for value in found if not isfinite(value)]
    if odd:
        raise PictureError(f"judge: expected a finite number of every candidate, found {odd[0]}")
    return int(np.argmin(found))


def _inconsistency(result: EightBit, photo: Photo, task: Task) -> float:
    scores = consistency(task, result, eight_bit(photo.pixels)).scores
    return scores["inconsistency"] if "inconsistency" in scores else scores["unexplained"]


def _error(result: EightBit, photo: Photo, task: Task) -> float:
    del task
    if photo.truth is None:
        raise UsageError("judge oracle: expected the truth beside the picture, found none")
    gap = result.astype(np.float64) - eight_bit(photo.truth)
    return float(np.mean(gap * gap))


def _by_metric(
    measure: "PerImage", metric: Metric, result: EightBit, photo: Photo, task: Task
) -> float:
    del photo, task
    value = float(measure([result], [result])[0])
    return -value if metric.higher_is_better else value


def _by_command(words: Sequence[str], results: Sequence[EightBit], photo: Photo, task: Task) -> int:
    """Return the winner of one pass: the best so far against the next."""
    best = 0
    for place in range(1, len(results)):
        if _answer(words, (results[best], results[place]), photo, task) == "2":
            best = place
    return best


def _answer(words: Sequence[str], pair: tuple[EightBit, EightBit], photo: Photo, task: Task) -> str:
    with signals_held() as stopped, temporary_folder() as folder:
        said = {
            "{first}": str(folder / "1.png"), "{second}": str(folder / "2.png"),
            "{input}": str(folder / "input.png"), "{task}": task.name, "{prompt}": task.prompt,
        }  # fmt: skip
        shown = (*pair, eight_bit(photo.pixels))
        for place, picture in zip(("{first}", "{second}", "{input}"), shown, strict=True):
            write_png(Path(said[place]), picture)
        log = folder / "said.txt"
        line = [filled(word, said) for word in words]
        status = run_program(line, log, _TIMEOUT, stopped)
        answer = last_line(log)
    if status != 0 or answer not in ("1", "2"):
        raise PictureError(
            f"judge {shlex.join(words)!r}: expected 1 or 2 in its last line and exit status 0, "
            f"found {answer!r} and status {status}"
        )
    return answer
