"""A task is one row: one added from outside is degraded, prompted and restored like ours."""

import importlib.util
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from e2r_baselines.degrade import degrade, task_table
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, spec_of
from e2r_baselines.tasks import KINDS, PROMPTS, TASKS, with_prompts
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError

SOURCE = '''
"""A task of somebody else's: one file, one row."""

from e2r_baselines.degrade import task_row


def _shift(task, clean, depth, rng):
    """Move the picture sideways by one or two pixels."""
    width = clean.shape[1]
    return clean[:, [0] * int(rng.integers(1, 3)) + list(range(width))][:, :width]


SHIFTED = task_row("unshift", "unshift", _shift, g2="Move the picture back")
'''


@pytest.fixture
def module(tmp_path: Path) -> Iterator[ModuleType]:
    path = tmp_path / "e2r_shifted.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("e2r_shifted", path)
    assert spec
    assert spec.loader
    made = sys.modules["e2r_shifted"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    yield made
    del sys.modules["e2r_shifted"]


def test_a_task_is_added_by_one_row_in_one_file(module: ModuleType) -> None:
    tasks = task_table([*TASKS.values(), module.SHIFTED])
    assert list(tasks) == [*TASKS, "unshift"]
    task = tasks["unshift"]
    clean = np.random.default_rng(0).random((5, 7, 3), dtype=np.float32)
    worse = degrade(task, clean, clean[..., 0], rng_for(0, "a", "degrade unshift"))
    again = degrade(task, clean, clean[..., 0], rng_for(0, "a", "degrade unshift"))
    np.testing.assert_array_equal(worse, again)
    assert worse.shape == clean.shape
    assert not np.array_equal(worse, clean)
    assert task.prompt == with_prompts(task, "g2").prompt == "Move the picture back"
    with pytest.raises(KeyError):
        with_prompts(task, "g1")


def test_every_method_without_weights_takes_a_task_of_somebody_else(module: ModuleType) -> None:
    from e2r_baselines.catalog import METHODS

    photo = Photo("a", np.random.default_rng(1).random((40, 40, 3), dtype=np.float32))
    for name in ("degraded", "nlm", "wavelet", "dcp", "gf-derain"):
        spec = spec_of(METHODS[name])
        restorer = spec.open(spec.builds[0], {}, Compute())
        (result,) = restorer.restore([photo], module.SHIFTED, [DETERMINISTIC])
        assert result.pixels.shape == photo.pixels.shape


def test_two_tasks_of_one_name_are_refused(module: ModuleType) -> None:
    with pytest.raises(UsageError, match="two tasks are called 'unshift'"):
        task_table([*TASKS.values(), module.SHIFTED, module.SHIFTED])


def test_a_task_without_a_degradation_says_so(module: ModuleType) -> None:
    from dataclasses import replace

    bare = replace(module.SHIFTED, degradation=None)
    with pytest.raises(ValueError, match="'unshift' states no degradation"):
        degrade(
            bare, np.zeros((2, 2, 3), np.float32), np.zeros((2, 2), np.float32), rng_for(0, "", "")
        )


@pytest.mark.parametrize("name", TASKS)
def test_a_task_pickles_with_its_degradation(name: str) -> None:
    task = pickle.loads(pickle.dumps(TASKS[name]))
    assert task == TASKS[name]
    assert hash(task) == hash(TASKS[name])
    assert task.degradation is TASKS[name].degradation


def test_the_tables_are_those_of_the_rows() -> None:
    assert {task.kind for task in TASKS.values()} == KINDS
    assert list(PROMPTS) == ["g1", "g2"]
    assert list(PROMPTS["g2"]) == ["denoise", "derain", "dehaze", "dejpeg", "lowlight"]
    for generation, said in PROMPTS.items():
        for kind, text in said.items():
            assert {t.prompts[generation] for t in TASKS.values() if t.kind == kind} == {text}
