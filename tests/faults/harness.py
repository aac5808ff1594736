"""Killing a command at a file operation, or at a moment of its life, and what is left then.

Commands run in forked children, so that the packages are imported once. An audit hook counts the
operations that Python does on files below one folder, and sends the signal before the chosen one.
"""

import multiprocessing
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from e2r_metrics.base.files import unfinished

Command = Callable[[], int]
"""Does the work of one command in this process and returns its exit code."""

_OPERATIONS = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"})
_SHELVED = frozenset({".lock", ".lock.json"})
_TIMED = frozenset({"timing.jsonl", "costs.json", "report.html", "report.md"})
"""Files that are made of wall times."""
_SECONDS = re.compile(rb'"seconds": [0-9.e+-]+')


@dataclass(frozen=True)
class Kill:
    """When a child dies.

    Attributes:
        signal: what it is sent.
        operation: before this file operation below the folder, counted from 0; or
        seconds: so long after it started.
    """

    signal: signal.Signals
    operation: int | None = None
    seconds: float | None = None


CRASHED = 70
"""What a child ends with whose command raised."""


def run(
    command: Command,
    folder: Path,
    kill: Kill | None = None,
    patience: float = 120,
    log: Path | None = None,
) -> int:
    """Run a command in a child and return its exit code, negative for the signal that ended it.

    Args:
        command: what it does.
        folder: whose operations a `kill` counts.
        kill: when it dies, None for never.
        patience: seconds.
        log: takes what it prints; nothing does without.

    Raises:
        TimeoutError: it neither ended nor died in `patience` seconds; it is killed.
    """
    pid = os.fork()
    if pid == 0:
        _child(command, folder, kill, log)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise TimeoutError(f"{command} did not end in {patience} seconds")


def _child(command: Command, folder: Path, kill: Kill | None, log: Path | None) -> None:
    """Never returns: whatever happens, the child must not go on as its parent."""
    code = CRASHED
    try:
        silence = os.open(log or os.devnull, os.O_WRONLY | os.O_CREAT)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        # A test runner has its own streams in their places, which write elsewhere.
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(  # noqa: SIM115
            2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False
        )
        if kill is not None:
            _arm(kill, folder)
        code = command()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  # the parent reads what it was
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)


def _arm(kill: Kill, folder: Path) -> None:
    if kill.seconds is not None:
        timer = threading.Timer(kill.seconds, os.kill, (os.getpid(), kill.signal))
        timer.daemon = True
        timer.start()
        return
    below, seen = str(folder), [0]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event not in _OPERATIONS or not _writes(event, arguments, below):
            return
        if seen[0] == kill.operation:
            os.kill(os.getpid(), kill.signal)
        seen[0] += 1

    sys.addaudithook(hook)


def _writes(event: str, arguments: tuple[object, ...], below: str) -> bool:
    """Return whether an audited operation changes something below a folder."""
    name = arguments[0]
    path = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
    if not path.startswith(below):
        return False
    if event != "open":
        return True
    mode, flags = arguments[1], arguments[2]
    written = any(sign in str(mode or "") for sign in "wax+")
    return written or bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR))


def at_once(command: Command, folder: Path, count: int) -> list[int]:
    """Run a command several times at once and return the exit codes."""
    context = multiprocessing.get_context("fork")
    codes = context.Array("i", count)

    def one(index: int) -> None:
        codes[index] = run(command, folder)

    workers = [context.Process(target=one, args=(k,)) for k in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    return list(codes)


def operations(command: Command, folder: Path) -> int:
    """Return how many file operations a whole command does below a folder."""
    counter = folder.parent / f"{folder.name}.operations"
    counter.touch()

    def counted() -> int:
        seen = [0]

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            seen[0] += event in _OPERATIONS and _writes(event, arguments, str(folder))

        sys.addaudithook(hook)
        code = command()
        counter.write_text(str(seen[0]))
        return code

    code = run(counted, folder)
    total = int(counter.read_text())
    counter.unlink()
    if code:
        raise RuntimeError(f"the undisturbed command ended with exit code {code}")
    return total


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file that must not depend on what happened: timings and locks excepted."""
    return {
        path.relative_to(folder).as_posix(): _untimed(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in _SHELVED | _TIMED
    }


def _untimed(path: Path) -> bytes:
    """Return a file without the seconds that each step of a training took."""
    content = path.read_bytes()
    return _SECONDS.sub(b"", content) if path.name == "train.jsonl" else content


def differences(left: Mapping[str, bytes], right: Mapping[str, bytes]) -> list[str]:
    """Return the names of files that are not the same in both."""
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


def left_over(folder: Path) -> list[str]:
    """Return the temporary files below a folder."""
    return sorted(path.name for path in unfinished(folder))


def moments(total: int, count: int) -> Iterator[int]:
    """Yield `count` operations spread evenly over a whole command, the first and last included."""
    for k in range(count):
        yield round(k * (total - 1) / max(1, count - 1))
