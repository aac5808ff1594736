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
import re
import shlex
from collections.abc import Container, Mapping, Sequence
from math import inf
from pathlib import Path

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.digests import sha256_of_all
from e2r_metrics.base.errors import PictureError, UsageError, unknown
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
from e2r_metrics.images import Image, check_image, check_pairs
from e2r_metrics.rows.types import Metric, Program

COMMAND = "command"
_PLACES = ("{restored}", "{reference}", "{values}")
_HEADER = ["image", "value"]
_CHOICES = {"better": ("higher", "lower"), "against": ("clean", "degraded")}
_SETTINGS = ("name", *_CHOICES, "low", "high", "margin", "timeout")
_SETTING = re.compile(r"([A-Za-z_]+)=(.*)", re.DOTALL)
_NAME = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)
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
    told, words = _parted(words_of(f"{COMMAND}:{line}"))
    where = f"{COMMAND}:{line}"
    name, (low, high) = _name(where, told, taken), _ends(where, told)
    digest, files = _digest(where, words)
    meant = (words, told.get("better"), told.get("against"), low, high, digest)
    return Metric(
        name, f"{COMMAND}-{hashlib.sha256(json.dumps(meant).encode()).hexdigest()[:8]}", name,
        "command_metric", _choice(where, told, "better", None) == "higher",
        f"somebody's program, one picture at a time as 8-bit PNG: {_meaning(told, low, high)} "
        f"{_shown(words)}{files}",
        "the user's", "the user's", "not compared",
        "image" if any(_PLACES[1] in word for word in words) else "single",
        low=low, high=high, colour="the program's own", resize="the program's own",
        symmetric=False, margin=_above_zero(where, told, "margin", None),
        against="degraded" if _choice(where, told, "against", "clean") == "degraded" else "clean",
        program=Program(words, _above_zero(where, told, "timeout", _TIMEOUT) or _TIMEOUT),
    )  # fmt: skip


def _parted(words: Sequence[str]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the settings at the head of a line, and the words of its program."""
    told: dict[str, str] = {}
    rest = list(words)
    while rest and (found := _SETTING.fullmatch(rest[0])):
        if found[1] not in _SETTINGS:
            raise unknown("setting of command:", found[1], _SETTINGS)
        if found[1] in told:
            raise UsageError(f"{COMMAND}: expected {found[1]}= once before the program, found two")
        told[found[1]] = found[2]
        rest.pop(0)
    if not rest:
        raise UsageError(f"{COMMAND}:{shlex.join(words)}: expected a program, found settings alone")
    if not any(place in word for word in rest for place in _PLACES):
        rest += _PLACES
    for place in (_PLACES[0], _PLACES[2]):
        if not any(place in word for word in rest):
            raise UsageError(f"{COMMAND}:{shlex.join(words)}: expected {place} too, found none")
    return told, tuple(rest)


def _name(where: str, told: Mapping[str, str], taken: Container[str]) -> str:
    name = told.get("name", COMMAND)
    if name in taken:
        raise UsageError(f"{where}: name: {name!r} is taken; give another")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: name: expected small letters, found {name!r}")
    return name


def _meaning(told: Mapping[str, str], low: float, high: float) -> str:
    """Return the settings that change what a value means, as a line has them."""
    ends = {"low": low, "high": high}
    said = {key: repr(ends[key]).removesuffix(".0") for key in ends if key in told}
    choices = {key: told[key] for key in _CHOICES if key in told}
    return " ".join(f"{key}={value}" for key, value in (choices | said).items())


def _digest(where: str, words: Sequence[str]) -> tuple[str, str]:
    """Return a digest of the files that a line names, and what a protocol says of it."""
    read = files_read(words)
    if not read:
        return "", ""
    try:
        found = sha256_of_all(read.values())
    except OSError as error:
        raise UsageError(f"{where}: expected files that can be read: {error}") from error
    return found, f"; sha256 of {_shown(tuple(read))}: {found[:16]}"


def _shown(words: Sequence[str]) -> str:
    return " ".join(shlex.join(words).split())


def _choice(where: str, told: Mapping[str, str], key: str, usual: str | None) -> str:
    found = told.get(key, usual)
    if found not in _CHOICES[key]:
        expected = " or ".join(f"{key}={value}" for value in _CHOICES[key])
        raise UsageError(
            f"{where}: expected {expected} before the program, found {found or 'none'}"
        )
    return found


def _number(where: str, told: Mapping[str, str], key: str) -> float:
    try:
        found = float(told[key])
    except ValueError:
        found = math.nan
    if math.isnan(found):
        raise UsageError(f"{where}: {key}: expected a number, found {told[key]!r}")
    return found


def _ends(where: str, told: Mapping[str, str]) -> tuple[float, float]:
    low = _number(where, told, "low") if "low" in told else -inf
    high = _number(where, told, "high") if "high" in told else inf
    if not low < high:
        raise UsageError(f"{where}: expected low below high, found {low:g} and {high:g}")
    return low, high


def _above_zero(where: str, told: Mapping[str, str], key: str, usual: float | None) -> float | None:
    if key not in told:
        return usual
    found = _number(where, told, key)
    if found <= 0 or (key == "margin" and found == inf):
        raise UsageError(f"{where}: {key}: expected a number above 0, found {told[key]}")
    return found


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
    shown = {_PLACES[0]: restored}
    if metric.scope == "image":
        check_pairs(restored, clean)
        shown[_PLACES[1]] = clean
    names = [f"{count:04d}" for count in range(1, len(restored) + 1)]
    with signals_held() as stopped, temporary_folder() as folder:
        said = {place: str(folder / place.strip("{}")) for place in _PLACES}
        said[_PLACES[2]] += ".csv"
        for place, images in shown.items():
            for name, image in zip(names, images, strict=True):
                write_png(Path(said[place], f"{name}.png"), eight_bit(image))
        log = folder / "said.txt"
        words = [filled(word, said) for word in program.words]
        status = run_program(words, log, program.timeout, stopped)
        try:
            _check_status(status, program, log)
            found = _read(Path(said[_PLACES[2]]), names)
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
            raise PictureError(f"expected one value of each file it was given, found {image!r} {why}")
        found[name] = value
    if any(name not in found for name in names):
        # Names here are ours: a user knows the picture by another, which stands before this.
        raise PictureError("expected a value of the picture, found none")
    return found


def _checked(metric: Metric, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and metric.low <= value <= metric.high):
        ends = f" from {metric.low:g} to {metric.high:g}"
        ranged = "" if (metric.low, metric.high) == (-inf, inf) else ends
        raise PictureError(f"{metric.name}: expected a finite number{ranged}, found {text!r}")
    return value
