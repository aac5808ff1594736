"""SHA-256 of files and folders: what a result stands on goes by content, never by name or time."""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file's content.

    Read once per process and version of the file: inode and time of change are looked at, which
    no copy or `touch` can forge.

    Raises:
        OSError: the file cannot be read.
    """
    stat = path.stat()
    return _digest(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


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
