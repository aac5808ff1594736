"""A real Ray cluster on this machine ends in the serial run's bytes, whatever happens to it."""

import os
import random
import signal
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
