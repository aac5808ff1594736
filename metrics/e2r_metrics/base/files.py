"""Writing whole files: nothing is left half-written, and nothing but regular files is replaced."""

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from e2r_metrics.base.errors import UsageError

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{12}\.part")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, then rename; see `write_parts`."""
    write_parts(path, (content,))


def write_parts(path: Path, parts: Iterable[bytes]) -> None:
    """Write what may be too large for memory, part by part, the same way; makes the folder first.

    Raises:
        UsageError: the folder cannot be written to, the disk is full, or `path` is something else
            than a regular file.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.part")
    try:
        refuse_special(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        # Opened by the usual mode, so that the user's umask decides who may read it.
        with temporary.open("xb") as stream:
            stream.writelines(parts)
        temporary.replace(target)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    finally:
        # After the rename there is nothing under this name, whatever happened.
        _unlink(temporary)


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text the same way; see `write_bytes`."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON the same way; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: Path) -> str:
    """Return the UTF-8 text of a regular file.

    Raises:
        OSError: it is not there, cannot be read, or is a pipe or a device, which may never end.
        ValueError: it is not UTF-8.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return path.read_text(encoding="utf-8")


def refuse_special(path: Path) -> None:
    """Raise `UsageError` where a folder, device, pipe or socket has the name of an output file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise UsageError(f"cannot write {path}: expected a file name, found {kind}; choose another")


def refuse_foreign(path: Path, ours: Callable[[bytes], bool]) -> None:
    """Raise `UsageError` where a file that is not ours has the name of an output file.

    Args:
        path: where something is to be written.
        ours: from a file's first 4096 bytes to whether a command of this kind wrote it.
    """
    refuse_special(path)
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another --out") from error
    if head and not ours(head):
        raise UsageError(
            f"cannot write {path}: expected a new file, or one that this command wrote, found "
            "another; remove it, or choose another --out"
        )


def unfinished(folder: Path) -> Iterator[Path]:
    """Yield the temporary files that a killed process left below `folder`.

    Only whoever holds the folder's lock may remove them: another process may be writing one.
    """
    yield from (path for path in folder.rglob(".*.part") if _UNFINISHED.fullmatch(path.name))


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself is gone or sealed: there is nothing left to tidy


@contextmanager
def appending(path: Path) -> Generator[TextIO]:
    """Open a UTF-8 log to append whole lines to; makes its folder first.

    Raises:
        UsageError: the folder cannot be written to, or the disk fills up inside.
    """
    try:
        refuse_special(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            yield stream
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}; free some space, or choose another --out, and "
            "give the same command again"
        ) from error
