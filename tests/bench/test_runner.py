"""The main job: what a run leaves behind, and that nothing changes it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import e2r_bench.plan
from e2r_baselines.method import Build, Draw
from e2r_bench.config import Experiment
from e2r_bench.restore import available_bytes
from e2r_bench.runner import run_experiment
from e2r_bench.runs import ROWS, Row, open_run, read_rows
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that must be the same whatever the order, the batch or an interruption."""
    kept = [p for p in folder.rglob("*") if p.suffix in (".png", ".csv", ".jsonl")]
    return {
        str(p.relative_to(folder)): p.read_bytes() for p in sorted(kept) if p.name != "timing.jsonl"
    }


def test_a_run_leaves_what_the_readme_says(experiment: Experiment) -> None:
    outcome = run_experiment(experiment, {"limit": 3})
    assert not outcome.failures
    run = open_run(experiment.out)
    assert run.info.passed == {"limit": 3}
    assert run.info.settings["protocol"] == "e2r"
    assert {"torch", "numpy"} <= run.info.versions.keys()
    assert set(run.info.methods) == {"degraded", "clean", "shaker"}
    assert run.draws("shaker") == tuple(Draw(s, n) for s in (0, 1) for n in (1, 4))
    assert run.draws("clean") == (Draw(0, 0),)
    rows = run.rows()
    # (4 draws + 2 controls) x 2 tasks x 3 images x 2 metrics
    assert len(rows) == 6 * 2 * 3 * 2
    assert set(rows.status) == {"ok"}
    assert not rows.duplicated(["method", "task", "image", "seed", "steps", "metric"]).any()
    for row in rows.itertuples():
        draw = Draw(row.seed, row.steps)
        assert run.restored_path(row.method, row.task, draw, row.image).is_file()


def test_rows_are_the_metric_of_the_picture_on_disk(experiment: Experiment) -> None:
    run = run_experiment(experiment).run
    rows = [r for r in read_rows(run.folder / ROWS) if r.method == "shaker" and r.metric == "psnr"]
    assert len(rows) == 4 * 2 * 3
    for row in rows:
        draw = Draw(row.seed, row.steps)
        restored = read_image(run.restored_path("shaker", row.task, draw, row.image))
        clean = read_image(run.clean_path(row.task, row.image))
        error = np.mean((restored.astype(float) - clean) ** 2)
        assert row.value == pytest.approx(10 * np.log10(255**2 / error), rel=1e-12)


def test_controls_are_what_they_say(experiment: Experiment) -> None:
    run = run_experiment(experiment).run
    for image in run.images("derain"):
        none = Draw(0, 0)
        fed = read_image(run.degraded_path("derain", image))
        assert np.array_equal(read_image(run.restored_path("degraded", "derain", none, image)), fed)
        truth = read_image(run.clean_path("derain", image))
        assert np.array_equal(read_image(run.restored_path("clean", "derain", none, image)), truth)
    rows = run.rows()
    assert np.isinf(rows[(rows.method == "clean") & (rows.metric == "psnr")].value).all()


def test_interrupted_the_same_command_gives_the_same_bytes(experiment: Experiment) -> None:
    run_experiment(experiment)
    whole = contents(experiment.out)
    pictures = sorted((experiment.out / "images" / "shaker").rglob("*.png"))
    for picture in pictures[::2]:
        picture.unlink()
    rows = experiment.out / ROWS
    rows.write_bytes(rows.read_bytes()[:-2000])
    (experiment.out / "summary.csv").unlink()
    run_experiment(experiment)
    assert contents(experiment.out) == whole


@pytest.mark.parametrize("change", [{"batch": 1}, {"batch": 2}, {"tasks": ("derain", "denoise25")}])
def test_batch_and_order_never_change_a_picture(
    experiment: Experiment, tmp_path: Path, change: dict[str, object]
) -> None:
    run_experiment(experiment)
    other = experiment.model_copy(update={**change, "out": tmp_path / "other"})
    run_experiment(other)
    one, two = contents(experiment.out), contents(other.out)
    assert {k: v for k, v in one.items() if k.endswith("png")} == {
        k: v for k, v in two.items() if k.endswith("png")
    }
    assert sorted(one[ROWS].splitlines()) == sorted(two[ROWS].splitlines())


def test_seeds_and_metrics_may_join_a_run_later(experiment: Experiment) -> None:
    first = experiment.model_copy(update={"seeds": (0,), "metrics": ("psnr",)})
    before = run_experiment(first).run.rows()
    run_experiment(experiment.model_copy(update={"seeds": (1,)}))
    # What the last call did not ask for is still there, in the rows and in the summary.
    run = run_experiment(first.model_copy(update={"metrics": ("ssim",)})).run
    after, summary = run.rows(), run.summary()
    assert len(after) > len(before)
    pd.testing.assert_frame_equal(after.iloc[: len(before)], before)
    shaker = summary[summary.method == "shaker"]
    assert {*zip(shaker.seed, shaker.metric, strict=True)} == {
        (seed, metric) for seed in (0, 1) for metric in ("psnr", "ssim")
    }
    assert set(shaker.n) == {3}


def test_what_no_call_asked_for_is_not_a_failure(experiment: Experiment) -> None:
    run_experiment(experiment.model_copy(update={"seeds": (0,), "metrics": ("psnr",)}))
    later = experiment.model_copy(update={"seeds": (1,), "metrics": ("ssim",)})
    summary = run_experiment(later).run.summary()
    psnr = summary[(summary.method == "shaker") & (summary.metric == "psnr")]
    assert dict(zip(psnr.seed, psnr.status, strict=False)) == {0: "ok", 1: "not measured"}
    assert psnr[psnr.seed == 1].note.str.endswith("no call of this run asked for it").all()


@pytest.mark.parametrize(
    "change", [{"protocol": "restormer"}, {"noise_seed": 1}, {"limit": 2}, {"prompt": "x"}]
)
def test_another_experiment_does_not_mix_in(
    experiment: Experiment, change: dict[str, object]
) -> None:
    run_experiment(experiment)
    with pytest.raises(
        UsageError, match=rf"another run .*{next(iter(change))}.*choose another --out"
    ):
        run_experiment(experiment.model_copy(update=change))


def test_another_build_does_not_mix_in(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_experiment(experiment)
    other = replace(e2r_bench.plan.METHODS["shaker"], builds=(Build("larger"),))
    monkeypatch.setattr(e2r_bench.plan, "METHODS", {**e2r_bench.plan.METHODS, "shaker": other})
    with pytest.raises(UsageError, match=r"another run \(shaker: shaker -> larger\)"):
        run_experiment(experiment)


@pytest.mark.parametrize("batch", [1, 3])
def test_an_image_that_fails_is_recorded_and_the_rest_goes_on(
    experiment: Experiment, shaker: object, batch: int
) -> None:
    image = "chelsea_022_030"
    shaker.fails_on = frozenset({image})
    outcome = run_experiment(experiment.model_copy(update={"batch": batch}))
    assert set(outcome.failures) == {("shaker", "denoise25", image), ("shaker", "derain", image)}
    rows = outcome.run.rows()
    failed = rows[rows.status == "failed"]
    assert set(failed.image) == {image}
    assert failed.note.str.contains("planted failure").all()
    assert failed.value.isna().all()
    summary = outcome.run.summary()
    assert set(summary[summary.method == "shaker"].n) == {2}
    assert summary[summary.method == "shaker"].note.str.contains("1 of 3 images failed").all()
    # Once mended, the same command fills the gap.
    shaker.fails_on = frozenset()
    mended = run_experiment(experiment).run
    assert set(mended.rows().status) == {"ok"}
    assert set(mended.summary().n) == {3}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shrinks", "expected (128, 128, 3)"),
        ("holes", "holds NaN or infinity"),
        ("forgets", "returned nothing for"),
    ],
)
def test_a_result_that_is_no_such_picture_is_a_failure(
    experiment: Experiment, shaker: object, fault: str, said: str
) -> None:
    setattr(shaker, fault, True)
    outcome = run_experiment(experiment)
    assert all(said in text for text in outcome.failures.values())
    assert len(outcome.failures) == 6


def test_a_picture_that_will_not_fit_is_said_before_anything_runs(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Alone the largest would just fit, four at once do not.
    hungry = replace(
        e2r_bench.plan.METHODS["shaker"],
        peak_bytes=lambda build, height, width: available_bytes("cpu") * height // 160,
    )
    methods = {**e2r_bench.plan.METHODS, "shaker": hungry}
    monkeypatch.setattr(e2r_bench.plan, "METHODS", methods)
    for name, height in (("a", 64), ("b", 96), ("c", 64)):
        write_png(tmp_path / "set" / f"{name}.png", np.full((height, 80, 3), 90, np.uint8))
    experiment = experiment.model_copy(update={"data": (str(tmp_path / "set"),)})
    with pytest.raises(
        UsageError, match=r"on b \(80x96, batch 4\) needs about .* GiB free; give --tile"
    ):
        run_experiment(experiment)
    assert not (experiment.out / "images" / "shaker").exists()
    # In tiles the estimate for whole pictures says nothing.
    run_experiment(experiment.model_copy(update={"tile": 64, "out": experiment.out / "tiled"}))


def test_summary_says_n_interval_and_protocol(experiment: Experiment) -> None:
    seven = {"limit": 7, "tasks": ("derain",), "seeds": (0,), "steps": (1,)}
    run = run_experiment(experiment.model_copy(update=seven)).run
    rows, summary = run.rows(), run.summary()
    line = summary[(summary.method == "shaker") & (summary.metric == "ssim")].iloc[0]
    assert (line.n, line.scenes) == (7, 5)
    mine = rows[(rows.method == "shaker") & (rows.metric == "ssim")]
    assert line.value == pytest.approx(mine.value.mean(), rel=1e-12)
    assert line.low < line.value < line.high
    assert "5 scenes" in line.interval
    assert line.protocol.startswith("e2r(")
    assert json.loads((experiment.out / "summary.json").read_text())[0]["metric"] == "psnr"


def test_rows_round_trip_with_infinity() -> None:
    row = Row(
        method="m", build="m", task="t", image="i", scene="s", seed=0, steps=0, metric="psnr",
        variant="rgb", value=float("inf"), status="ok", protocol="p",
    )  # fmt: skip
    line = row.model_dump_json()
    json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert Row.model_validate_json(line) == row


def test_open_run_says_what_a_folder_is_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a run folder"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="expected a run of e2r-bench"):
        open_run(tmp_path)
