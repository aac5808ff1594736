"""SHA-256 of files and folders: what a result stands on goes by content, never by name or time."""

import errno
import hashlib
import stat
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file's content.

    Read once per process and version of the file: inode and time of change are looked at, which
    no copy or `touch` can forge.

    Raises:
        OSError: the file cannot be read, or is a pipe or a device, which may never end.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(path))
    return _digest(path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(maxsize=65536)
def _digest(path: Path, *version: int) -> str:
    del version
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_all(paths: Iterable[Path]) -> str:
    """Return one digest for the contents of several files, in their order."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(bytes.fromhex(sha256_of(path)))
    return whole.hexdigest()
