"""Throughput of the restorers; the peer is the bare network loop on the same pictures.

Run with `pytest tests/bench_baselines.py --benchmark-only`.
"""

import dataclasses
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import e2r_baselines
from e2r_baselines.catalog import METHODS
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, spec_of
from e2r_baselines.prenet import PReNet
from e2r_baselines.promptir import NANO, PromptIR
from e2r_baselines.tasks import TASKS
from e2r_bench.run.config import Experiment
from e2r_bench.run.describe import open_folder
from e2r_bench.run.executor import SerialExecutor
from e2r_bench.run.plan import make_plan
from e2r_bench.run.prepare import prepare
from e2r_bench.run.restore import restore_all
from e2r_bench.run.services import open_services
from e2r_bench.run.worker import LocalWorker
from e2r_bench.store.costs import put_cost

COUNT, SIDE = 32, 128
WEIGHTS = Path(e2r_baselines.__file__).parent / "embedded" / "promptir-nano" / "model.safetensors"


def photos() -> Sequence[Photo]:
    rng = np.random.default_rng(0)
    return [Photo(str(i), rng.random((SIDE, SIDE, 3), dtype=np.float32)) for i in range(COUNT)]


def bare(network: torch.nn.Module) -> Callable[[], None]:
    """Return what a script without this project would do: tensors in, tensors out, one by one."""
    network.eval()
    tensors = [torch.from_numpy(p.pixels).movedim(-1, 0)[None].contiguous() for p in photos()]

    def loop() -> None:
        with torch.inference_mode():
            for tensor in tensors:
                network(tensor)

    return loop


@pytest.mark.benchmark(group="promptir-nano, 32 pictures of 128x128")
def test_promptir_nano_bare(benchmark: Any) -> None:
    """The peer: the network alone."""
    benchmark.pedantic(bare(PromptIR(NANO)), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="promptir-nano, 32 pictures of 128x128")
def test_promptir_nano_as_a_restorer(benchmark: Any) -> None:
    """Padding, batching, conversion from and to NumPy on top."""
    spec = spec_of(METHODS["promptir"])
    restorer = spec.open(spec.builds[1], {"promptir-nano": WEIGHTS}, Compute())
    task = TASKS["denoise25"]
    benchmark.pedantic(
        lambda: list(restorer.restore(photos(), task, [DETERMINISTIC])), rounds=3, warmup_rounds=1
    )


def runs_of(method: str, task: str, folder: Path, weights: Path) -> Callable[[], float]:
    """Return what restores `COUNT` pictures of mini into a new run folder at each call.

    The plan is cut to the one method: the controls, which every run has, restore nothing.
    """
    experiment = Experiment(
        methods=(method,), tasks=(task,), metrics=("psnr",), limit=COUNT, batch=1, device="cpu",
        offline=True, out=folder, weights=(weights,),
    )  # fmt: skip
    resolver, session, device = open_services(experiment, lambda _: None)
    whole = make_plan(experiment, resolver, session)
    plan = dataclasses.replace(whole, methods=tuple(m for m in whole.methods if m.name == method))

    def once() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        store = open_folder(whole, resolver.hashes, device, {}, redo=False)
        for pictures in plan.tasks:
            list(prepare(pictures, store.folder / "pairs" / pictures.task.name))
        note = partial(put_cost, store.folder)
        worker = LocalWorker(plan, store.folder, Compute(device), store.put_picture, note)
        began = time.process_time()
        restore_all(plan, store, SerialExecutor(worker), lambda *_: None)
        assert not store.failures()
        return time.process_time() - began

    return once


@pytest.mark.parametrize(("method", "task"), [("promptir", "denoise25"), ("prenet", "derain")])
def test_the_runner_adds_at_most_a_twentieth(
    benchmark: Any, method: str, task: str, tmp_path: Path, shared_data: Path
) -> None:
    """Opening the network, reading pairs, checking and writing PNG, against the bare network.

    CPU time in alternation; the medians are compared.
    """
    network = PromptIR(NANO) if method == "promptir" else PReNet()
    loop, once = bare(network), runs_of(method, task, tmp_path / "run", shared_data / "prenet")
    loop(), once()
    pairs = [(cpu(loop), once()) for _ in range(7)]
    peer, ours = (float(np.median(side)) for side in zip(*pairs, strict=True))
    benchmark.extra_info |= {"bare_s": peer, "runner_s": ours, "ratio": ours / peer}
    benchmark.pedantic(once, rounds=1)
    print(f"{method}: bare {peer:.3f} s, runner {ours:.3f} s, ratio {ours / peer:.3f}")
    assert ours <= 1.05 * peer


def cpu(function: Callable[[], None]) -> float:
    began = time.process_time()
    function()
    return time.process_time() - began


@pytest.mark.benchmark(group="others, 32 pictures of 128x128")
def test_prenet_bare(benchmark: Any) -> None:
    """Six recurrences."""
    benchmark.pedantic(bare(PReNet()), rounds=3)


@pytest.mark.benchmark(group="others, 32 pictures of 128x128")
@pytest.mark.parametrize("name", ["nlm", "wavelet", "dcp", "gf-derain", "bm3d"])
def test_filters(benchmark: Any, name: str) -> None:
    """Methods without weights."""
    spec = spec_of(METHODS[name])
    restorer = spec.open(spec.builds[0], {}, Compute())
    task = TASKS["denoise25"]
    benchmark.pedantic(lambda: list(restorer.restore(photos(), task, [DETERMINISTIC])), rounds=1)
