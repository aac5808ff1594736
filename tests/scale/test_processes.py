"""Several processes end in the serial run's bytes, and one that dies takes nothing with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path

import lab
import pytest

from e2r_baselines.method import Draw
from e2r_bench.run.crew import CrewExecutor
from e2r_bench.run.engine import Engine
from e2r_bench.run.executor import Done, Work
from e2r_bench.run.remote import Post, RemoteWorker
from e2r_bench.run.runner import run_experiment
from e2r_bench.store.store import open_store
from e2r_metrics.base.errors import UsageError

TWO = Engine("processes", workers=2)
NONE = (Draw(0, 0),)


def test_two_processes_are_the_serial_run(
    data: Path, serial: Path, notes: Path, tmp_path: Path
) -> None:
    (notes / "die-once-second-07").touch()
    asked = lab.experiment(data, tmp_path / "run")
    outcome = run_experiment(asked, methods=lab.catalog(notes), engine=TWO)
    assert not outcome.failures
    assert lab.differing(asked.out, serial) == []
    assert not (notes / "die-once-second-07").exists()
    # Each process opens a method once; the one that died was replaced by a third.
    opened = [note.name.split("-")[1:3] for note in notes.glob("opened-*")]
    assert len({tuple(one) for one in opened}) == len(opened)
    assert len({process for _, process in opened}) == 3
    timed = {(t["method"], t["task"], t["image"], t["seed"]) for t in outcome.store.timings()}
    assert len(timed) == len(list(outcome.store.cells()))


def test_what_kills_its_worker_twice_is_recorded_and_the_rest_goes_on(
    data: Path, serial: Path, notes: Path, tmp_path: Path
) -> None:
    deadly = notes / "die-always-third-03"
    deadly.touch()
    asked = lab.experiment(data, tmp_path / "run").model_copy(update={"tasks": ("derain",)})
    outcome = run_experiment(asked, methods=lab.catalog(notes), engine=TWO)
    assert {(c.method, c.image) for c in outcome.failures} == {("third", "03")}
    assert "its worker died 2 times" in next(iter(outcome.failures.values()))
    deadly.unlink()
    assert not run_experiment(asked, methods=lab.catalog(notes)).failures
    store = open_store(asked.out)
    assert all(store.has(cell) for cell in store.cells())


def test_a_worker_with_other_weights_is_refused_by_name(serial: Path, data: Path) -> None:
    info = open_store(serial).info.methods
    other = {**info, "first": info["first"].model_copy(update={"weights": {"w.pt": "ab12"}})}
    post = Post(lab.experiment(data, serial), other, str(Path.cwd()), lab.CATALOG)
    with pytest.raises(
        UsageError, match=r"worker on .*: first: expected weights .*ab12.*found \{\}"
    ):
        RemoteWorker(post)


_INTERRUPTED = """
import signal, sys
from pathlib import Path
import lab
from e2r_bench.run.engine import Engine
from e2r_bench.run.runner import run_experiment

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
if __name__ == "__main__":
    data, out, notes = map(Path, sys.argv[1:])
    asked = lab.experiment(data, out)
    run_experiment(asked, methods=lab.catalog(notes), engine=Engine("processes", workers=2))
"""


def test_ctrl_c_ends_the_workers_and_the_same_command_resumes(
    data: Path, serial: Path, notes: Path, tmp_path: Path
) -> None:
    (notes / "pause").write_text("0.1")
    program, asked = tmp_path / "program.py", lab.experiment(data, tmp_path / "run")
    program.write_text(_INTERRUPTED)
    path = os.pathsep.join([str(Path(lab.__file__).parent), *sys.path])
    # A group of its own, which Ctrl-C reaches as a terminal's does: all of it.
    running = subprocess.Popen(
        [sys.executable, str(program), str(data), str(asked.out), str(notes)],
        env={**os.environ, "PYTHONPATH": path}, start_new_session=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not list(asked.out.glob("images/first/**/*.png")):
        assert running.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)
    assert b"KeyboardInterrupt" in running.communicate(timeout=60)[1]
    until = time.monotonic() + 10
    while _is_there(running.pid):  # no worker is left
        assert time.monotonic() < until
        time.sleep(0.05)
    (notes / "pause").unlink()
    store = open_store(asked.out)
    assert any(store.has(cell) for cell in store.cells())
    assert not all(store.has(cell) for cell in store.cells())
    assert not run_experiment(asked, methods=lab.catalog(notes), engine=TWO).failures
    assert lab.differing(asked.out, serial) == []


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class DeadError(Exception):
    """What a worker of these tests dies of."""


class Hand:
    """Answers at once; dies of images that are called so."""

    def __init__(self, place: int, told: list[tuple[int, Work]]) -> None:
        self._place, self._told = place, told

    def do(self, work: Work) -> "Future[Done]":
        self._told.append((self._place, work))
        done: Future[Done] = Future()
        if any(image.startswith("deadly") for image in work.images):
            done.set_exception(DeadError())
        elif "refused" in work.images:
            done.set_exception(UsageError("refused"))
        else:
            done.set_result(Done(work, {}))
        return done

    def stop(self) -> None:
        self._told.append((self._place, Work("stop", "", (), ())))


def works(*names: str) -> Iterator[Work]:
    for name in names:
        method, *images = name.split()
        yield Work(method, "t", tuple(images), NONE)


def test_a_crew_keeps_the_pictures_of_a_method_together() -> None:
    told: list[tuple[int, Work]] = []
    crew = CrewExecutor(lambda place: Hand(place, told), 2, (DeadError,))
    asked = [*works(*(f"a {k}" for k in range(9))), *works(*(f"b {k}" for k in range(9)))]
    assert {done.work for done in crew.map(asked)} == set(asked)
    for place in (0, 1):
        mine = [work.method for at, work in told if at == place and work.method != "stop"]
        assert sum(one != two for one, two in pairwise(mine)) <= 1


def test_a_crew_blames_the_picture_and_not_its_neighbours() -> None:
    told: list[tuple[int, Work]] = []
    crew = CrewExecutor(lambda place: Hand(place, told), 2, (DeadError,), tries=3)
    done = list(crew.map(list(works("a x deadly y", "a z"))))
    failed = {image for one in done for image, _ in one.failed}
    assert failed == {"deadly"}
    assert {image for one in done for image in one.work.images} == {"x", "deadly", "y", "z"}
    assert sum("deadly" in work.images for _, work in told) == 1 + 3


def test_a_mistake_of_the_user_ends_the_crew() -> None:
    told: list[tuple[int, Work]] = []
    crew = CrewExecutor(lambda place: Hand(place, told), 2, (DeadError,))
    with pytest.raises(UsageError, match="refused"):
        list(crew.map(list(works("a refused", "a x"))))
    assert {place for place, work in told if work.method == "stop"} == {0, 1}
