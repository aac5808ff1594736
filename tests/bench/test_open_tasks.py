"""Tasks that are data: tables of a settings file, mixtures, pairs of one's own."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2r_baselines.degradations import DEGRADATIONS
from e2r_baselines.degrade import degrade
from e2r_baselines.mixtures import MIXTURES, Step, made_task
from e2r_bench.cli import main
from e2r_bench.run.tasks import TaskTable, task_named
from e2r_bench.store.store import open_store
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png

TABLES = """
[[task]]
name = "deblur"
prompt = "Remove the blur"
degradation = [{ name = "motion_blur", radius = 4, sigma = [1, 3] }]
methods = ["nlm"]

[[task]]
name = "sr2"
kind = "super-resolution"
prompts = { g2 = "Enlarge it" }
degradation = []
scale = 2
shave = 3

[[task]]
name = "moire-then-jpeg"
degradation = [{ name = "moire" }, { name = "jpeg", quality = 30 }]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for k in range(3):
        rows, columns = np.mgrid[:48, :56] / 7
        x = 120 + 70 * np.sin(rows + k)[..., None] * np.cos(columns)[..., None]
        clean = np.repeat(x, 3, 2) + rng.normal(0, 4, (48, 56, 3))
        write_png(tmp_path / "data" / f"p{k}.png", np.clip(clean, 0, 255).astype(np.uint8))
    (tmp_path / "tasks.toml").write_text(TABLES, encoding="utf-8")
    return tmp_path


def asked(home: Path, tasks: str, *more: str) -> list[str]:
    return [
        "run", "--methods", "wavelet,nlm", "--task", str(home / "tasks.toml"), "--tasks", tasks,
        "--data", str(home / "data"), "--metrics", "psnr", "--out", str(home / "run"), *more,
    ]  # fmt: skip


def test_a_task_is_added_by_a_table_alone(home: Path) -> None:
    assert main(asked(home, "deblur,sr2,moire-then-jpeg,denoise25")) == 0
    info = open_store(home / "run").info
    assert set(info.tasks) == {"deblur", "sr2", "moire-then-jpeg", "denoise25"}
    assert info.tasks["deblur"].prompt == "Remove the blur"
    assert "motion_blur (radius 4, sigma 1..3" in info.tasks["deblur"].degradation
    assert "moire (" in info.tasks["moire-then-jpeg"].degradation
    assert "then jpeg (quality 30)" in info.tasks["moire-then-jpeg"].degradation
    # The table says which methods it is for; where it does not, the kind does.
    assert "deblur" in info.methods["wavelet"].outside
    assert "deblur" not in info.methods["nlm"].outside
    assert "sr2" in info.methods["nlm"].outside
    assert "denoise25" not in info.methods["nlm"].outside
    assert "sr2" not in info.methods["degraded"].outside


def test_the_border_of_a_task_is_not_scored(home: Path) -> None:
    assert main(asked(home, "sr2")) == 0
    store = open_store(home / "run")
    assert "3 pixels of each border not scored" in store.info.tasks["sr2"].degradation
    row = next(r for r in store.rows().all if r.method == "degraded" and r.metric == "psnr")
    one, two = (
        read_image(path)[3:-3, 3:-3].astype(np.float64)
        for path in (store.degraded_path("sr2", row.image), store.clean_path("sr2", row.image))
    )
    assert row.value == pytest.approx(20 * np.log10(255 / np.sqrt(np.mean((one - two) ** 2))))


def test_a_table_that_changed_is_another_run(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(home, "deblur")) == 0
    (home / "tasks.toml").write_text(TABLES.replace("radius = 4", "radius = 5"), encoding="utf-8")
    assert main(asked(home, "deblur")) == 2
    assert "holds another run (task" in capsys.readouterr().err


def test_pairs_of_ones_own_need_no_table(home: Path) -> None:
    for k in range(3):
        picture = read_image(home / "data" / f"p{k}.png")
        write_png(home / "pairs" / "target" / f"p{k}.png", picture)
        write_png(home / "pairs" / "input" / f"p{k}.png", picture // 2)
    call = ["run", "--methods", "wavelet", "--tasks", "custom:scans", "--metrics", "psnr"]
    call += ["--data", str(home / "pairs"), "--out", str(home / "run")]
    assert main(call) == 0
    task = open_store(home / "run").info.tasks["scans"]
    assert (task.degradation, task.prompt) == ("files of pairs", "")


def test_clean_pictures_alone_are_no_pairs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["run", "--methods", "wavelet", "--tasks", "custom:scans", "--metrics", "psnr"]
    assert main([*call, "--data", str(home / "data"), "--out", str(home / "run")]) == 2
    assert "expected pairs, found only clean pictures" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"name": "denoise25"}, "there is one of that name"),
        ({"name": "rain+haze"}, "there is one of that name"),
        ({"name": "t", "degradation": "blurry"}, "expected 'pairs' or a list"),
        ({"name": "t", "degradation": [{"name": "blurr"}]}, "blur"),
        ({"name": "t", "degradation": [{"name": "blur", "sigmas": 3}]}, "sigma"),
        ({"name": "t", "degradation": [{"name": "blur", "sigma": "3"}]}, "expected a number"),
        ({"name": "t", "degradation": [{"name": "blur", "sigma": [3, 1]}]}, "expected a range"),
        ({"name": "t", "degradation": [{"name": "blur", "sigma": 0}]}, "expected numbers above 0"),
    ],
)
def test_a_table_that_cannot_be_is_one_line(table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        task_named("t", [TaskTable.model_validate(table)])


def test_unknown_tasks_are_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"rain\+haze"):
        task_named("rain+hase", [])
    with pytest.raises(UsageError, match="two tasks are called 't'"):
        task_named("t", [TaskTable(name="t"), TaskTable(name="t")])
    with pytest.raises(UsageError):
        task_named("custom:", [])


@pytest.mark.parametrize("name", DEGRADATIONS)
@settings(max_examples=10, deadline=None)
@given(height=st.integers(2, 40), width=st.integers(2, 40), seed=st.integers(0, 99))
def test_every_degradation_keeps_the_size_and_degrades(
    name: str, height: int, width: int, seed: int
) -> None:
    clean = np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)
    depth = np.full((height, width), 0.5, np.float32)
    task = made_task("t", [Step(name)])
    one, two = (degrade(task, clean, depth, rng_for(seed, "a", "t")) for _ in range(2))
    assert one.shape == clean.shape
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert np.array_equal(one, two)
    if min(height, width) > 8 and name not in ("snow", "rain"):
        assert np.abs(one - clean).mean() > 1e-3


def test_a_mixture_is_its_parts_one_after_the_other() -> None:
    clean = np.random.default_rng(0).random((24, 32, 3), dtype=np.float32)
    depth = np.full((24, 32), 0.5, np.float32)
    assert len(MIXTURES) == 16
    task = made_task("t", [Step("dark", {"gamma": (0.5, 0.5)}), Step("noise", {"sigma": (9, 9)})])
    dark = clean * (clean.max(2, keepdims=True) ** 2 / clean.max(2, keepdims=True))
    both = degrade(task, clean, depth, rng_for(0, "a", "t"))
    assert np.std(both - dark) == pytest.approx(9 / 255, rel=0.05)
    assert task.parts == ("dark", "noise")
    assert MIXTURES["haze+motion_blur+low_resolution"].parts == (
        "haze", "motion_blur", "low_resolution",
    )  # fmt: skip


def test_the_kernel_of_a_motion_has_its_angle_and_length() -> None:
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 1
    ranges = {"radius": (6.0, 6.0), "sigma": (99.0, 99.0), "angle": (30.0, 30.0)}
    task = made_task("t", [Step("motion_blur", ranges)])
    line = degrade(task, point, point[..., 0], rng_for(0, "a", "t"))[..., 0]
    assert line.sum() == pytest.approx(1, abs=1e-5)
    rows, columns = np.mgrid[-20:21, -20:21]
    moments = [(line * a * b).sum() for a, b in ((rows, rows), (rows, columns), (columns, columns))]
    angle = 0.5 * np.arctan2(2 * moments[1], moments[2] - moments[0])
    assert abs(np.rad2deg(angle)) == pytest.approx(30, abs=1)
    assert moments[0] + moments[2] == pytest.approx(14, rel=0.05)  # of 13 pixels in a row
