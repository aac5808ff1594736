"""The one writer: whole or not at all, regular files only, the user's umask."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from e2r_metrics.base.digests import sha256_of, sha256_of_all
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import (
    appending,
    remove_unfinished,
    replacing,
    tidy,
    unfinished,
    unfinished_name,
    write_bytes,
    write_json,
    write_text,
)


def test_a_file_appears_whole_with_its_folder_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.txt", "grün\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "grün\n".encode()
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.txt"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_nothing_but_regular_files_is_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path, Path("/dev/full"), Path("/dev/null")):
        with pytest.raises(UsageError, match="expected a file name, found a"):
            write_bytes(path, b"x")
        with pytest.raises(UsageError, match="expected a file name"), appending(path):
            pass
    assert pipe.is_fifo()
    assert Path("/dev/full").is_char_device()


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="choose another place"):
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_failed_write_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "a", "old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left on device"):
        write_text(tmp_path / "a", "new")
    monkeypatch.undo()
    assert (tmp_path / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_leaves_is_found(tmp_path: Path) -> None:
    code = (
        "import os, pathlib; from e2r_metrics.base.files import write_bytes\n"
        "pathlib.Path.replace = lambda *a: os.kill(os.getpid(), 9)\n"
        f"write_bytes(pathlib.Path({str(tmp_path / 'deep' / 'a.png')!r}), b'half')\n"
    )
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9
    (left,) = unfinished(tmp_path)
    assert left.parent == tmp_path / "deep"
    (tmp_path / ".mine.part").touch()
    assert list(unfinished(tmp_path)) == [left]


def test_what_a_killed_process_leaves_is_tidied_and_what_is_being_written_is_not(
    tmp_path: Path,
) -> None:
    dead, other = (tmp_path / unfinished_name(name) for name in ("a.csv", "b.csv"))
    dead.touch()
    other.write_text("half")
    with replacing(tmp_path / "a.csv") as stream:
        stream.write(b"whole")
        tidy(tmp_path, "a.csv")
        assert sorted(unfinished(tmp_path)) == sorted([Path(stream.name), other])
    assert (tmp_path / "a.csv").read_bytes() == b"whole"
    tidy(tmp_path)
    assert list(unfinished(tmp_path)) == []
    tidy(tmp_path / "gone")


def test_a_file_that_was_tidied_before_it_was_locked_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from e2r_metrics.base import files

    lock, taken = files._lock, []

    def late(stream, wait=True):
        if not taken:
            taken.append(stream.name)
            os.unlink(stream.name)
        return lock(stream, wait)

    monkeypatch.setattr(files, "_lock", late)
    write_bytes(tmp_path / "a", b"x")
    assert taken
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_unfinished_folders_go_too(tmp_path: Path) -> None:
    (tmp_path / unfinished_name("adapter") / "deep").mkdir(parents=True)
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_json_has_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_a_digest_follows_the_content_even_where_size_and_time_stay(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before, stat = sha256_of(path), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert sha256_of(path) != before
    assert sha256_of_all([path, path]) != sha256_of_all([path])
