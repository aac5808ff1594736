"""Other people's programs: started without a shell, ended in time, and nothing of them left."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from e2r_metrics.base.errors import UsageError

Stopped = Callable[[], bool]
"""Returns whether a signal has come that ends this process."""

_GRACE = 2.0  # seconds between asking a program to end and killing it
_LOOK = 0.1  # seconds between looks at a signal that came
_TAIL = 4096  # bytes of what a program said that are looked at for its last line
_SAID = 200  # characters of that line that are shown


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
