"""The main job: what a run leaves behind, and that nothing changes it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from e2r_baselines.method import Build, Draw, Photo, Restored, fixed
from e2r_baselines.tasks import Task
from e2r_bench.maps.bands import band_split
from e2r_bench.maps.shares import SHARES
from e2r_bench.run.config import Experiment
from e2r_bench.run.mini import NAME
from e2r_bench.run.plan import Catalog
from e2r_bench.run.runner import Outcome
from e2r_bench.run.worker import available_bytes
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import Row
from e2r_bench.store.names import cell_of, path_name
from e2r_bench.store.store import ROWS, open_store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png

Run = Callable[..., Outcome]
SHARE_NAMES = [info.name for info in SHARES.values()]


def contents(folder: Path) -> dict[str, bytes]:
    """Everything that must be the same whatever the order, the batch or an interruption."""
    kept = [p for p in folder.rglob("*") if p.suffix in (".png", ".csv", ".jsonl")]
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(kept)
        if p.name not in ("timing.jsonl", "costs.json")
    }


def test_a_run_leaves_what_the_readme_says(experiment: Experiment, run: Run) -> None:
    outcome = run(experiment, {"limit": 3})
    assert not outcome.failures
    store = open_store(experiment.out)
    assert store.info.passed == {"limit": 3}
    assert store.info.settings["protocol"] == "e2r"
    assert {"torch", "numpy"} <= store.info.versions.keys()
    assert set(store.info.methods) == {"degraded", "clean", "shaker"}
    assert store.draws("shaker") == tuple(Draw(s, n) for s in (0, 1) for n in (1, 4))
    assert store.draws("clean") == (Draw(0, 0),)
    rows = store.frame()
    # (4 draws + 2 controls) x 2 tasks x 3 images x (2 metrics + 3 shares)
    assert len(rows) == 6 * 2 * 3 * (2 + 3)
    assert set(rows.status) == {"ok"}
    assert not rows.duplicated(["method", "task", "image", "seed", "steps", "metric"]).any()
    assert all(store.has(cell_of(row)) for row in store.rows().all)
    assert len(list(store.timings())) == 6 * 2 * 3


def test_the_stage_that_is_shown_is_the_one_that_is_done(
    experiment: Experiment, run: Run, shaker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, seen, restore = [""], list[tuple[str, str]](), shaker.restore

    def watched(photos: Sequence[Photo], task: Task, draws: Sequence[Draw]) -> Iterator[Restored]:
        seen.append((shown[-1], f"shaker {task.name}"))
        return restore(photos, task, draws)

    monkeypatch.setattr(shaker, "restore", watched)
    run(experiment, watch=lambda stage, done, total: shown.append(stage))
    assert [one for one, _ in seen] == [other for _, other in seen]
    assert {one for one, _ in seen} == {"shaker denoise25", "shaker derain"}


def test_rows_are_the_metric_of_the_picture_on_disk(experiment: Experiment, run: Run) -> None:
    store = run(experiment).store
    rows = [r for r in store.rows().all if r.method == "shaker" and r.metric == "psnr"]
    assert len(rows) == 4 * 2 * 3
    for row in rows:
        restored = read_image(store.path(cell_of(row)))
        clean = read_image(store.clean_path(row.task, row.image))
        error = np.mean((restored.astype(float) - clean) ** 2)
        assert row.value == pytest.approx(10 * np.log10(255**2 / error), rel=1e-12)


def test_shares_are_measured_with_the_run_and_stand_in_its_summary(
    experiment: Experiment, run: Run
) -> None:
    store = run(experiment.model_copy(update={"metrics": ("psnr",)})).store
    rows = [row for row in store.rows().all if row.metric == "invented_share"]
    assert len(rows) == 6 * 2 * 3
    for row in rows[::5]:
        pictures = (store.path(cell_of(row)), store.clean_path(row.task, row.image))
        expected = band_split(*map(read_image, pictures)).scores()["invented_share"]
        assert row.value == expected
    summary = store.summary().set_index(["method", "task", "metric"])
    told = summary.loc[("shaker", "derain", "invented_share")]
    assert (told.n == 3).all()
    assert (told.unit == "% of pixels").all()
    assert (told.low < told.value).all()
    assert (told.value < told.high).all()
    # The truth itself invents nothing, loses nothing and is off nowhere.
    for name in SHARE_NAMES:
        assert (summary.loc[("clean", "derain", name)].value == 0).all()


def test_a_picture_too_small_for_shares_is_named_and_keeps_its_other_numbers(
    experiment: Experiment, run: Run, tmp_path: Path
) -> None:
    sides = {"a": 64, "b": 64, "c": 12}
    for name, side in sides.items():
        write_png(tmp_path / "set" / f"{name}.png", np.full((side, side, 3), 90, np.uint8))
    only = {"data": (str(tmp_path / "set"),), "tasks": ("denoise25",), "metrics": ("psnr",)}
    outcome = run(experiment.model_copy(update=only))
    assert {cell.image for cell in outcome.failures} == {"c"}
    assert all("sides of at least 16" in reason for reason in outcome.failures.values())
    frame = outcome.store.frame()
    assert set(frame[frame.metric == "psnr"].status) == {"ok"}


def test_controls_are_what_they_say(experiment: Experiment, run: Run) -> None:
    store = run(experiment).store
    none = Draw(0, 0)
    for image in store.images("derain"):
        fed = read_image(store.degraded_path("derain", image))
        kept = read_image(store.path(Cell("degraded", "derain", none, image)))
        assert np.array_equal(kept, fed)
        truth = read_image(store.clean_path("derain", image))
        kept = read_image(store.path(Cell("clean", "derain", none, image)))
        assert np.array_equal(kept, truth)
    rows = store.frame()
    assert np.isinf(rows[(rows.method == "clean") & (rows.metric == "psnr")].value).all()


def test_interrupted_the_same_command_gives_the_same_bytes(
    experiment: Experiment, run: Run
) -> None:
    run(experiment)
    whole = contents(experiment.out)
    pictures = sorted((experiment.out / "images" / "shaker").rglob("*.png"))
    for picture in pictures[::2]:
        picture.unlink()
    rows = experiment.out / ROWS
    rows.write_bytes(rows.read_bytes()[:-2000])
    (experiment.out / "summary.csv").unlink()
    run(experiment)
    assert contents(experiment.out) == whole


@pytest.mark.parametrize("change", [{"batch": 1}, {"batch": 2}, {"tasks": ("derain", "denoise25")}])
def test_batch_and_order_never_change_a_picture(
    experiment: Experiment, run: Run, tmp_path: Path, change: dict[str, object]
) -> None:
    run(experiment)
    other = experiment.model_copy(update={**change, "out": tmp_path / "other"})
    run(other)
    one, two = contents(experiment.out), contents(other.out)
    assert {k: v for k, v in one.items() if k.endswith("png")} == {
        k: v for k, v in two.items() if k.endswith("png")
    }
    assert sorted(one[ROWS].splitlines()) == sorted(two[ROWS].splitlines())


def test_a_subset_first_and_the_rest_later_is_the_whole_byte_for_byte(
    experiment: Experiment, run: Run, tmp_path: Path
) -> None:
    run(experiment)
    other = experiment.model_copy(update={"out": tmp_path / "other"})
    parts = {"tasks": ("derain",), "seeds": (1,), "steps": (4,), "metrics": ("ssim",)}
    run(other.model_copy(update=parts))
    run(other)
    assert contents(other.out) == contents(experiment.out)


def test_seeds_and_metrics_may_join_a_run_later(experiment: Experiment, run: Run) -> None:
    first = experiment.model_copy(update={"seeds": (0,), "metrics": ("psnr",)})
    before = run(first).store.frame()
    run(experiment.model_copy(update={"seeds": (1,)}))
    # What the last call did not ask for is still there, in the rows and in the summary.
    store = run(first.model_copy(update={"metrics": ("ssim",)})).store
    after, summary = store.frame(), store.summary()
    assert len(after) > len(before)
    joined = before.merge(after, how="left", indicator=True)
    assert (joined._merge == "both").all()
    shaker = summary[summary.method == "shaker"]
    assert {*zip(shaker.seed, shaker.metric, strict=True)} == {
        (seed, metric) for seed in (0, 1) for metric in ("psnr", "ssim", *SHARE_NAMES)
    }
    assert set(shaker.n) == {3}


def test_what_no_call_asked_for_is_not_a_failure(experiment: Experiment, run: Run) -> None:
    run(experiment.model_copy(update={"seeds": (0,), "metrics": ("psnr",)}))
    later = experiment.model_copy(update={"seeds": (1,), "metrics": ("ssim",)})
    summary = run(later).store.summary()
    psnr = summary[(summary.method == "shaker") & (summary.metric == "psnr")]
    assert dict(zip(psnr.seed, psnr.status, strict=False)) == {0: "ok", 1: "not measured"}
    assert psnr[psnr.seed == 1].note.str.endswith("no call of this run asked for it").all()


@pytest.mark.parametrize(
    "change", [{"protocol": "restormer"}, {"noise_seed": 1}, {"limit": 2}, {"prompt": "x"}]
)
def test_another_experiment_does_not_mix_in(
    experiment: Experiment, run: Run, change: dict[str, object]
) -> None:
    run(experiment)
    with pytest.raises(
        UsageError, match=rf"another run .*{next(iter(change))}.*choose another --out"
    ):
        run(experiment.model_copy(update=change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"builds": (Build("larger"),)}, "build shaker -> larger"),
        ({"version": "their-package 2"}, "version  -> their-package 2"),
    ],
)
def test_another_build_or_plugin_is_refused_and_redone_when_asked(
    experiment: Experiment, run: Run, catalog: Catalog, change: dict[str, object], said: str
) -> None:
    run(experiment)
    other = {**catalog, "shaker": fixed(replace(catalog["shaker"].make(None), **change))}
    with pytest.raises(UsageError, match=f"other inputs: shaker: .*{said}; give --redo"):
        run(experiment, methods=other)
    rows = run(experiment, methods=other, redo=True).store.frame()
    builds = {"larger"} if "builds" in change else {"shaker"}
    assert set(rows[rows.method == "shaker"].build) == builds
    assert set(rows.status) == {"ok"}


@pytest.mark.parametrize("batch", [1, 3])
def test_an_image_that_fails_is_recorded_and_the_rest_goes_on(
    experiment: Experiment, run: Run, shaker: object, batch: int
) -> None:
    image = "chelsea_022_160"
    shaker.fails_on = frozenset({image})
    outcome = run(experiment.model_copy(update={"batch": batch}))
    assert {(c.method, c.task, c.image) for c in outcome.failures} == {
        ("shaker", "denoise25", image),
        ("shaker", "derain", image),
    }
    assert len(outcome.failures) == 2 * 4
    rows = outcome.store.frame()
    failed = rows[rows.status == "failed"]
    assert set(failed.image) == {image}
    assert failed.note.str.contains("planted failure").all()
    assert failed.value.isna().all()
    summary = outcome.store.summary()
    assert set(summary[summary.method == "shaker"].n) == {2}
    assert summary[summary.method == "shaker"].note.str.contains("1 of 3 images failed").all()
    # Once mended, the same command fills the gap.
    shaker.fails_on = frozenset()
    mended = run(experiment)
    assert not mended.failures
    assert set(mended.store.frame().status) == {"ok"}
    assert set(mended.store.summary().n) == {3}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("shrinks", "expected (128, 128, 3)"),
        ("holes", "holds NaN or infinity"),
        ("forgets", "returned nothing for it"),
        ("of255", "looks like 0.."),
        ("leaves", "SystemExit: 0"),
    ],
)
def test_a_result_that_is_no_such_picture_is_a_failure(
    experiment: Experiment, run: Run, shaker: object, fault: str, said: str
) -> None:
    setattr(shaker, fault, True)
    outcome = run(experiment)
    assert all(said in text for text in outcome.failures.values())
    forgotten = 1 if fault == "forgets" else 4
    assert len(outcome.failures) == 2 * 3 * forgotten


def test_a_picture_that_will_not_fit_is_recorded_and_the_rest_goes_on(
    experiment: Experiment, run: Run, catalog: Catalog, tmp_path: Path
) -> None:
    # Alone the largest would just fit, four at once do not.
    def hungry(build: Build, height: int, width: int) -> int:
        return available_bytes("cpu") * height // 160

    spec = replace(catalog["shaker"].make(None), peak_bytes=hungry)
    methods = {**catalog, "shaker": fixed(spec)}
    for name, height in (("a", 16), ("b", 96), ("c", 16)):
        write_png(tmp_path / "set" / f"{name}.png", np.full((height, 80, 3), 90, np.uint8))
    experiment = experiment.model_copy(
        update={"data": (str(tmp_path / "set"),), "metrics": ("psnr",)}
    )
    outcome = run(experiment, methods=methods)
    assert {cell.image for cell in outcome.failures} == {"b"}
    assert all("80x96, batch 4: " in note for note in outcome.failures.values())
    # In tiles the estimate for whole pictures says nothing.
    tiled = experiment.model_copy(update={"tile": 64, "out": experiment.out / "tiled"})
    assert not run(tiled, methods=methods).failures


def test_summary_says_n_interval_and_protocol(experiment: Experiment, run: Run) -> None:
    # Two more images than scenes.
    thirteen = {"limit": 13, "tasks": ("derain",), "seeds": (0,), "steps": (1,)}
    store = run(experiment.model_copy(update=thirteen)).store
    rows, summary = store.frame(), store.summary()
    line = summary[(summary.method == "shaker") & (summary.metric == "ssim")].iloc[0]
    assert (line.n, line.scenes) == (13, 11)
    mine = rows[(rows.method == "shaker") & (rows.metric == "ssim")]
    assert line.value == pytest.approx(mine.value.mean(), rel=1e-12)
    assert line.low < line.value < line.high
    assert "11 scenes" in line.interval
    assert line.data == NAME
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


def test_open_store_says_what_a_folder_is_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a run folder"):
        open_store(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="expected a run of this version of e2r-bench"):
        open_store(tmp_path)


def test_repeated_and_torn_rows_are_found_by_their_line(experiment: Experiment, run: Run) -> None:
    store = run(experiment).store
    path = experiment.out / ROWS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[4]]))
    with pytest.raises(UsageError, match=rf"line {len(lines) + 1}: expected one row for each"):
        store.rows()
    path.write_text("".join([*lines[:7], lines[7][:40] + "\n", *lines[8:]]))
    with pytest.raises(UsageError, match=r"line 8: expected a row .*delete the line"):
        store.rows()
    path.write_text("".join(lines[:9]) + lines[9][:40])
    assert len(store.rows().all) == 9


def test_rows_of_another_metric_or_of_no_cell_are_not_averaged(
    experiment: Experiment, run: Run
) -> None:
    store = run(experiment).store
    path, whole = experiment.out / ROWS, contents(experiment.out)
    rows = list(store.rows().all)
    rows[5] = rows[5].model_copy(update={"value": 99.0, "protocol": "another definition"})
    rows[8] = rows[8].model_copy(update={"image": "nobody"})
    path.write_text("".join(row.model_dump_json() + "\n" for row in rows))
    run(experiment)
    assert contents(experiment.out) == whole


def test_names_of_methods_never_share_a_folder() -> None:
    names = ["folder:a/b", "folder:a_b", "command:x -y", "command:x_-y", "a", "x" * 300, "x" * 301]
    folders = [path_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert max(map(len, folders)) < 200
    assert not any("/" in folder for folder in folders)


def test_values_of_a_large_run_are_found_without_reading_it_again(
    experiment: Experiment, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = run(experiment).store
    store.rows()
    monkeypatch.setattr(
        "e2r_bench.store.rows.read_rows", lambda path: pytest.fail(f"{path} read again")
    )
    for draw in store.draws("shaker"):
        assert len(store.values("shaker", "derain", draw, "psnr:rgb")) == 3
    frame = pd.DataFrame([row.model_dump() for row in store.rows().all])
    pd.testing.assert_frame_equal(frame, store.frame())
