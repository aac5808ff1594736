"""A small run folder of real photographs, written exactly as the runner writes one."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.run.data import read_clean
from e2r_bench.run.mini import mini
from e2r_bench.run.summary import write_summary
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import MethodInfo, MetricInfo, Row, RunInfo, TaskInfo
from e2r_bench.store.store import Store, create_store, open_store
from e2r_metrics import CATALOG, Metric, Resolver, Session
from e2r_metrics.base.pictures import read_image, write_png

STOCHASTIC = "kontext_lora"


def method_info(spec: "Spec", name: str, build: str, miniature: bool) -> MethodInfo:
    method = spec.catalog.get(name, name)
    return MethodInfo(
        method=method, options=spec.options.get(name, {}), build=build, miniature=miniature,
        title=method, control=build == "control", licence="none",
        weights=spec.files.get(name, {}), version="",
        stochastic=method == STOCHASTIC, stepped=method == STOCHASTIC,
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
    """What a synthetic run holds.

    `methods` maps an instance to (build, miniature, NLM strength), `catalog` to its method where
    that is another name; the pictures of `broken` (method, task, image) failed with that reason.
    """

    methods: Mapping[str, tuple[str, bool, float]]
    images: Sequence[str]
    tasks: Mapping[str, int]
    seeds: tuple[int, ...] = (0,)
    steps: tuple[int, ...] = (28,)
    protocol: str = "e2r(crop=none,noise=per-image,rounding=round)"
    noise_seed: int = 0
    size: tuple[int, int] = (128, 128)
    catalog: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    broken: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    perception: bool = False
    """Whether LPIPS has numbers: one minus SSIM, for no weights are here."""
    restore: Callable[[np.ndarray, float], np.ndarray] = denoise


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


def make_run(folder: Path, spec: Spec) -> Store:
    """Write pairs, restored pictures, rows and summary; return the store."""
    store = create_store(folder, _info(spec))
    session = Session(Resolver({}, (), offline=True))
    for task, sigma in spec.tasks.items():
        for index, image in enumerate(spec.images):
            _write_pair(store, spec, task, image, index, sigma)
    for cell in store.cells():
        _write_cell(store, spec, cell, session)
    write_summary(store, session, lambda *_: None)
    return store


def _write_pair(store: Store, spec: Spec, task: str, image: str, index: int, sigma: int) -> None:
    sources = mini().sources
    clean = read_clean(sources[index % len(sources)])
    clean = cv2.resize(clean, spec.size[::-1], interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng([spec.noise_seed, index, sigma]).normal(0, sigma, clean.shape)
    write_png(store.clean_path(task, image), clean)
    degraded = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
    write_png(store.degraded_path(task, image), degraded)


def _write_cell(store: Store, spec: Spec, cell: Cell, session: Session) -> None:
    reason = spec.broken.get((cell.method, cell.task, cell.image))
    if reason is not None:
        store.fail(cell, reason)
        store.put_rows(_row(store, cell, m, None, reason) for m in _measured(store))
        return
    clean = read_image(store.clean_path(cell.task, cell.image))
    degraded = read_image(store.degraded_path(cell.task, cell.image))
    restored = _restored(spec, cell.method, clean, degraded, cell.draw)
    store.put_picture(cell, restored, 0.1)
    values = {m.name: _value(session, m, restored, clean) for m in _measured(store)}
    store.put_rows(_row(store, cell, m, values[m.name]) for m in _measured(store))


def _measured(store: Store) -> list[MetricInfo]:
    return [metric for metric in store.info.metrics.values() if metric.missing is None]


def _value(session: Session, m: MetricInfo, restored: np.ndarray, clean: np.ndarray) -> float:
    key = "ssim:uniform7" if m.name == "lpips" else f"{m.name}:{m.variant}"
    value = float(session.per_image(CATALOG[key], [restored], [clean])[0])
    return 1 - value if m.name == "lpips" else value


def _restored(
    spec: Spec, method: str, clean: np.ndarray, degraded: np.ndarray, draw: Draw
) -> np.ndarray:
    if method in ("clean", "degraded"):
        return clean if method == "clean" else degraded
    return spec.restore(degraded, spec.methods[method][2] + draw.seed + draw.steps / 14)


def _row(store: Store, cell: Cell, m: MetricInfo, value: float | None, note: str = "") -> Row:
    return Row(
        method=cell.method, build=store.info.methods[cell.method].build, task=cell.task,
        image=cell.image, scene=cell.image, seed=cell.draw.seed, steps=cell.draw.steps,
        metric=m.name, variant=m.variant, value=value, note=note,
        status="failed" if value is None else "ok",
        protocol=f"{store.info.protocol} {m.protocol}",
    )  # fmt: skip


def _info(spec: Spec) -> RunInfo:
    named = {
        name: method_info(spec, name, b, small) for name, (b, small, _) in spec.methods.items()
    }
    controls = {name: method_info(spec, name, "control", False) for name in ("degraded", "clean")}
    metrics = {
        key: metric_info(
            CATALOG[key],
            "no such file here" if key.startswith("lpips") and not spec.perception else None,
        )
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
def plain_run(tmp_path_factory: pytest.TempPathFactory) -> Store:
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


@pytest.fixture(scope="session")
def judged_run(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Sixteen scenes, so that there are verdicts; three methods, two of them alike; five tasks."""
    spec = replace(
        PLAIN,
        methods={
            "kontext_lora": ("kontext-nano", True, 14.0),
            "promptir": ("promptir-nano", True, 2.0),
            "twin": ("twin", False, 2.01),
        },
        images=[f"photo{k:02d}" for k in range(16)],
        tasks={f"denoise{sigma}": sigma for sigma in (25, 30, 15, 20, 35)},
        size=(40, 40),
        seeds=(0,),
        steps=(28,),
        perception=True,
    )
    return make_run(tmp_path_factory.mktemp("judged") / "run", spec)


@pytest.fixture
def run_copy(plain_run: Store, tmp_path: Path) -> Store:
    """The plain run, free to be damaged."""
    shutil.copytree(plain_run.folder, tmp_path / "plain")
    return open_store(tmp_path / "plain")


class Builder:
    """`make_run`, with the plain run's spec to start from."""

    plain = PLAIN

    def __call__(self, folder: Path, spec: Spec) -> Store:
        return make_run(folder, spec)


@pytest.fixture(scope="session")
def build_run() -> Builder:
    return Builder()
