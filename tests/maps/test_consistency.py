"""Does the output, degraded again, explain the input?"""

import numpy as np
import pytest
from planted_errors import auroc, plant

from e2r_baselines.consistency import consistency, has_model
from e2r_baselines.degrade import degrade
from e2r_baselines.tasks import TASKS
from e2r_bench.run.data import read_clean, read_depth
from e2r_bench.run.mini import mini
from e2r_metrics.base.errors import UsageError

SOURCES = mini().sources[:5]


def eight_bit(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def degraded(task: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    truth = read_clean(SOURCES[index])
    rng = np.random.default_rng([index, 5])
    pixels = degrade(TASKS[task], truth.astype(np.float32) / 255, read_depth(SOURCES[index]), rng)
    return truth, eight_bit(pixels * 255)


@pytest.mark.parametrize("task", ["denoise15", "denoise25", "denoise50"])
@pytest.mark.parametrize("index", range(5))
def test_the_truth_explains_its_noisy_input(task: str, index: int) -> None:
    truth, noisy = degraded(task, index)
    scores = consistency(TASKS[task], truth, noisy).scores
    # Dark photographs are clipped: the model knows it, and the residual still has its deviation.
    assert scores["residual_sd_ratio"] == pytest.approx(1, abs=0.03)
    assert scores["residual_correlation"] == pytest.approx(0, abs=0.03)
    assert scores["inconsistency"] == pytest.approx(1, abs=0.35)


def test_rounding_convention_matters_and_is_known() -> None:
    truth = read_clean(SOURCES[0])
    noise = np.random.default_rng(0).normal(0, 15, truth.shape)
    truncated = np.clip(truth + noise, 0, 255).astype(np.uint8)
    known = consistency(TASKS["denoise15"], truth, truncated, truncate=True).scores
    unknown = consistency(TASKS["denoise15"], truth, truncated).scores
    assert known["inconsistency"] < unknown["inconsistency"]


def test_kept_noise_and_lost_detail_both_show() -> None:
    truth, noisy = degraded("denoise25", 1)
    task = TASKS["denoise25"]
    assert consistency(task, noisy, noisy).scores["residual_sd_ratio"] < 0.2
    flat = np.full_like(truth, truth.mean())
    assert consistency(task, flat, noisy).scores["residual_correlation"] > 0.2


@pytest.mark.parametrize("task", ["denoise15", "denoise25", "denoise50", "derain", "dehaze"])
def test_a_foreign_patch_is_found_without_the_truth(task: str) -> None:
    found = []
    for index in range(5):
        truth, seen = degraded(task, index)
        rng = np.random.default_rng([index, 6])
        other = read_clean(SOURCES[(index + 1) % 5])
        spoilt, mask = plant("foreign patch", truth, other, rng)
        found.append(auroc(consistency(TASKS[task], spoilt, seen).values, mask))
    assert float(np.mean(found)) >= 0.80


def test_a_task_without_a_model_is_refused() -> None:
    photo = read_clean(SOURCES[0])
    assert not has_model("dejpeg")
    with pytest.raises(UsageError, match="no degradation model"):
        consistency(TASKS["dejpeg"], photo, photo)
