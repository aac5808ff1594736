"""Every command with every kind of bad input, and the program that judges what came of it."""

import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import harness

from e2r_bench.cli import main

PATIENCE = 10.0
"""Seconds within which every command on bad input must have ended."""
_ERROR = re.compile(r"^(e2r-bench: |Usage: )")
_SAYS = re.compile(
    r"expected|unknown|cannot|No such|Invalid value|Missing|needs|may not|is in use|found|has no",
    re.IGNORECASE,
)
_NAMED = re.compile(r"failed|not measured|PROBLEM|could not|stand among", re.IGNORECASE)
_LONGEST = 1500

Words = Sequence[str]
Check = Callable[[Path, str], list[str]]
"""From the case's folder and all that was printed to what else is wrong."""


def _nothing(folder: Path, said: str) -> list[str]:
    del folder, said
    return []


def _unchanged() -> None:
    return


@dataclass(frozen=True)
class Case:
    """One try.

    Attributes:
        door: the command, and which of its inputs is bad.
        kind: what is bad about it.
        prepare: makes the inputs in a fresh folder and returns the words of the command line; all
            that the command may touch lies in `out` below that folder.
        codes: the exit codes that are right.
        check: what else must hold, such as a number.
        before: called in the child first, for its environment.
        patience: seconds, more where a network is loaded.
    """

    door: str
    kind: str
    prepare: Callable[[Path], Words]
    codes: frozenset[int]
    check: Check = field(default=_nothing)
    before: Callable[[], None] = field(default=_unchanged)
    patience: float = PATIENCE

    @property
    def name(self) -> str:
        """Return its name in results."""
        return f"{self.door}: {self.kind}"


@dataclass(frozen=True)
class Outcome:
    """What came of a try: exit code, seconds, the last line, and all that is wrong."""

    case: Case
    code: int
    seconds: float
    line: str
    wrong: tuple[str, ...]


def attempt(case: Case, folder: Path, slower: float = 1.0) -> Outcome:
    """Try a case in a fresh folder, which is gone afterwards.

    Args:
        case: what to try.
        folder: must not exist.
        slower: how much slower than a quiet core this machine is.
    """
    (folder / "work").mkdir(parents=True)
    words = [str(word) for word in case.prepare(folder)]
    before = _seen(folder)
    log = folder.parent / f"{folder.name}.said"

    def command() -> int:
        os.chdir(folder / "work")
        case.before()
        return main(words)

    since = time.monotonic()
    try:
        code = harness.run(command, folder, patience=case.patience * slower, log=log)
        wrong: list[str] = []
    except TimeoutError:
        code, wrong = -9, [f"hangs for more than {case.patience:g} s"]
    seconds = time.monotonic() - since
    said = log.read_text(encoding="utf-8", errors="replace")
    if not wrong:
        wrong = [*_wrong(case, code, said), *_touched(before, _seen(folder))]
        wrong += case.check(folder, said) if not wrong else []
    log.unlink()
    shutil.rmtree(folder)
    lines = [line for line in said.splitlines() if line.strip()]
    return Outcome(case, code, seconds, lines[-1][:300] if lines else "", tuple(wrong))


def _wrong(case: Case, code: int, said: str) -> list[str]:
    if "Traceback" in said or code == harness.CRASHED:
        last = [line for line in said.splitlines() if line.strip()][-1:]
        return [f"traceback: {' '.join(last)[:200]}"]
    found: list[str] = []
    if code not in case.codes:
        found.append(f"exit code {code}, expected {' or '.join(map(str, sorted(case.codes)))}")
    lines = [line for line in said.splitlines() if line.strip()]
    if code == 2:
        found += _unclear(lines)
    if code == 1 and not any(_NAMED.search(line) for line in lines):
        found.append("exit code 1 and no word of what failed")
    return found


def _unclear(lines: Sequence[str]) -> list[str]:
    """Judge the message of a mistake: one line, the last, that says what is expected."""
    if lines[:1] and lines[0].startswith("Usage: ") and not any(map(_ERROR.match, lines[1:])):
        return []  # the help of a group that was given no command
    errors = [line for line in lines if line.startswith("e2r-bench: ")]
    if len(errors) != 1 or lines[-1] != errors[0]:
        after = lines[-1][:120] if lines else "nothing"
        return [f"expected one line of error, the last; found {len(errors)}, ending in {after!r}"]
    if len(errors[0]) > _LONGEST:
        return [f"a line of {len(errors[0])} characters"]
    return [] if _SAYS.search(errors[0]) else [f"an error that does not say what: {errors[0]}"]


_Seen = dict[str, tuple[int, int, int]]


def _seen(folder: Path) -> _Seen:
    """Return what lies outside `out`: name -> kind, size and time of change."""
    found: _Seen = {}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if relative.parts[0] != "out":
            stat = path.lstat()
            time_ns = 0 if path.is_dir() else stat.st_mtime_ns
            found[relative.as_posix()] = (
                stat.st_mode,
                0 if path.is_dir() else stat.st_size,
                time_ns,
            )
    return found


def _touched(before: _Seen, after: _Seen) -> list[str]:
    names = sorted(n for n in before.keys() | after.keys() if before.get(n) != after.get(n))
    return [f"touched {name}" for name in names]
