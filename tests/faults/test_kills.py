"""Killed at any moment, the same command ends in the same bytes; two at once never mix."""

import multiprocessing
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import commands
import harness

Command = Callable[[], int]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return commands.pictures(tmp_path / "data")


@pytest.fixture
def finished(data: Path, tmp_path: Path) -> Path:
    """A run that nobody disturbed."""
    out = tmp_path / "finished"
    assert harness.run(commands.run_command(data, out), out) == 0
    return out


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_killed_at_a_file_operation_resumes_to_the_same_bytes(
    data: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    out = tmp_path / "run"
    command = commands.run_command(data, out)
    total = harness.operations(command, out)
    whole = harness.contents(out)
    harness.shutil.rmtree(out)
    assert total > 100
    for operation in harness.moments(total, 6):
        kill = harness.Kill(sent, operation=operation)
        assert harness.resumed(command, out, kill, whole) == [], f"operation {operation}"


def test_a_run_killed_at_some_moment_resumes_to_the_same_bytes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = commands.run_command(data, out)
    assert harness.run(command, out) == 0
    whole = harness.contents(out)
    harness.shutil.rmtree(out)
    for seconds in (0.05, 0.3, 0.8):
        kill = harness.Kill(signal.SIGKILL, seconds=seconds)
        assert harness.resumed(command, out, kill, whole) == [], f"{seconds} s"


@pytest.mark.parametrize("words", ["maps --maps invented,lost", "report", "study seeds --steps 4"])
def test_what_writes_into_a_run_may_be_killed_too(finished: Path, words: str) -> None:
    command = commands.line_command(*words.split(), finished)
    total = harness.operations(command, finished)
    whole = harness.contents(finished)
    for operation in harness.moments(total, 3):
        harness.run(command, finished, harness.Kill(signal.SIGKILL, operation=operation))
        assert harness.run(command, finished) == 0
        assert harness.differences(harness.contents(finished), whole) == []
        assert harness.left_over(finished) == []


def test_two_processes_on_one_folder_never_mix(data: Path, tmp_path: Path) -> None:
    # The page carries the name of its folder.
    whole, out = tmp_path / "alone" / "run", tmp_path / "both" / "run"
    assert harness.run(commands.run_command(data, whole), whole) == 0
    context = multiprocessing.get_context("fork")
    codes = context.Array("i", 2)

    def one(index: int) -> None:
        codes[index] = harness.run(commands.line_or_refused(data, out), out)

    workers = [context.Process(target=one, args=(k,)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    # One is refused, or comes after the other is done.
    assert set(codes) <= {0, 2}
    assert 0 in codes
    assert set(harness.differences(harness.contents(out), harness.contents(whole))) <= {
        "run.json",
        "report.md",
    }
