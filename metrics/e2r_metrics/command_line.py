"""What stands before the program in `command:LINE`, as metrics have it: settings, read and checked.

Each is KEY=VALUE, once. They say what the program's numbers mean, which nobody else can know.
"""

import math
import re
import shlex
from collections.abc import Container, Mapping, Sequence
from math import inf

from e2r_metrics.base.errors import UsageError, unknown

COMMAND = "command"
PLACES = ("{restored}", "{reference}", "{values}")
_CHOICES = {"better": ("higher", "lower"), "against": ("clean", "degraded")}
_SETTINGS = ("name", *_CHOICES, "low", "high", "margin", "timeout")
_SETTING = re.compile(r"([A-Za-z_]+)=(.*)", re.DOTALL)
_NAME = re.compile(r"[a-z][a-z0-9_-]*", re.ASCII)


def parted(words: Sequence[str]) -> tuple[Mapping[str, str], tuple[str, ...]]:
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
    if not any(place in word for word in rest for place in PLACES):
        rest += PLACES
    for place in (PLACES[0], PLACES[2]):
        if not any(place in word for word in rest):
            raise UsageError(f"{COMMAND}:{shlex.join(words)}: expected {place} too, found none")
    return told, tuple(rest)


def name_of(where: str, told: Mapping[str, str], taken: Container[str]) -> str:
    """Return the column's name; UsageError for one that is no name, or taken."""
    name = told.get("name", COMMAND)
    if name in taken:
        raise UsageError(f"{where}: name: {name!r} is taken; give another")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{where}: name: expected small letters, found {name!r}")
    return name


def meaning(told: Mapping[str, str], low: float, high: float) -> str:
    """Return the settings that change what a value means, as a line has them."""
    ends = {"low": low, "high": high}
    said = {key: repr(ends[key]).removesuffix(".0") for key in ends if key in told}
    choices = {key: told[key] for key in _CHOICES if key in told}
    return " ".join(f"{key}={value}" for key, value in (choices | said).items())


def choice(where: str, told: Mapping[str, str], key: str, usual: str | None) -> str:
    """Return one of a setting's words; UsageError for another, or none where there is no usual."""
    found = told.get(key, usual)
    if found not in _CHOICES[key]:
        expected = " or ".join(f"{key}={value}" for value in _CHOICES[key])
        raise UsageError(
            f"{where}: expected {expected} before the program, found {found or 'none'}"
        )
    return found


def ends_of(where: str, told: Mapping[str, str]) -> tuple[float, float]:
    """Return the ends of what a value may be, infinite where nothing is said."""
    low = _number(where, told, "low") if "low" in told else -inf
    high = _number(where, told, "high") if "high" in told else inf
    if not low < high:
        raise UsageError(f"{where}: expected low below high, found {low:g} and {high:g}")
    return low, high


def above_zero(where: str, told: Mapping[str, str], key: str, usual: float | None) -> float | None:
    """Return a number above zero; a margin is finite."""
    if key not in told:
        return usual
    found = _number(where, told, key)
    if found <= 0 or (key == "margin" and found == inf):
        raise UsageError(f"{where}: {key}: expected a number above 0, found {told[key]}")
    return found


def number_in(text: str) -> float:
    """Return a number as programs write it, NaN for none: Python itself would read 3_7 too."""
    try:
        return float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return math.nan


def _number(where: str, told: Mapping[str, str], key: str) -> float:
    found = number_in(told[key])
    if math.isnan(found):
        raise UsageError(f"{where}: {key}: expected a number, found {told[key]!r}")
    return found


def shown(words: Sequence[str]) -> str:
    """Return words as a shell would read them, in one line."""
    return " ".join(shlex.join(words).split())
