"""Other people's programs: started without a shell, ended in time, and nothing of them left."""

import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from e2r_metrics.base.errors import UsageError

Stopped = Callable[[], bool]
"""Returns whether a signal has come that ends this process."""

# What a line names under these suffixes is read by its program, never written: hashed like weights.
_READ = frozenset({".py", ".sh", ".pl", ".lua", ".m", ".jl", ".r", ".js", ".pt", ".pth", ".ckpt",
                   ".safetensors", ".onnx", ".bin", ".param"})  # fmt: skip

_GRACE = 2.0  # seconds between asking a program to end and killing it
_LOOK = 0.1  # seconds between looks at a signal that came
_TAIL = 4096  # bytes of what a program said that are looked at for its last line
_SAID = 200  # characters of that line that are shown


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of `command:LINE`, as a shell would split them.

    Raises:
        UsageError: the line is empty, or its quotes do not close.
    """
    line = name.partition(":")[2]
    if "\0" in line:
        raise UsageError("command:LINE: expected text, found a NUL character")
    try:
        words = tuple(shlex.split(line))
    except ValueError as error:
        raise UsageError(f"{name}: expected command:PROGRAM ARGUMENTS, found {error}") from error
    if not words:
        raise UsageError(f"{name}: expected command:PROGRAM ARGUMENTS, found no program")
    return words


def files_read(words: Sequence[str]) -> Mapping[str, Path]:
    """Return the files that a line names and its program reads, the program itself included."""
    named = {word: Path(os.path.expanduser(word.rpartition("=")[2])) for word in words[1:]}
    found = {word: path for word, path in named.items() if path.suffix.lower() in _READ}
    if os.sep in words[0]:
        found[words[0]] = Path(words[0])
    # Words may be longer than any name or hold anything: os.path only says no where pathlib raises.
    return {word: path for word, path in found.items() if os.path.isfile(path)}


def filled(word: str, said: Mapping[str, str]) -> str:
    """Replace the names in braces in one pass: a prompt may have braces of its own."""
    places = "|".join(map(re.escape, said))
    return re.sub(places, lambda found: said[found[0]], word)


@contextmanager
def temporary_folder() -> Generator[Path]:
    """Yield a folder that is gone afterwards; `UsageError` where none can be made."""
    try:
        folder = tempfile.TemporaryDirectory(prefix="e2r-command-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(
            f"expected a folder for temporary files, found {error}; set TMPDIR to one"
        ) from error
    with folder as name:
        yield Path(name)


def run_program(
    words: Sequence[str], log: Path, timeout: float, stopped: Stopped = lambda: False
) -> int | None:
    """Run a program to its end, without standard input, and return its exit status.

    Args:
        words: program and arguments.
        log: receives what it says. A pipe would be held open by what it leaves in the background,
            and grow in memory.
        timeout: seconds until it is ended; infinity for never.
        stopped: looked at all the time; from `signals_held`.

    Returns:
        The status; None where the time was over or a signal came. Its process group is gone.

    Raises:
        UsageError: it cannot be started.
    """
    try:
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603
                words,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except (OSError, ValueError) as error:
        raise UsageError(f"command {words[0]!r}: cannot be started: {error}") from error
    try:
        return _waited(process, timeout, stopped)
    finally:
        _end(process)


def _waited(process: "subprocess.Popen[bytes]", timeout: float, stopped: Stopped) -> int | None:
    until = time.monotonic() + timeout
    while not stopped():
        left = until - time.monotonic()
        if left <= 0:
            break
        with suppress(subprocess.TimeoutExpired):
            return process.wait(min(_LOOK, left))
    return None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program and all that it started: asked first, then killed."""
    # The group is the program's own; where nothing of it lives any more there is nothing to end.
    with suppress(ProcessLookupError, PermissionError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(_GRACE)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def signals_held() -> Generator[Stopped]:
    """Let SIGINT, SIGTERM and SIGHUP take effect only when what is inside has been cleared away.

    Handlers that somebody has set stay as they are, and outside the main thread nothing is held.
    """
    received: list[int] = []
    before: dict[int, Any] = {}

    def hold(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)

    with suppress(ValueError):  # not the main thread
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            usual = signal.getsignal(number)
            if usual is signal.SIG_DFL or usual is signal.default_int_handler:
                signal.signal(number, hold)
                before[number] = usual
    try:
        yield lambda: bool(received)
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)
        if received:
            os.kill(os.getpid(), received[0])


def last_line(log: Path) -> str:
    """Return the last line of what a program said, whatever its bytes, cut to what a line holds."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL))
        text = stream.read().decode("utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    shown = "".join(c if c.isprintable() else " " for c in (lines or ["no message"])[-1])
    return shown if len(shown) <= _SAID else f"...{shown[-_SAID:]}"
