"""A file's digest goes by its content; what may never end is not read."""

import os
from pathlib import Path

import pytest

from e2r_metrics.base.digests import sha256_of


def test_content_of_the_same_size_and_time_has_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    first, stat = sha256_of(path), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert sha256_of(path) != first


def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="no regular file"):
            sha256_of(path)
