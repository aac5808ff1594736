"""A run folder at an address: staged here, and sent there as it grows.

Files go up whole, in the order they were written here, so that what is there after a crash is what
would be here: the same command resumes from it on any machine. One process at a time holds an
address, by an object that only one can create.
"""

import json
import os
import socket
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from e2r_metrics.base.addresses import listed, open_address
from e2r_metrics.base.errors import UsageError, one_line

LOCK = ".lock.json"
_WITH_CREATE = frozenset({"s3", "s3a", "gs", "gcs", "memory"})
"""Stores where creating what is there fails, for all but one of many who try at once."""
_EVERY = 60.0


@dataclass
class Stage:
    """A run folder of this machine that stands for one at an address.

    Attributes:
        folder: here; its last name is the address's.
        files: the file system there.
        root: the path there.
    """

    folder: Path
    files: Any
    root: str
    _sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def pull(self) -> None:
        """Read what is there."""
        for name in listed(self.files, self.root) if self.files.exists(self.root) else ():
            if name != LOCK:
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self.files.get_file(f"{self.root}/{name}", str(path))
                self._sent[name] = _version(path)

    def push(self) -> None:
        """Send what changed since, and remove there what is gone here."""
        here = {
            path.relative_to(self.folder).as_posix(): path
            for path in self.folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        }
        for name in self._sent.keys() - here.keys():
            self.files.rm_file(f"{self.root}/{name}")
            del self._sent[name]
        versions = {name: _version(path) for name, path in here.items()}
        new = [name for name, version in versions.items() if self._sent.get(name) != version]
        for name in sorted(new, key=lambda one: versions[one][0]):
            self.files.pipe_file(f"{self.root}/{name}", here[name].read_bytes())
            self._sent[name] = versions[name]

    def push_sometimes(self) -> None:
        """Send what changed once a minute."""
        if time.monotonic() - self._since > _EVERY:
            self.push()
            self._since = time.monotonic()


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size


@contextmanager
def staged(address: str) -> Generator[Stage]:
    """Hold an address alone while inside; what is written into the folder is there afterwards.

    Raises:
        UsageError: its driver is missing, its store has no lock, another process holds it, or it
            cannot be read or written.
    """
    protocol = address.partition(":")[0].lower()
    if protocol not in _WITH_CREATE:
        raise UsageError(
            f"--out {address}: expected a store where only one process can create a lock "
            f"({', '.join(sorted(_WITH_CREATE))}), found {protocol}; write here and copy the folder"
        )
    files, found = open_address(address)
    root = found.rstrip("/")
    with tempfile.TemporaryDirectory(prefix="e2r-bench-") as place:
        stage = Stage(Path(place) / root.rpartition("/")[2], files, root)
        try:
            _lock(stage, address)
            try:
                stage.pull()
                yield stage
            finally:
                # What was made until a failure or Ctrl-C is kept.
                stage.push()
                files.rm_file(f"{root}/{LOCK}")
        except OSError as error:
            raise UsageError(f"--out {address}: {one_line(error)}") from error


def _lock(stage: Stage, address: str) -> None:
    path = f"{stage.root}/{LOCK}"
    for _ in range(2):
        try:
            stage.files.pipe_file(path, json.dumps(_myself()).encode(), mode="create")
        except FileExistsError as error:
            held = _holder(stage.files, path)
            if held.get("host") == socket.gethostname() and not _alive(held.get("pid")):
                # Left by a process of this machine that was killed.
                with suppress(FileNotFoundError):
                    stage.files.rm_file(path)
                continue
            raise UsageError(
                f"{address} is in use by process {held.get('pid')} on {held.get('host')} since "
                f"{held.get('since')}; wait for it, or, if it is dead, remove {address}/{LOCK}"
            ) from error
        return
    raise UsageError(f"{address} is in use by another process; wait for it")


def _myself() -> dict[str, str | int]:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _holder(files: Any, path: str) -> dict[str, Any]:
    try:
        files.invalidate_cache()
        found = json.loads(files.cat_file(path))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
