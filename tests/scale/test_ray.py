"""A real Ray cluster on this machine ends in the serial run's bytes, whatever happens to it."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import lab
import pytest

from e2r_bench.run.engine import Engine
from e2r_bench.run.runner import run_experiment
from e2r_metrics.base.errors import UsageError

ray = pytest.importorskip("ray", reason="pip install 'e2r-bench[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A warm cluster with room for three workers."""
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(lab)
    yield
    ray.shutdown()


def opened(notes: Path) -> list[tuple[str, int]]:
    """Return which method was opened by which process."""
    told = [note.name.split("-") for note in notes.glob("opened-*")]
    return [(name, int(process)) for _, name, process, _ in told]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("workers", [2, 3])
def test_actors_are_the_serial_run_and_open_each_method_once(
    data: Path, serial: Path, notes: Path, tmp_path: Path, workers: int
) -> None:
    asked = lab.experiment(data, tmp_path / "run")
    outcome = run_experiment(asked, methods=lab.catalog(notes), engine=Engine("ray", workers))
    assert not outcome.failures
    assert lab.differing(asked.out, serial) == []
    found = opened(notes)
    assert len(found) == len(set(found))
    assert len({process for _, process in found}) <= workers


@pytest.mark.usefixtures("cluster")
def test_actors_killed_at_random_moments_are_replaced(
    data: Path, serial: Path, notes: Path, tmp_path: Path
) -> None:
    (notes / "pause").write_text("0.1")
    killed: list[int] = []

    def kill_three() -> None:
        rng = random.Random(20)
        while len(killed) < 3:
            time.sleep(rng.uniform(0.2, 1.5))
            alive = [process for _, process in opened(notes) if process not in killed]
            if alive:
                with suppress(ProcessLookupError):
                    os.kill(alive[-1], signal.SIGKILL)
                    killed.append(alive[-1])

    killer = threading.Thread(target=kill_three, daemon=True)
    killer.start()
    asked = lab.experiment(data, tmp_path / "run")
    outcome = run_experiment(asked, methods=lab.catalog(notes), engine=Engine("ray", 2))
    killer.join(5)
    assert len(set(killed)) == 3
    assert not outcome.failures
    assert lab.differing(asked.out, serial) == []


@pytest.mark.usefixtures("cluster")
def test_what_kills_its_actor_twice_is_recorded_and_the_rest_goes_on(
    data: Path, notes: Path, tmp_path: Path
) -> None:
    (notes / "die-always-third-03").touch()
    asked = lab.experiment(data, tmp_path / "run").model_copy(update={"tasks": ("derain",)})
    outcome = run_experiment(asked, methods=lab.catalog(notes), engine=Engine("ray", 2))
    assert {(c.method, c.image) for c in outcome.failures} == {("third", "03")}
    assert "its worker died 2 times" in next(iter(outcome.failures.values()))


@pytest.mark.usefixtures("cluster")
def test_more_workers_than_the_cluster_has_are_refused(data: Path, tmp_path: Path) -> None:
    asked = lab.experiment(data, tmp_path / "run")
    with pytest.raises(UsageError, match=r"--workers 7: expected at most 3, a CPU each"):
        run_experiment(asked, methods=lab.CATALOG, engine=Engine("ray", 7))


@pytest.mark.usefixtures("cluster")
def test_ctrl_c_leaves_what_is_made_and_the_same_command_goes_on(
    data: Path, serial: Path, notes: Path, tmp_path: Path
) -> None:
    (notes / "pause").write_text("0.3")
    asked = lab.experiment(data, tmp_path / "run")

    def interrupt_when_some_is_there() -> None:
        while len(list((asked.out / "images").rglob("*.png"))) < 3:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_when_some_is_there, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run_experiment(asked, methods=lab.catalog(notes), engine=Engine("ray", 2))
    (notes / "pause").unlink()
    made = {path: path.stat().st_mtime_ns for path in (asked.out / "images").rglob("*.png")}
    assert len(made) >= 3
    outcome = run_experiment(asked, methods=lab.catalog(notes), engine=Engine("ray", 2))
    assert not outcome.failures
    assert lab.differing(asked.out, serial) == []
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert len(list((asked.out / "images").rglob("*.png"))) > len(made)


@pytest.mark.usefixtures("cluster")
def test_a_cluster_that_is_there_already_is_joined_by_its_address(
    data: Path, tmp_path: Path
) -> None:
    """The command line, in a process of its own, at the address of this one's cluster."""
    address = ray.get_runtime_context().gcs_address
    common = ["run", "--methods", "nlm,wavelet", "--tasks", "denoise25", "--data", str(data),
              "--metrics", "psnr"]  # fmt: skip
    folders = []
    for name, more in {
        "serial": [],
        "joined": ["--executor", "ray", "--address", address, "--workers", "2"],
    }.items():
        folders.append(tmp_path / name)
        command = [sys.executable, "-m", "e2r_bench", *common, *more, "--out", str(folders[-1])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
    assert lab.differing(folders[1], folders[0]) == []
    # The cluster is left to whoever started it.
    assert ray.is_initialized()
    assert ray.get(ray.remote(lambda: 7).remote()) == 7
