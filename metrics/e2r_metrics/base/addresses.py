"""Folders at an address, such as s3://bucket/photos: read through fsspec, kept in the cache."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e2r_metrics.base.errors import UsageError, one_line
from e2r_metrics.base.files import write_json

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?", re.ASCII)
_DRIVERS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
# What stores call the version of an object; one of them changes whenever its content does.
_TAGS = ("ETag", "etag", "md5Hash", "crc32c", "blob_id", "LastModified", "mtime", "created")


def is_address(text: str) -> bool:
    """Say whether a text is an address rather than a path of this machine."""
    return _ADDRESS.match(text) is not None


def open_address(text: str) -> tuple[Any, str]:
    """Return the file system behind an address, and the path there.

    Raises:
        UsageError: nobody knows such addresses, or the driver for them is not installed.
    """
    import fsspec

    protocol = text.partition(":")[0].lower()
    try:
        fsspec.get_filesystem_class(protocol)
        return fsspec.core.url_to_fs(text)
    except ImportError as error:
        extra = _DRIVERS.get(protocol)
        hint = f"pip install 'e2r-bench[{extra}]'" if extra else one_line(error)
        raise UsageError(
            f"{text}: expected fsspec's driver for {protocol}:// here, found none; {hint}"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"{text}: expected an address of files: {one_line(error)}") from error


def fetched(text: str) -> Path:
    """Return a folder of the cache that holds just what is at an address, under its last name.

    What is there already, in the same version, is not read again.

    Raises:
        UsageError: see `open_address`; or there is nothing, or it cannot be read.
    """
    from filelock import FileLock

    from e2r_metrics.base.cache import cache_folder

    files, root = open_address(text)
    home = cache_folder() / "addresses" / hashlib.sha256(text.encode()).hexdigest()[:16]
    folder = home / (root.rstrip("/").rpartition("/")[2] or "root")
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(home / ".lock"):
        try:
            _update(files, root, folder, home / "versions.json")
        except FileNotFoundError as error:
            raise UsageError(f"{text}: expected a folder of files, found nothing there") from error
        except OSError as error:
            raise UsageError(f"{text}: cannot be read: {one_line(error)}") from error
    return folder


def _update(files: Any, root: str, folder: Path, record: Path) -> None:
    there = listed(files, root)
    if not there:
        raise FileNotFoundError(root)
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        if path.relative_to(folder).as_posix() not in there:
            path.unlink()
    for name, version in there.items():
        target = folder / name
        if known.get(name) != version or not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name[:40]}.part")
            files.get_file(f"{root.rstrip('/')}/{name}", str(part))
            part.replace(target)
    write_json(record, there)


def listed(files: Any, root: str) -> Mapping[str, str]:
    """Return path below `root` -> version of every file there, in one listing."""
    files.invalidate_cache()
    found = files.find(root, detail=True)
    return {
        path[len(root.rstrip("/")) + 1 :]: f"{one.get('size')} "
        + " ".join(str(one[tag]) for tag in _TAGS if one.get(tag) is not None)
        for path, one in found.items()
        if one.get("type") == "file" and ".." not in path.split("/")
    }
