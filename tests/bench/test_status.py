"""`status`: what is done, failed and left of runs that go on, were interrupted, or are shards."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from e2r_baselines.method import Draw
from e2r_bench.cli import main
from e2r_bench.run.config import Experiment
from e2r_bench.run.runner import Outcome
from e2r_bench.run.status import Part, status_of
from e2r_bench.store.cell import Cell
from e2r_bench.store.gaps import lacking, summarised, unasked_of
from e2r_bench.store.store import ROWS, TIMING, open_store

Run = Callable[..., Outcome]


@pytest.fixture
def small(experiment: Experiment) -> Experiment:
    """One task, three images, one draw, one metric."""
    told = {"tasks": ("denoise25",), "seeds": (0,), "steps": (4,), "metrics": ("psnr",)}
    return experiment.model_copy(update=told)


def test_an_interrupted_run_says_what_is_left_at_its_own_pace(small: Experiment, run: Run) -> None:
    store = run(small).store
    assert status_of(store).finished
    assert status_of(store).seconds_left == 0
    timed = [{"method": "shaker", "task": "denoise25", "seconds": s} for s in (2.0, 4.0)]
    (small.out / TIMING).write_text("".join(json.dumps(one) + "\n" for one in timed))
    store.path(Cell("shaker", "denoise25", Draw(0, 4), "chelsea_022_160")).unlink()
    gone = store.path(Cell("clean", "denoise25", Draw(0, 0), "chelsea_022_160"))
    gone.unlink()
    lines = (small.out / ROWS).read_text().splitlines(keepends=True)
    (small.out / ROWS).write_text("".join(lines[:-2]))
    (small.out / "summary.csv").unlink()
    found = status_of(open_store(small.out))
    assert found.parts == (
        Part("degraded", "denoise25", 3, 0, 0, 0.0),
        Part("clean", "denoise25", 2, 0, 1, None),
        Part("shaker", "denoise25", 2, 0, 1, 3.0),
    )
    assert (found.finished, found.rows_left, found.seconds_left) == (False, 2, None)
    gone.touch()
    assert status_of(open_store(small.out)).seconds_left == 3.0


def test_a_picture_that_failed_is_not_left(small: Experiment, run: Run, shaker: object) -> None:
    shaker.fails_on = frozenset({"chelsea_022_160"})  # type: ignore[attr-defined]
    store = run(small).store
    part = status_of(store).parts[-1]
    assert (part.done, part.failed, part.left) == (2, 1, 0)
    assert status_of(store).finished


def test_a_number_that_nobody_asked_for_is_not_left(small: Experiment, run: Run) -> None:
    run(small)
    store = run(small.model_copy(update={"metrics": ("psnr", "ssim"), "methods": ("clean",)})).store
    unasked = unasked_of(summarised(store))
    assert {(group[0], group[-1]) for group in unasked} == {("shaker", "ssim:gauss")}
    assert lacking(store) != []
    assert lacking(store, unasked) == []
    assert status_of(store).finished


def test_a_shard_is_finished_without_a_summary(small: Experiment, run: Run) -> None:
    store = run(small.model_copy(update={"shard": "1/3"})).store
    found = status_of(store)
    assert (found.shard, found.summarised, found.finished) == ("1/3", False, True)


def test_who_writes_is_named_while_it_lives(
    small: Experiment, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(small)
    told = {"pid": os.getpid(), "host": socket.gethostname(), "since": "now", "command": "x run"}
    holder = small.out / ".lock.json"
    holder.write_text(json.dumps(told))
    before = {path: path.stat().st_mtime_ns for path in small.out.rglob("*")}
    assert main(["status", str(small.out)]) == 0
    assert f"running: process {os.getpid()}" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in small.out.rglob("*")} == before
    holder.write_text(json.dumps({**told, "pid": 2**22 + 1}))
    assert status_of(open_store(small.out)).writer == ""
    holder.write_text("{")
    assert status_of(open_store(small.out)).writer == ""


def test_the_command_prints_a_table_and_json(
    small: Experiment, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    run(small)
    assert main(["status", str(small.out)]) == 0
    said = capsys.readouterr().out
    assert "shaker on denoise25" in said
    assert said.rstrip().endswith("finished")
    assert main(["status", str(small.out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["finished"] is True
    assert told["parts"][2] == {
        "method": "shaker", "task": "denoise25", "done": 3, "failed": 0, "left": 0,
        "seconds_left": 0.0,
    }  # fmt: skip


def test_what_is_no_run_is_one_line(tmp_path: Path) -> None:
    assert main(["status", str(tmp_path)]) == 2
