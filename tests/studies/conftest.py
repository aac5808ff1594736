"""A run folder with known numbers: tiny pictures, rows and a summary, as the runner writes them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import MethodInfo, MetricInfo, Row, RunInfo, TaskInfo
from e2r_bench.store.store import Store, create_store
from e2r_metrics import CATALOG
from e2r_metrics.base.pictures import read_image, write_png
from e2r_metrics.clusters import Clustered

TASK = "denoise25"
Values = Mapping[tuple[str, int, int], Sequence[float]]
MakeRun = Callable[..., Store]


def _metric(key: str, missing: str | None) -> MetricInfo:
    row = CATALOG[key]
    return MetricInfo(
        name=row.name, variant=row.variant, higher_is_better=row.higher_is_better,
        per_image=row.per_image, unit=row.unit, protocol=row.protocol, weights={},
        missing=missing, fetch="e2r-bench weights fetch x" if missing else None,
    )  # fmt: skip


def _method(name: str, miniature: bool) -> MethodInfo:
    return MethodInfo(
        method=name, options={}, build="kontext-nano" if miniature else "FLUX.1-Kontext-dev",
        miniature=miniature, title=name, control=False, licence="none", weights={}, version="",
        stochastic=True, stepped=True,
    )  # fmt: skip


def make_run(
    folder: Path,
    values: Values,
    scenes: Sequence[str] | None = None,
    miniature: bool = True,
    noise: float = 4.0,
    data: str = "mini",
) -> Store:
    """Write a run whose psnr values are given, by (method, seed, steps).

    Pictures are 8x8 noise around the clean ones, wider where psnr is lower.
    """
    count = len(next(iter(values.values())))
    images = tuple(f"photo{k:02}" for k in range(count))
    metrics = {
        "psnr:rgb": _metric("psnr:rgb", None),
        "fd_effnet:lite0": _metric("fd_effnet:lite0", None),
    }
    metrics["fid:clean"] = _metric("fid:clean", "weights are not here")
    task = TaskInfo(
        data=data, degradation="gaussian", prompt="", images=images,
        scenes=tuple(scenes or images), variants={i.name: i.variant for i in metrics.values()},
    )  # fmt: skip
    info = RunInfo(
        passed={}, settings={}, protocol="e2r",
        methods={name: _method(name, miniature) for name, _, _ in values}, tasks={TASK: task},
        metrics=metrics, seeds=tuple(sorted({seed for _, seed, _ in values})),
        steps=tuple(sorted({steps for _, _, steps in values})), device="cpu", versions={}, git=None,
    )  # fmt: skip
    store = create_store(folder, info)
    for (method, seed, steps), column in values.items():
        for k, image in enumerate(images):
            cell = Cell(method, TASK, Draw(seed, steps), image)
            _write_pictures(store, cell, k, noise * 10 ** ((30 - column[k]) / 20))
            store.put_rows([_row(store, cell, column[k])])
    return store


def _write_pictures(store: Store, cell: Cell, k: int, spread: float) -> None:
    generator = np.random.default_rng([k, cell.draw.seed, cell.draw.steps, len(cell.method)])
    clean = np.random.default_rng(k).integers(60, 190, (8, 8, 3))
    write_png(store.clean_path(TASK, cell.image), clean.astype(np.uint8))
    degraded = np.clip(clean + np.random.default_rng([k, 1]).normal(0, 25, clean.shape), 0, 255)
    write_png(store.degraded_path(TASK, cell.image), degraded.astype(np.uint8))
    moved = np.clip(clean + generator.normal(0, spread, clean.shape), 0, 255)
    write_png(store.path(cell), moved.astype(np.uint8))


def _row(store: Store, cell: Cell, value: float) -> Row:
    return Row(
        method=cell.method, build=store.info.methods[cell.method].build, task=cell.task,
        image=cell.image, scene=store.scenes(cell.task)[cell.image], seed=cell.draw.seed,
        steps=cell.draw.steps, metric="psnr", variant="rgb", value=float(value), status="ok",
        protocol="e2r",
    )  # fmt: skip


class PixelSession:
    """Stands in for a session: a picture's features are its pixels."""

    def clustered(self, extractor: str, images: Sequence[Path]) -> Clustered:
        del extractor
        rows = np.array([read_image(path).ravel() / 255 for path in images], np.float32)
        return Clustered(rows, np.arange(len(rows)))


@pytest.fixture
def pixel_session() -> PixelSession:
    return PixelSession()


@pytest.fixture
def run_maker() -> MakeRun:
    return make_run
