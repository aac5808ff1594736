"""A run of 40,800 rows: opened once, and every value that a study asks for found by its index."""

import time
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.statistics.components import components
from e2r_bench.store.info import MethodInfo, MetricInfo, Row, RunInfo, TaskInfo
from e2r_bench.store.store import create_store, open_store
from e2r_bench.studies.measure import arm_of, measured_metrics
from e2r_bench.studies.seeds import matrix

IMAGES = tuple(f"photo{k:03}" for k in range(68))
TASKS = tuple(f"task{k}" for k in range(5))
METRICS = tuple(f"metric{k}" for k in range(8))
SEEDS, STEPS = (0, 1, 2), (1, 2, 4, 8, 28)
ROWS = len(IMAGES) * len(TASKS) * len(METRICS) * len(SEEDS) * len(STEPS)


def value_of(task: str, image: str, seed: int, steps: int, metric: str) -> float:
    """What the row of a cell and metric holds; no two are one."""
    places = (
        TASKS.index(task), IMAGES.index(image), SEEDS.index(seed), STEPS.index(steps),
        METRICS.index(metric),
    )  # fmt: skip
    sizes = (len(TASKS), len(IMAGES), len(SEEDS), len(STEPS), len(METRICS))
    return float(np.ravel_multi_index(places, sizes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("large")
    method = MethodInfo(
        method="m", options={}, build="m", miniature=False, title="m", control=False,
        licence="none", weights={}, version="", stochastic=True, stepped=True,
    )  # fmt: skip
    metrics = {
        f"{name}:v": MetricInfo(
            name=name, variant="v", higher_is_better=True, per_image=True, unit="", protocol="p",
            weights={},
        )
        for name in METRICS
    }  # fmt: skip
    task = TaskInfo(
        data="d", degradation="g", prompt="", images=IMAGES, scenes=IMAGES,
        variants=dict.fromkeys(METRICS, "v"),
    )  # fmt: skip
    info = RunInfo(
        passed={}, settings={}, protocol="e2r", methods={"m": method},
        tasks=dict.fromkeys(TASKS, task), metrics=metrics, seeds=SEEDS, steps=STEPS, device="cpu",
        versions={}, git=None,
    )  # fmt: skip
    create_store(where, info).put_rows(
        Row(
            method="m", build="m", task=task, image=image, scene=image, seed=seed, steps=steps,
            metric=metric, variant="v", value=value_of(task, image, seed, steps, metric),
            status="ok", protocol="e2r p",
        )
        for task in TASKS for seed in SEEDS for steps in STEPS for image in IMAGES
        for metric in METRICS
    )  # fmt: skip
    return where


def all_study_values(folder: Path) -> int:
    """Open the run and ask for every column that studies of seeds, steps and arms look at."""
    store = open_store(folder)
    values = 0
    for task in TASKS:
        for key, _ in measured_metrics(store, task):
            for steps in STEPS:
                arms = [arm_of(store, "m", seed, steps) for seed in SEEDS]
                components(matrix(arms, task, key))
                values += sum(len(arm.values(task, key)) for arm in arms)
    return values


def test_every_value_is_found_in_under_five_seconds(folder: Path) -> None:
    """Read again for each column, as it once was, this took eight minutes."""
    began = time.perf_counter()
    assert all_study_values(folder) == ROWS == 40_800
    assert time.perf_counter() - began < 5


def test_each_value_is_its_own_cells(folder: Path) -> None:
    store = open_store(folder)
    found = arm_of(store, "m", 2, 8).values("task3", "metric5:v")
    assert found == {image: value_of("task3", image, 2, 8, "metric5") for image in IMAGES}


def test_opening_and_reading_a_large_run(benchmark, folder: Path) -> None:
    assert benchmark.pedantic(all_study_values, (folder,), rounds=3) == ROWS
