"""Writing whole files: nothing is left half-written, and nothing but regular files is replaced."""

import json
import os
import re
import secrets
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from e2r_metrics.base.errors import UsageError

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{12}\.part")


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, then rename; makes the folder first.

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
            stream.write(content)
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


def refuse_special(path: Path) -> None:
    """Raise `UsageError` where a folder, device, pipe or socket has the name of an output file."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise UsageError(f"cannot write {path}: expected a file name, found {kind}; choose another")


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
