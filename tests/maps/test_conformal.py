"""The trust mask keeps its bound, and says when it cannot."""

import math

import cv2
import numpy as np
import pytest

from e2r_baselines.consistency import consistency
from e2r_baselines.tasks import TASKS
from e2r_bench.maps.colour import ciede2000
from e2r_bench.maps.conformal import (
    LEAST_SHARE,
    Trust,
    calibrate,
    largest_threshold,
    local_error,
    smallest_by_scene,
    trusted,
)
from e2r_bench.run.data import read_clean
from e2r_bench.run.mini import mini
from e2r_metrics.base.errors import UsageError

BOUND, LEVEL, SPLITS = 4.0, 0.2, 200


def mean_inside(score: np.ndarray, error: np.ndarray, threshold: float) -> float:
    """Independent restatement: the mean error in the mask, 0 for masks that are emptied."""
    mask = score <= threshold
    return float(error[mask].mean()) if mask.mean() >= LEAST_SHARE else 0.0


def maps_of_photographs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (score without truth, error) of 40 pictures, some of them restored badly."""
    rng = np.random.default_rng(1)
    found = []
    for index, source in enumerate(mini().sources[:40]):
        truth = read_clean(source)
        noisy = np.clip(np.rint(truth + rng.normal(0, 25, truth.shape)), 0, 255).astype(np.uint8)
        restored = cv2.GaussianBlur(noisy, (0, 0), 0.7 + 0.06 * index)
        score = consistency(TASKS["denoise25"], restored, noisy).values
        found.append((score, local_error(ciede2000(restored, truth))))
    return found


def test_the_bound_holds_on_200_random_splits() -> None:
    pictures = maps_of_photographs()
    limits = [largest_threshold(score, error, BOUND) for score, error in pictures]
    rng = np.random.default_rng(2)
    broken = []
    for _ in range(SPLITS):
        order = rng.permutation(len(pictures))
        held, test = order[:20], order[20:]
        trust = calibrate({str(k): limits[k] for k in held}, BOUND, LEVEL)
        inside = [
            float(pictures[k][1][mask].mean())
            for k in test
            if (mask := trusted(pictures[k][0], trust)).any()
        ]
        broken.append(sum(value > BOUND for value in inside) / len(test))
    # Each split's rate has at most this standard deviation; pictures are shared between splits.
    slack = 2 * math.sqrt(LEVEL * (1 - LEVEL) / 20 / SPLITS)
    assert np.mean(broken) <= LEVEL + slack
    # A mask that trusts nothing would keep every bound: this one must come near its level.
    assert np.mean(broken) > LEVEL / 4


def test_largest_threshold_is_the_last_before_the_bound_breaks() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        score = rng.random((24, 24)).astype(np.float32)
        error = (score * 4 + rng.random((24, 24))).astype(np.float32)
        limit = largest_threshold(score, error, 1.5)
        candidates = np.sort(score.ravel())
        safe = candidates[candidates <= limit]
        assert all(mean_inside(score, error, t) <= 1.5 for t in safe)
        beyond = candidates[candidates > limit]
        assert mean_inside(score, error, float(beyond[0])) > 1.5


def test_equal_scores_are_trusted_together_or_not_at_all() -> None:
    score = np.ones((4, 4), np.float32)
    error = np.full((4, 4), 9, np.float32)
    error[0] = 0
    assert largest_threshold(score, error, 2.0) < 1
    assert largest_threshold(score, error, 7.0) == math.inf
    error[:] = 0
    error[0] = 30
    assert largest_threshold(score, error, 8.0) == math.inf


@pytest.mark.parametrize(("scenes", "level", "rank"), [(9, 0.1, 1), (19, 0.1, 2), (4, 0.2, 1)])
def test_rank_of_the_calibrated_threshold(scenes: int, level: float, rank: int) -> None:
    limits = {str(k): float(k + 1) for k in range(scenes)}
    assert calibrate(limits, 3.0, level).threshold == rank


def test_too_few_scenes_trust_nothing_and_say_so() -> None:
    trust = calibrate({str(k): 5.0 for k in range(8)}, 3.0, 0.1)
    assert trust.threshold == -math.inf
    assert not trusted(np.zeros((8, 8), np.float32), trust).any()
    assert "needs at least 9 calibration scenes, found 8" in trust.statement("CIEDE2000")
    kept = calibrate({str(k): 5.0 for k in range(9)}, 3.0, 0.1).statement("CIEDE2000")
    assert "at most 3 CIEDE2000" in kept
    assert "at least 0.9" in kept


def test_a_mask_below_the_least_share_is_emptied() -> None:
    score = np.ones((20, 20), np.float32)
    score[0, :3] = 0
    assert not trusted(score, Trust(0.5, 3.0, 0.1, 20)).any()
    score[0, 3] = 0
    assert trusted(score, Trust(0.5, 3.0, 0.1, 20)).sum() == 4


def test_a_scene_counts_by_its_worst_picture() -> None:
    assert smallest_by_scene([3.0, 1.0, 2.0], ["a", "a", "b"]) == {"a": 1.0, "b": 2.0}


@pytest.mark.parametrize(("bound", "level"), [(3.0, 0.0), (3.0, 1.0), (0.0, 0.1)])
def test_bad_bounds_and_levels_are_refused(bound: float, level: float) -> None:
    with pytest.raises(UsageError, match="expected a level"):
        calibrate({"a": 1.0}, bound, level)
