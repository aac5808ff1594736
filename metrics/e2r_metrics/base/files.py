"""Writing whole files: nothing is left half-written, and nothing but regular files is replaced."""

import errno
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TextIO

from e2r_metrics.base.errors import UsageError

_UNFINISHED = re.compile(r"\..+\.[0-9a-f]{12}\.part")


def write_bytes(path: Path, content: bytes, aside: Path | None = None) -> None:
    """Write `content` to a temporary file beside `path`, then rename; see `write_parts`."""
    write_parts(path, (content,), aside)


def write_parts(path: Path, parts: Iterable[bytes], aside: Path | None = None) -> None:
    """Write what may be too large for memory, part by part, the same way; makes the folder first.

    Args:
        path: the file.
        parts: of its content.
        aside: where the temporary file lies, on the same disk; None for beside `path`.

    Raises:
        UsageError: the folder cannot be written to, the disk is full, or `path` is something else
            than a regular file.
    """
    try:
        with replacing(path, aside) as stream:
            stream.writelines(parts)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another place") from error


@contextmanager
def replacing(path: Path, aside: Path | None = None) -> Generator[IO[bytes]]:
    """Open a temporary file that takes the place of `path` when the block ends, and not before.

    Its writer holds a lock on it, so that one which a kill left behind is recognised.

    Raises:
        UsageError: `path` is something else than a regular file.
        OSError: the folder cannot be written to, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    refuse_special(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    stream = _held(aside or target.parent, target.name)
    temporary = Path(stream.name)
    try:
        with stream:
            yield stream
        temporary.replace(target)
    finally:
        # After the rename there is nothing under this name, whatever happened.
        with suppress(OSError):  # the folder itself is gone or sealed: nothing is left to tidy
            temporary.unlink(missing_ok=True)


def _held(folder: Path, name: str) -> IO[bytes]:
    """Open and lock a new temporary file; anew where `tidy` took it before it was locked."""
    while True:
        # Opened by the usual mode, so that the user's umask decides who may read it.
        stream = (folder / unfinished_name(name)).open("xb")
        _lock(stream)
        if os.fstat(stream.fileno()).st_nlink:
            return stream
        stream.close()


def unfinished_name(name: str) -> str:
    """Return a name of its own for a file or folder that is not `name` yet; see `unfinished`."""
    return f".{name[:40]}.{secrets.token_hex(6)}.part"


def _lock(stream: IO[bytes], wait: bool = True) -> bool:
    """Take the lock of a file until it is closed; False where that cannot be."""
    if sys.platform == "win32":  # what a kill left stays until its folder is locked
        return False
    import fcntl

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # held by a living writer, or a file system without locks
        return False
    return True


def tidy(folder: Path, name: str = "") -> None:
    """Remove the temporary files right below `folder` whose writers are dead.

    Args:
        folder: may be written to by other processes meanwhile.
        name: only what was to become this file; "" for all.
    """
    start = f".{name[:40]}." if name else "."
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.startswith(start)]
    except OSError:
        return
    for entry in entries:
        if _UNFINISHED.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            with suppress(OSError), open(entry.path, "rb") as stream:
                if _lock(stream, wait=False):
                    os.unlink(entry.path)


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
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another place") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device, pipe or socket"
        raise UsageError(f"cannot write {path}: expected a file name, found {kind}; choose another")


def refuse_foreign(path: Path, ours: Callable[[bytes], bool]) -> None:
    """Raise `UsageError` where a file that is not ours has the name of an output file.

    What a killed writer of that file left behind is removed.

    Args:
        path: where something is to be written.
        ours: from a file's first 4096 bytes to whether a command of this kind wrote it.
    """
    refuse_special(path)
    tidy(path.parent, path.name)
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another place") from error
    if head and not ours(head):
        raise UsageError(
            f"cannot write {path}: expected a new file, or one that this command wrote, found "
            "another; remove it, or choose another place"
        )


def refuse_foreign_folder(folder: Path, marks: Sequence[str]) -> None:
    """Raise `UsageError` where a folder holds files, and nothing that tells it is ours.

    Settings (.toml) right in it are what something is to be made from, and do not count.

    Args:
        folder: where something is to be written; it need not be there.
        marks: globs, each of something that commands of this kind leave there.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: expected a folder, found a file; choose another place")
    try:
        found = next((path for path in folder.rglob("*") if _counts(path, folder)), None)
        if found is None or any(next(folder.glob(mark), None) for mark in marks):
            return
    except OSError as error:
        raise UsageError(f"cannot read {folder}: {error.strerror}; choose another place") from error
    raise UsageError(
        f"{folder}: expected an empty folder, or one that this command wrote, found "
        f"{found.relative_to(folder)} of something else; choose another place"
    )


def _counts(path: Path, folder: Path) -> bool:
    settings = path.suffix == ".toml" and path.parent == folder
    return not (path.name.startswith(".") or settings) and path.is_file()


def unfinished(folder: Path) -> Iterator[Path]:
    """Yield the temporary files and folders that a killed process left below `folder`.

    Only whoever holds the folder's lock may remove them: another process may be writing one.
    """
    yield from (path for path in folder.rglob(".*.part") if _UNFINISHED.fullmatch(path.name))


def remove_unfinished(folder: Path) -> None:
    """Remove what `unfinished` yields; for whoever holds the folder's lock."""
    for path in list(unfinished(folder)):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


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
            f"cannot write {path}: {error.strerror}; free some space, or choose another place, and "
            "give the same command again"
        ) from error
