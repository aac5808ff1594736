"""`command:LINE` as a metric: the values of single pictures, from somebody's program.

What the numbers mean nobody here can know, so that LINE has to say it, as a shell's line says its
environment: `command:better=higher low=0 high=10 name=vie python judge.py`. The program is called
with one picture at a time, so that no value depends on others, and its values are checked.
"""

import csv
import hashlib
import json
import math
import os
from collections.abc import Container, Mapping, Sequence
from math import inf
from pathlib import Path

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.digests import sha256_of_all
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.files import read_text
from e2r_metrics.base.pictures import eight_bit, write_png
from e2r_metrics.base.programs import (
    files_read,
    filled,
    last_line,
    run_program,
    signals_held,
    temporary_folder,
    words_of,
)
from e2r_metrics.command_line import (
    COMMAND,
    PLACES,
    above_zero,
    choice,
    ends_of,
    meaning,
    name_of,
    number_in,
    parted,
    shown,
)
from e2r_metrics.images import Image, check_image, check_pairs
from e2r_metrics.rows.types import Metric, Program

_HEADER = ["image", "value"]
_TIMEOUT = 3600.0


def command_metric(line: str, taken: Container[str]) -> Metric:
    """Return the metric of `command:LINE`; nothing is started.

    Settings stand before the program: `better=higher` or `lower`, always; `name`, `low` and `high`
    (ends of what a value may be), `margin` (what counts as no difference), `against=degraded` (it
    compares with the inputs), `timeout` (seconds for one picture, 3600). `{restored}`,
    `{reference}` and `{values}` are replaced, two folders and a file to write; they are appended
    where LINE names none of them. A line without `{reference}` looks at the restored picture alone.

    Its variant is a digest of the line and of the scripts and weights that it names, so that
    another line, or an edited script, is another metric.

    Args:
        line: what follows the colon.
        taken: names that it may not have.

    Raises:
        UsageError: no program, or settings that are wrong or do not say what is better.
    """
    if "," in line:
        raise UsageError(f"{COMMAND}:{line}: expected no comma, which ends a line, found one")
    told, words = parted(words_of(f"{COMMAND}:{line}"))
    where = f"{COMMAND}:{line}"
    name, (low, high) = name_of(where, told, taken), ends_of(where, told)
    digest, files = _digest(where, words)
    meant = (words, told.get("better"), told.get("against"), low, high, digest)
    return Metric(
        name, f"{COMMAND}-{hashlib.sha256(json.dumps(meant).encode()).hexdigest()[:8]}", name,
        "command_metric", choice(where, told, "better", None) == "higher",
        f"somebody's program, one picture at a time as 8-bit PNG: {meaning(told, low, high)} "
        f"{shown(words)}{files}",
        "the user's", "the user's", "not compared",
        "image" if any(PLACES[1] in word for word in words) else "single",
        low=low, high=high, colour="the program's own", resize="the program's own",
        symmetric=False, margin=above_zero(where, told, "margin", None),
        against="degraded" if choice(where, told, "against", "clean") == "degraded" else "clean",
        program=Program(words, above_zero(where, told, "timeout", _TIMEOUT) or _TIMEOUT),
    )  # fmt: skip


def _digest(where: str, words: Sequence[str]) -> tuple[str, str]:
    """Return a digest of the files that a line names, and what a protocol says of it."""
    read = files_read(words)
    if not read:
        return "", ""
    try:
        found = sha256_of_all(read.values())
    except OSError as error:
        raise UsageError(f"{where}: expected files that can be read: {error}") from error
    return found, f"; sha256 of {shown(tuple(read))}: {found[:16]}"


def values_of(
    metric: Metric, program: Program, restored: Sequence[Image], clean: Sequence[Image]
) -> npt.NDArray[np.float64]:
    """Return (B,) values of one call of a metric's program.

    Args:
        metric: of `command_metric`; it says which values can be.
        program: its own.
        restored: B pictures (H, W, 3), uint8 or float in [0, 1], which are rounded to 8 bits.
        clean: their partners, of the same size; not looked at where its scope is "single".

    Raises:
        PictureError: the program fails or takes too long, or a value is missing or cannot be.
        UsageError: it cannot be started, or pictures that are none.
    """
    for image in restored:
        check_image(image, "restored")
    given = {PLACES[0]: restored}
    if metric.scope == "image":
        check_pairs(restored, clean)
        given[PLACES[1]] = clean
    names = [f"{count:04d}" for count in range(1, len(restored) + 1)]
    with signals_held() as stopped, temporary_folder() as folder:
        said = {place: str(folder / place.strip("{}")) for place in PLACES}
        said[PLACES[2]] += ".csv"
        for place, images in given.items():
            for name, image in zip(names, images, strict=True):
                write_png(Path(said[place], f"{name}.png"), eight_bit(image))
        log = folder / "said.txt"
        words = [filled(word, said) for word in program.words]
        status = run_program(words, log, program.timeout, stopped)
        try:
            _check_status(status, program, log)
            found = _read(Path(said[PLACES[2]]), names)
        except PictureError as error:
            # Another call has another folder; what is recorded is the same for each.
            told = str(error).replace(f"{folder}{os.sep}", "")
            raise PictureError(f"{metric.name}, command {program.words[0]!r}: {told}") from error
    return np.array([_checked(metric, found[name]) for name in names])


def _check_status(status: int | None, program: Program, log: Path) -> None:
    if status is None:
        raise PictureError(
            f"expected it to end within {program.timeout:g} seconds, ended it ({last_line(log)}); "
            "give it more with timeout=SECONDS before the program"
        )
    if status != 0:
        raise PictureError(f"expected exit status 0, found {status}: {last_line(log)}")


def _read(path: Path, names: Sequence[str]) -> Mapping[str, str]:
    """Return name -> value as written, one of each name and of no other."""
    try:
        lines = read_text(path).removeprefix("\ufeff").splitlines()
        rows = [row for row in csv.reader(lines, strict=True) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise PictureError(f"expected a CSV file of values: {error}") from error
    if not rows or rows[0] != _HEADER or any(len(row) != len(_HEADER) for row in rows):
        first = ",".join(rows[0]) if rows else "nothing"
        raise PictureError(f"expected a CSV file with the columns image,value, found {first!r}")
    found: dict[str, str] = {}
    for image, value in rows[1:]:
        name = image.removesuffix(".png")
        if name not in names or name in found:
            why = "twice" if name in found else "and no file of that name"
            raise PictureError(
                f"expected one value of each file it was given, found {image!r} {why}"
            )
        found[name] = value
    if any(name not in found for name in names):
        # Names here are ours: a user knows the picture by another, which stands before this.
        raise PictureError("expected a value of the picture, found none")
    return found


def _checked(metric: Metric, text: str) -> float:
    value = number_in(text)
    if not (math.isfinite(value) and metric.low <= value <= metric.high):
        ends = f" from {metric.low:g} to {metric.high:g}"
        ranged = "" if (metric.low, metric.high) == (-inf, inf) else ends
        raise PictureError(f"{metric.name}: expected a finite number{ranged}, found {text!r}")
    return value
