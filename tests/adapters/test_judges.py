"""Judges: each finds the planted better result, and says what it cannot judge."""

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from e2r_adapters.judges import _by_metric, judge_named, open_judge
from e2r_baselines.degrade import degrade
from e2r_baselines.method import Photo
from e2r_baselines.tasks import TASKS
from e2r_bench.run.data import read_clean, read_depth
from e2r_bench.run.mini import mini
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.catalog import metric_of

SOURCE = mini().sources[1]
DENOISE = TASKS["denoise25"]


def opened(name):
    return open_judge(judge_named(name), {}, "cpu")


def case(task="denoise25"):
    """Three results of one degraded picture; the second is the truth."""
    truth = read_clean(SOURCE)
    rng = np.random.default_rng(3)
    given = degrade(TASKS[task], truth.astype(np.float32) / 255, read_depth(SOURCE), rng).clip(0, 1)
    patch, faded = truth.copy(), truth // 2
    patch[40:80, 40:80] = truth[:40, :40]
    return [patch, truth, faded], Photo(
        "a", given.astype(np.float32), truth.astype(np.float32) / 255
    )


@pytest.mark.parametrize("task", ["denoise15", "denoise50", "derain"])
@pytest.mark.parametrize("judge", ["consistency", "oracle"])
def test_the_truth_wins_wherever_it_stands(task, judge):
    results, photo = case(task)
    for turn in range(3):
        turned = results[turn:] + results[:turn]
        assert turned[opened(judge)(turned, photo, TASKS[task])] is results[1]


def test_consistency_does_not_look_at_the_truth():
    results, photo = case()
    blind = Photo(photo.id, photo.pixels)
    assert opened("consistency")(results, blind, DENOISE) == 1
    with pytest.raises(UsageError, match="expected the truth"):
        opened("oracle")(results, blind, DENOISE)


def test_a_task_without_a_model_is_a_users_mistake():
    results, photo = case()
    with pytest.raises(UsageError, match="no degradation model for 'dejpeg'"):
        opened("consistency")(results, photo, TASKS["dejpeg"])


def test_niqe_prefers_the_clean_picture():
    rng = np.random.default_rng(0)
    truth = np.tile(read_clean(SOURCE), (2, 2, 1))
    noisy = np.clip(truth + rng.normal(0, 60, truth.shape), 0, 255).astype(np.uint8)
    photo = Photo("a", noisy.astype(np.float32) / 255)
    for results in ([truth, noisy], [noisy, truth]):
        assert results[opened("niqe")(results, photo, DENOISE)] is truth
    assert judge_named("niqe").name == "niqe:matlab"


def test_small_pictures_are_the_metrics_own_fault():
    results, photo = case()
    with pytest.raises(PictureError, match="NIQE needs two blocks"):
        opened("niqe")(results, photo, DENOISE)


def test_the_direction_of_a_metric_is_heeded():
    def mean(restored, clean):
        return np.array([image.mean() for image in restored])

    results, photo = case()
    up, down = metric_of("clip_iqa:official"), metric_of("niqe:matlab")
    assert up.higher_is_better
    assert not down.higher_is_better
    assert _by_metric(mean, up, results[0], photo, DENOISE) == -results[0].mean()
    assert _by_metric(mean, down, results[0], photo, DENOISE) == results[0].mean()


def test_a_number_that_is_none_chooses_nothing(monkeypatch):
    from e2r_metrics import niqe

    monkeypatch.setattr(niqe, "open_metric", lambda *_: lambda restored, clean: np.array([np.nan]))
    results, photo = case()
    with pytest.raises(PictureError, match="expected a finite number"):
        opened("niqe")(results, photo, DENOISE)


@pytest.mark.parametrize("name", ["psnr", "fid", "oracl", "", "niqe:none"])
def test_an_unknown_judge_is_one_line(name):
    with pytest.raises(UsageError) as caught:
        judge_named(name)
    assert "\n" not in str(caught.value)


def test_weights_are_named_before_anything_is_opened():
    assert judge_named("brisque:live").weights == ("brisque-live",)
    assert judge_named("consistency").weights == ()


# A program


def program(tmp_path: Path, body: str) -> str:
    path = tmp_path / "judge.py"
    path.write_text(f"import sys\nfrom PIL import Image\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"command:{sys.executable} {path}"


MEAN = "import numpy as np\nbright = [np.asarray(Image.open(p)).mean() for p in sys.argv[1:3]]\n"


def test_a_program_compares_the_best_so_far_with_the_next(tmp_path):
    log = tmp_path / "log"
    body = f"""{MEAN}
open({str(log)!r}, "a").write(sys.argv[3] + "\\n")
print(1 + (bright[1] > bright[0]))"""
    line = program(tmp_path, body)
    shades = [np.full((20, 24, 3), level, np.uint8) for level in (10, 90, 30, 200)]
    photo = Photo("a", shades[0].astype(np.float32) / 255)
    assert opened(line)(shades, photo, DENOISE) == 3
    assert opened(line)(shades[:3], photo, DENOISE) == 1
    # M - 1 comparisons, each with the instruction.
    assert log.read_text().splitlines() == [DENOISE.prompt] * (3 + 2)


def test_a_program_can_ask_for_the_input(tmp_path):
    body = "print(2 if Image.open(sys.argv[2]).getpixel((0, 0)) == (7, 7, 7) else 1)"
    line = program(tmp_path, body) + " {first} {input}"
    shades = [np.full((20, 24, 3), level, np.uint8) for level in (10, 90)]
    photo = Photo("a", np.full((20, 24, 3), 7 / 255, np.float32))
    assert opened(line)(shades, photo, DENOISE) == 1


@pytest.mark.parametrize("body", ["print(3)", "print('first')", "pass", "print(1); sys.exit(4)"])
def test_any_other_answer_is_the_pictures_fault(tmp_path, body):
    shades = [np.full((20, 24, 3), level, np.uint8) for level in (10, 90)]
    photo = Photo("a", shades[0].astype(np.float32) / 255)
    with pytest.raises(PictureError, match="expected 1 or 2"):
        opened(program(tmp_path, body))(shades, photo, DENOISE)


@pytest.mark.parametrize("line", ["command:", "command:'x", "command:   "])
def test_a_line_that_is_none_is_refused(line):
    with pytest.raises(UsageError):
        judge_named(line)
