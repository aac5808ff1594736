"""A run folder with known numbers: tiny pictures, rows and a summary, as the runner writes them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.runs import MethodInfo, MetricInfo, Row, Run, RunInfo, TaskInfo, write_info
from e2r_metrics import CATALOG
from e2r_metrics.base.files import write_text
from e2r_metrics.base.pictures import read_image, write_png

TASK = "denoise25"
Values = Mapping[tuple[str, int, int], Sequence[float]]
MakeRun = Callable[..., Run]


def _metric(key: str, missing: str | None) -> MetricInfo:
    row = CATALOG[key]
    return MetricInfo(
        name=row.name, variant=row.variant, higher_is_better=row.higher_is_better,
        per_image=row.per_image, unit=row.unit, protocol=row.protocol, weights={},
        missing=missing, fetch="e2r-bench weights fetch x" if missing else None,
    )  # fmt: skip


def make_run(
    folder: Path,
    values: Values,
    scenes: Sequence[str] | None = None,
    miniature: bool = True,
    noise: float = 4.0,
    data: str = "mini",
) -> Run:
    """Write a run whose psnr values are given, by (method, seed, steps).

    Pictures are 8x8 noise around the clean ones, wider where psnr is lower.
    """
    count = len(next(iter(values.values())))
    images = tuple(f"photo{k:02}" for k in range(count))
    methods = {
        name: MethodInfo(
            build="kontext-nano" if miniature else "FLUX.1-Kontext-dev", miniature=miniature,
            title=name, control=False, licence="none", weights={}, stochastic=True,
            stepped=True,
        )
        for name, _, _ in values
    }  # fmt: skip
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
        passed={}, settings={}, protocol="e2r", methods=methods, tasks={TASK: task},
        metrics=metrics, seeds=tuple(sorted({seed for _, seed, _ in values})),
        steps=tuple(sorted({steps for _, _, steps in values})), device="cpu", versions={}, git=None,
    )  # fmt: skip
    run = Run(folder, info)
    write_info(folder, info)
    rows: list[Row] = []
    for (method, seed, steps), column in values.items():
        for k, image in enumerate(images):
            generator = np.random.default_rng([k, seed, steps, len(method)])
            clean = np.random.default_rng(k).integers(60, 190, (8, 8, 3))
            write_png(run.clean_path(TASK, image), clean.astype(np.uint8))
            spread = noise * 10 ** ((30 - column[k]) / 20)
            moved = np.clip(clean + generator.normal(0, spread, clean.shape), 0, 255)
            path = run.restored_path(method, TASK, Draw(seed, steps), image)
            write_png(path, moved.astype(np.uint8))
            rows.append(
                Row(
                    method=method, build=methods[method].build, task=TASK, image=image,
                    scene=task.scenes[k], seed=seed, steps=steps, metric="psnr", variant="rgb",
                    value=float(column[k]), status="ok", protocol="e2r",
                )
            )  # fmt: skip
    write_text(folder / "per_image.jsonl", "".join(row.model_dump_json() + "\n" for row in rows))
    return run


class PixelSession:
    """Stands in for a session: a picture's features are its pixels."""

    def features(self, extractor: str, images: Sequence[Path]) -> np.ndarray:
        del extractor
        return np.array([read_image(path).ravel() / 255 for path in images], np.float32)


@pytest.fixture
def pixel_session() -> PixelSession:
    return PixelSession()


@pytest.fixture
def run_maker() -> MakeRun:
    return make_run
