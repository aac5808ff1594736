"""An arm's numbers, and the metrics that a task was measured by."""

from dataclasses import replace

import pytest

from e2r_baselines.method import Draw
from e2r_bench.store.info import unmarked
from e2r_bench.studies.measure import arm_of, measured_metrics, metric_of, units_of
from e2r_metrics.base.errors import UsageError

TASK = "denoise25"


@pytest.fixture
def store(run_maker, tmp_path):
    """A run whose other task would be measured by another variant of PSNR."""
    made = run_maker(tmp_path, {("m", 3, 28): [30.0, 31.0, 32.0]}, scenes=["a", "a", "b"])
    metrics = dict(made.info.metrics)
    luma = metrics["psnr:rgb"].model_copy(update={"variant": "y"})
    return replace(made, info=made.info.model_copy(update={"metrics": {**metrics, "psnr:y": luma}}))


def test_a_task_has_its_own_variants_and_only_what_was_measured(store):
    assert [key for key, _ in measured_metrics(store, TASK)] == ["psnr:rgb", "fd_effnet:lite0"]
    assert metric_of(store, "psnr", TASK)[0] == "psnr:rgb"
    for name, said in (("psnr:y", "was not asked for"), ("fid", "fid:clean not measured")):
        with pytest.raises(UsageError, match=said):
            metric_of(store, name, TASK)


def test_an_arm_has_the_draw_that_its_method_has(store):
    arm = arm_of(store, "m", 3, 28)
    assert arm.values(TASK, "psnr:rgb") == {"photo00": 30.0, "photo01": 31.0, "photo02": 32.0}
    assert list(arm.pictures(TASK)) == ["photo00", "photo01", "photo02"]
    assert arm_of(store, "m", 4, 28).values(TASK, "psnr:rgb") == {}
    assert (arm.build, unmarked(arm.build)) == ("kontext-nano (miniature)", "kontext-nano")
    still = store.info.methods["m"].model_copy(update={"stochastic": False, "stepped": False})
    info = store.info.model_copy(update={"methods": {"m": still}})
    assert arm_of(replace(store, info=info), "m", 3, 28).draw == Draw(0, 0)


def test_scenes_are_the_units_unless_images_are(store):
    images = ["photo00", "photo01", "photo02"]
    assert units_of(store, TASK, images) == ["a", "a", "b"]
    assert units_of(store, TASK, images, "image") == images
