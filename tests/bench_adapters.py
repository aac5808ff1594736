"""Speed of the Kontext restorer on the miniature, in CPU time of two threads.

    OMP_NUM_THREADS=2 pytest tests/bench_adapters.py --benchmark-only \
        -o addopts="--import-mode=importlib"

On one thread the loop over the pipeline is relatively faster: see results/nano. Each ratio and
share is measured in one run, is asserted against its target, and lands in the benchmark's
`extra_info`.
"""

import time

import numpy as np
import pytest
import torch

from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import FULL, NANO, open_editor
from e2r_adapters.editors.backbones import LENGTH
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_baselines.method import Compute, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_bench.memory import keep_freed_memory

# As the command does.
keep_freed_memory()
DRAWS = [Draw(seed, steps) for steps in (4, 8, 16, 28) for seed in range(5)]
TASK = TASKS["denoise25"]
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.benchmark(timer=time.process_time, min_rounds=3),
]


@pytest.fixture(scope="module")
def pipe():
    return open_editor(NANO, torch.float32, "cpu").pipe


@pytest.fixture
def photo() -> Photo:
    return Photo("p", np.random.default_rng(0).random((128, 128, 3), np.float32))


def restore_all(pipe, photo, draws, batch):
    made = EditorRestorer(KONTEXT.open(pipe), Settings(2.5, LENGTH, "native", batch))
    return list(made.restore([photo], TASK, draws))


def loop_over_pipe(pipe, photo, draws):
    image = torch.from_numpy(photo.pixels).permute(2, 0, 1)[None]
    for draw in draws:
        pipe(
            image=image, prompt=TASK.prompt, height=128, width=128, max_area=128 * 128,
            _auto_resize=False, num_inference_steps=draw.steps, guidance_scale=2.5,
            generator=torch.Generator().manual_seed(draw.seed), max_sequence_length=LENGTH,
            output_type="np",
        )  # fmt: skip


def seconds(function, *arguments) -> float:
    began = time.process_time()
    function(*arguments)
    return time.process_time() - began


def test_28_steps_on_one_picture(benchmark, pipe, photo):
    benchmark(restore_all, pipe, photo, [Draw(0, 28)], 1)
    benchmark.extra_info["threads"] = torch.get_num_threads()


def test_a_study_of_one_picture_against_a_loop_over_the_pipeline(benchmark, pipe, photo):
    restore_all(pipe, photo, DRAWS[:1], 1)
    pairs = [
        (seconds(loop_over_pipe, pipe, photo, DRAWS), seconds(restore_all, pipe, photo, DRAWS, 5))
        for _ in range(3)
    ]
    ratio = sorted(peer / ours for peer, ours in pairs)[1]
    benchmark.extra_info["times_faster_than_diffusers_loop"] = ratio
    benchmark.pedantic(restore_all, (pipe, photo, DRAWS, 5), rounds=1)
    assert ratio >= 1.2


def test_time_outside_the_transformer(benchmark, pipe, photo, monkeypatch):
    inside = 0.0
    forward = pipe.transformer.forward

    def timed(*args, **kwargs):
        nonlocal inside
        began = time.process_time()
        result = forward(*args, **kwargs)
        inside += time.process_time() - began
        return result

    restore_all(pipe, photo, DRAWS[:1], 1)
    monkeypatch.setattr(pipe.transformer, "forward", timed)
    total = seconds(restore_all, pipe, photo, DRAWS, 5)
    benchmark.extra_info["share_outside_transformer"] = 1 - inside / total
    benchmark.pedantic(lambda: None, rounds=1)
    assert 1 - inside / total <= 0.05


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_28_steps_of_the_full_model(benchmark, photo):
    spec = spec_of(METHODS["kontext"], {"backbone": FULL, "resize": "paper"})
    made = spec.open(spec.builds[0], {}, Compute("cuda", "bfloat16"))
    torch.cuda.reset_peak_memory_stats()
    benchmark.pedantic(lambda: list(made.restore([photo], TASK, [Draw(0, 28)])), rounds=2)
    benchmark.extra_info["peak_bytes"] = torch.cuda.max_memory_allocated()
