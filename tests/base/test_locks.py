"""One writer at a time: refused by name, released by death, and tidy."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.locks import locked


def holding(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that holds the folder until it is killed."""
    code = (
        "import pathlib, time; from e2r_metrics.base.locks import locked\n"
        f"with locked(pathlib.Path({str(folder)!r})):\n"
        "    print('in', flush=True); time.sleep(60)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env)
    assert process.stdout is not None
    assert process.stdout.readline() == b"in\n"
    return process


def test_a_second_process_is_refused_by_name_until_the_first_dies(tmp_path: Path) -> None:
    process = holding(tmp_path)
    try:
        with (
            pytest.raises(
                UsageError, match=rf"in use by process {process.pid} on .* since \d{{4}}"
            ),
            locked(tmp_path),
        ):
            pytest.fail("held twice")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert (tmp_path / ".lock.json").exists(), "a killed process tidies nothing"
    with locked(tmp_path):
        assert json.loads((tmp_path / ".lock.json").read_text())["pid"] == os.getpid()
    assert not (tmp_path / ".lock.json").exists()


def test_it_is_released_after_an_error_and_may_be_held_again(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path / "new"):
        raise RuntimeError
    with locked(tmp_path / "new"):
        time.sleep(0)


def test_half_written_files_of_a_dead_process_go(tmp_path: Path) -> None:
    left = tmp_path / "deep" / ".a.png.0123456789ab.part"
    left.parent.mkdir()
    left.touch()
    (tmp_path / ".mine.part").touch()
    with locked(tmp_path):
        assert not left.exists()
        assert (tmp_path / ".mine.part").exists()


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"), locked(tmp_path / "file" / "run"):
        pytest.fail("held")
