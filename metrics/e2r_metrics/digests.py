"""SHA-256 of files, computed once per content: path, size and time of change are the key."""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder this project caches in: `E2R_CACHE`, else the platform's usual place."""
    if os.environ.get("E2R_CACHE"):
        return Path(os.environ["E2R_CACHE"]).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "e2r-bench"


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, making its folder first.

    Raises:
        OSError: the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # Temporary files are private; what they become is not.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file's content, read from disk."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remembered_sha256(path: Path) -> str:
    """Return the digest of a file; read again only when its size or time of change moved.

    What is remembered lies in the cache folder; where that cannot be written nothing is
    remembered, and every call reads the file.
    """
    stat = path.stat()
    key = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
    book = cache_folder() / "checked.json"
    known = _read(book)
    if known.get(str(key)):
        return known[str(key)]
    digest = sha256_of(path)
    with contextlib.suppress(OSError):
        replace_file(book, json.dumps({**_read(book), str(key): digest}).encode())
    return digest


def _read(book: Path) -> dict[str, str]:
    try:
        return json.loads(book.read_text())
    except (OSError, ValueError):
        return {}
