"""What scale costs: `python tests/scale/measure.py results/scale` writes README.md there.

A million rows, and one Ray worker against none; the second needs `pip install 'e2r-bench[ray]'`.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import lab

from e2r_baselines.method import Compute, Draw
from e2r_bench.run.describe import open_folder
from e2r_bench.run.engine import Engine, make_executor
from e2r_bench.run.plan import make_plan
from e2r_bench.run.prepare import prepare
from e2r_bench.run.restore import missing_work
from e2r_bench.run.services import open_services
from e2r_bench.run.summary import write_summary
from e2r_bench.store.info import MethodInfo, MetricInfo, Row, RunInfo, TaskInfo
from e2r_bench.store.store import create_store, open_store
from e2r_metrics.base.files import write_text

METHODS, TASKS, METRICS, IMAGES = 50, 7, 8, 358
PAUSE, CELLS = 0.2, 24


def large(folder: Path) -> None:
    """Write a run of 50 methods x 7 tasks x 8 metrics x 358 pictures: 1,002,400 rows."""
    images = tuple(f"photo{k:03}" for k in range(IMAGES))
    names = [f"metric{k}" for k in range(METRICS)]
    method = MethodInfo(
        method="m", options={}, build="m", miniature=False, title="m", control=False,
        licence="none", weights={}, version="", stochastic=False, stepped=False,
    )  # fmt: skip
    task = TaskInfo(
        data="d", degradation="g", prompt="", images=images, scenes=images,
        variants=dict.fromkeys(names, "v"),
    )  # fmt: skip
    metrics = {
        f"{name}:v": MetricInfo(
            name=name, variant="v", higher_is_better=True, per_image=True, unit="", protocol="p",
            weights={},
        )
        for name in names
    }  # fmt: skip
    info = RunInfo(
        passed={}, settings={}, protocol="e2r", methods={f"m{k}": method for k in range(METHODS)},
        tasks={f"task{k}": task for k in range(TASKS)}, metrics=metrics, seeds=(0,), steps=(28,),
        device="cpu", versions={}, git=None,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    create_store(folder, info).put_rows(
        Row(
            method=one, build="m", task=kind, image=image, scene=image, seed=0, steps=0,
            metric=name, variant="v", value=float(rng.normal()), status="ok", protocol="e2r p",
        )
        for one in info.methods for kind in info.tasks for image in images for name in names
    )  # fmt: skip


class Clock:
    """Wall time and processor time since it was made; others run on the machine, too."""

    def __init__(self) -> None:
        self._wall, self._own = time.perf_counter(), time.process_time()

    def line(self, what: str) -> str:
        """Return a line of the table."""
        wall, own = time.perf_counter() - self._wall, time.process_time() - self._own
        return f"| {what} | {wall:.2f} s | {own:.2f} s |"


def timed(folder: Path) -> Iterator[str]:
    """Yield lines of the table, from a process that does nothing else."""
    clock = Clock()
    found = open_store(folder).values("m7", "task3", Draw(0, 0), "metric2:v")
    assert len(found) == IMAGES
    yield clock.line(f"open a run, one number's {IMAGES} values")
    store, clock = open_store(folder), Clock()
    index = store.rows().index
    for group in index.groups:
        assert len(index.images(group)) == IMAGES
    pictures = sum(store.has(cell) for cell in store.cells())
    assert (pictures, sum(1 for _ in index.kinds())) == (0, METHODS * TASKS * METRICS)
    store.order_rows()
    yield clock.line("what a resume asks: every row, every picture, the order")
    clock = Clock()
    write_summary(store, None, lambda *_: None)  # type: ignore[arg-type]
    yield clock.line(f"summary, {METHODS} x {TASKS} x {METRICS} numbers")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield f"| most memory of all this | {most:.0f} MB | |"


def cells(engine: Engine, home: Path) -> tuple[float, float, int]:
    """Return seconds to the first picture, seconds a picture after it, and how often it opened."""
    notes = home / f"notes-{engine.executor}"
    notes.mkdir()
    (notes / "pause").write_text(str(PAUSE))
    asked = lab.experiment(lab.pictures(home / "data", CELLS), home / engine.executor)
    asked = asked.model_copy(
        update={"methods": ("third",), "tasks": ("derain",), "seeds": (0,), "batch": 1}
    )
    catalog = lab.catalog(notes)
    resolver, session, device = open_services(asked, lambda line: None)
    plan = make_plan(asked, resolver, session, catalog)
    store = open_folder(plan, resolver.hashes, device, {}, False)
    for task in plan.tasks:
        list(prepare(task, store.folder / "pairs" / task.task.name))
    executor = make_executor(engine, plan, store, Compute(device), catalog)
    works = [work for work in missing_work(plan, store) if work.method == "third"]
    began = time.perf_counter()
    ends = [time.perf_counter() for _ in executor.map(works)]
    opened = len(list(notes.glob("opened-third-*")))
    return ends[0] - began, (ends[-1] - ends[0]) / (len(ends) - 1), opened


def clusters() -> Iterator[str]:
    """Yield lines of the table on one worker against none."""
    import ray

    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    ray.cloudpickle.register_pickle_by_value(lab)
    with tempfile.TemporaryDirectory() as place:
        one = {name: cells(Engine(name, workers), Path(place)) for name, workers in (
            ("serial", None), ("ray", 1),
        )}  # fmt: skip
    ray.shutdown()
    for name, (first, each, opened) in one.items():
        yield f"| {name} | {first:.1f} s | {each * 1000:.1f} ms | {opened} |"
    more = one["ray"][1] / one["serial"][1] - 1
    yield f"\nOne Ray worker takes {more:+.1%} a picture of {PAUSE * 1000:.0f} ms."


def main(out: Path) -> None:
    """Measure, each part in a process of its own, and write."""
    with tempfile.TemporaryDirectory() as place:
        large(Path(place))
        clock = Clock()
        open_store(Path(place)).rows()
        index = clock.line("the index, made once")
        words = [sys.executable, __file__, "--timed", place]
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    rays = [*clusters()] if find_spec("ray") else ["Ray was not installed."]
    lines = [
        "# Scale", "",
        "Made by `python tests/scale/measure.py results/scale` on "
        f"{os.cpu_count()} cores, which other jobs shared", f"(load {os.getloadavg()[0]:.0f}).", "",
        f"## {METHODS * TASKS * METRICS * IMAGES:,} rows", "",
        "| what | took | processor time |", "|---|---|---|", index, *told.splitlines(), "",
        f"## {CELLS} pictures of {PAUSE * 1000:.0f} ms, one worker", "",
        "| executor | to the first picture | each after it | opened its method |",
        "|---|---|---|---|", *rays,
    ]  # fmt: skip
    write_text(out / "README.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--timed":
        print("\n".join(timed(Path(sys.argv[2]))))
    else:
        main(Path(sys.argv[1]))
