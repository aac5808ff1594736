"""A small run folder of real photographs, written exactly as the runner writes one."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.data import mini, read_clean
from e2r_bench.runs import MethodInfo, MetricInfo, Row, Run, RunInfo, TaskInfo, write_info
from e2r_bench.summary import write_summary
from e2r_metrics import CATALOG, Metric, Resolver, Session
from e2r_metrics.base.files import write_text
from e2r_metrics.base.pictures import write_png

STOCHASTIC = "kontext_lora"


def method_info(name: str, build: str, miniature: bool) -> MethodInfo:
    return MethodInfo(
        build=build, miniature=miniature, title=name, control=build == "control",
        licence="none", weights={},
        stochastic=name == STOCHASTIC, stepped=name == STOCHASTIC,
    )  # fmt: skip


def metric_info(metric: Metric, missing: str | None) -> MetricInfo:
    return MetricInfo(
        name=metric.name, variant=metric.variant, higher_is_better=metric.higher_is_better,
        per_image=metric.per_image, unit=metric.unit, protocol=metric.protocol,
        weights={}, missing=missing, fetch="e2r-bench weights fetch x" if missing else None,
    )  # fmt: skip


def denoise(image: np.ndarray, strength: float) -> np.ndarray:
    return cv2.fastNlMeansDenoisingColored(image, None, strength, strength, 3, 9)


@dataclass(frozen=True)
class Spec:
    """What a synthetic run holds; `methods` maps a name to (build, miniature, NLM strength)."""

    methods: Mapping[str, tuple[str, bool, float]]
    images: Sequence[str]
    tasks: Mapping[str, int]
    seeds: tuple[int, ...] = (0,)
    steps: tuple[int, ...] = (28,)
    protocol: str = "e2r(crop=none,noise=per-image,rounding=round)"
    noise_seed: int = 0
    size: tuple[int, int] = (128, 128)


PLAIN = Spec(
    methods={
        "kontext_lora": ("kontext-nano", True, 14.0),
        "promptir": ("promptir-nano", True, 9.0),
    },
    images=[f"photo{k}" for k in range(6)],
    tasks={"denoise25": 25, "denoise50": 50},
    seeds=(0, 1),
    steps=(8, 28),
)


def make_run(folder: Path, spec: Spec) -> Run:
    """Write pairs, restored pictures, rows and summary; return the run."""
    run = Run(folder, _info(spec))
    write_info(folder, run.info)
    sources = mini().sources
    rows: list[Row] = []
    for task, sigma in spec.tasks.items():
        for index, image in enumerate(spec.images):
            clean = read_clean(sources[index % len(sources)])
            clean = cv2.resize(clean, spec.size[::-1], interpolation=cv2.INTER_CUBIC)
            rng = np.random.default_rng([spec.noise_seed, index, sigma])
            noisy = clean + rng.normal(0, sigma, clean.shape)
            degraded = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
            write_png(run.clean_path(task, image), clean)
            write_png(run.degraded_path(task, image), degraded)
            for method in run.info.methods:
                for draw in run.draws(method):
                    restored = _restored(spec, method, clean, degraded, draw)
                    write_png(run.restored_path(method, task, draw, image), restored)
                    rows += _rows(run, method, task, image, draw, restored, clean)
    write_text(folder / "per_image.jsonl", "".join(r.model_dump_json() + "\n" for r in rows))
    write_summary(run, Session(Resolver({}, (), offline=True)), lambda *_: None)
    return run


def _restored(
    spec: Spec, method: str, clean: np.ndarray, degraded: np.ndarray, draw: Draw
) -> np.ndarray:
    if method in ("clean", "degraded"):
        return clean if method == "clean" else degraded
    return denoise(degraded, spec.methods[method][2] + draw.seed + draw.steps / 14)


def _rows(
    run: Run,
    method: str,
    task: str,
    image: str,
    draw: Draw,
    restored: np.ndarray,
    clean: np.ndarray,
) -> list[Row]:
    session = Session(Resolver({}, (), offline=True))
    return [
        Row(
            method=method, build=run.info.methods[method].build, task=task, image=image,
            scene=image, seed=draw.seed, steps=draw.steps, metric=m.name,
            variant=m.variant, status="ok", protocol=f"{run.info.protocol} {m.protocol}",
            value=float(session.per_image(CATALOG[key], [restored], [clean])[0]),
        )
        for key, m in run.info.metrics.items()
        if m.missing is None
    ]  # fmt: skip


def _info(spec: Spec) -> RunInfo:
    named = {name: method_info(name, b, small) for name, (b, small, _) in spec.methods.items()}
    controls = {name: method_info(name, "control", False) for name in ("degraded", "clean")}
    metrics = {
        key: metric_info(CATALOG[key], "no such file here" if key.startswith("lpips") else None)
        for key in ("psnr:rgb", "ssim:uniform7", "lpips:alex")
    }
    tasks = {
        task: TaskInfo(
            data="photographs", degradation=f"Gaussian sigma {sigma}, seed {spec.noise_seed}",
            prompt="remove the noise from the image", images=tuple(spec.images),
            scenes=tuple(spec.images), variants={m.name: m.variant for m in metrics.values()},
        )
        for task, sigma in spec.tasks.items()
    }  # fmt: skip
    return RunInfo(
        passed={"methods": list(named)}, settings={"methods": list(named), "batch": 4},
        protocol=spec.protocol, methods=controls | named, tasks=tasks, metrics=metrics,
        seeds=spec.seeds, steps=spec.steps, device="cpu",
        versions={"e2r-bench": "0.1.0", "torch": "2.15"}, git="0123abc",
    )  # fmt: skip


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two miniature methods, two tasks, six pictures, two seeds and two schedules; one study."""
    run = make_run(tmp_path_factory.mktemp("runs") / "plain", PLAIN)
    study = run.folder / "studies" / "seeds"
    study.mkdir(parents=True)
    section = {"title": "Seeds", "markdown": "Two seeds, **one** result.", "plots": []}
    (study / "section.json").write_text(json.dumps(section), encoding="utf-8")
    verdicts = [
        {"claim": "C1", "verdict": "supported", "p": 0.012, "n": 6},
        {"claim": "C2", "verdict": "undecided", "note": "too few pictures"},
    ]
    (study / "verdicts.json").write_text(json.dumps(verdicts), encoding="utf-8")
    return run


@pytest.fixture
def run_copy(plain_run: Run, tmp_path: Path) -> Run:
    """The plain run, free to be damaged."""
    shutil.copytree(plain_run.folder, tmp_path / "plain")
    return Run(tmp_path / "plain", plain_run.info)


class Builder:
    """`make_run`, with the plain run's spec to start from."""

    plain = PLAIN

    def __call__(self, folder: Path, spec: Spec) -> Run:
        return make_run(folder, spec)


@pytest.fixture(scope="session")
def build_run() -> Builder:
    return Builder()
