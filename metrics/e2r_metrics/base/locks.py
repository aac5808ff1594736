"""One process at a time writes into a folder; a second one is told who does, and since when."""

import json
import os
import socket
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, SoftFileLock, Timeout

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import refuse_foreign_folder, remove_unfinished, write_text

LOCK = ".lock"
_HOLDER = ".lock.json"


@contextmanager
def locked(folder: Path, marks: Sequence[str] = ()) -> Generator[None]:
    """Hold a folder alone while inside; what a killed process left half-written is removed first.

    The system itself drops the lock of a process that dies. Where a file system has no such locks,
    a file stands for it; it names its process, so that one left behind is recognised. A folder that
    was made for it, and in which nothing was written, goes again.

    Args:
        folder: made where it is not there.
        marks: see `refuse_foreign_folder`; empty where the folder may hold whatever it does.

    Raises:
        UsageError: another process holds it, it is a folder of something else, or it cannot be made
            or written to.
    """
    if marks:
        refuse_other_folder(folder, marks)
    try:
        made = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquired(folder)
    except Timeout as error:
        raise UsageError(
            f"{folder} is in use by {_holder(folder)}; wait for it, or choose another place"
        ) from error
    except OSError as error:
        raise UsageError(
            f"cannot write {folder}: {error.strerror}; choose another place"
        ) from error
    try:
        remove_unfinished(folder)
        write_text(folder / _HOLDER, json.dumps(_myself()) + "\n")
        yield
    finally:
        with suppress(OSError):
            (folder / _HOLDER).unlink(missing_ok=True)
        _unmake(folder, made)
        lock.release()


def refuse_other_folder(folder: Path, marks: Sequence[str]) -> None:
    """Raise `UsageError` where a folder is of something else, as `locked` does, and hold nothing.

    Args:
        folder, marks: as in `locked`; of a process that was killed before it left any, its name is.
    """
    refuse_foreign_folder(folder, (*marks, _HOLDER))


def _unmake(folder: Path, made: Sequence[Path]) -> None:
    """Remove a lock beside which nothing is, and the folders that were made for it."""
    with suppress(OSError):  # an open file cannot be removed everywhere
        if os.listdir(folder) == [LOCK]:
            (folder / LOCK).unlink()
            for place in made:
                place.rmdir()


def _acquired(folder: Path) -> FileLock | SoftFileLock:
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except NotImplementedError:
        soft = SoftFileLock(folder / f"{LOCK}.soft")
        soft.acquire(timeout=0)
        return soft
    return lock


def _myself() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
    }


def holder(folder: Path) -> str:
    """Return which living process writes into a folder, "" for none; nothing is locked or changed.

    Of a process on another machine nobody here can say whether it lives.
    """
    if not (folder / _HOLDER).is_file():
        return ""
    try:
        told = _told(folder)
        if told["host"] == socket.gethostname():
            os.kill(int(told["pid"]), 0)
    except PermissionError:  # it lives, and is another user's
        pass
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return ""
    return _holder(folder)


def _told(folder: Path) -> dict[str, Any]:
    return json.loads((folder / _HOLDER).read_text(encoding="utf-8"))


def _holder(folder: Path) -> str:
    try:
        told = _told(folder)
        return f"process {told['pid']} on {told['host']} since {told['since']} ({told['command']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
