"""`e2r-bench maps` on a run folder."""

import json

import cv2
import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.maps.compute import SCALES
from e2r_bench.maps.shares import SHARES
from e2r_bench.maps.trust import split_scenes, too_few, trust_masks
from e2r_bench.maps.write import (
    Wanted,
    arrays_path,
    picture_path,
    read_arrays,
    read_map_rows,
    sheet_path,
    write_maps,
)
from e2r_bench.report.cases import cases_of, unmeasured
from e2r_bench.report.page import write_report
from e2r_bench.store.cell import Cell
from e2r_bench.store.info import Row
from e2r_bench.store.names import cell_of
from e2r_bench.store.rows import read_rows
from e2r_bench.store.store import Store
from e2r_metrics.base.pictures import write_png


def quiet(stage: str, done: int, total: int) -> None:
    del stage, done, total


@pytest.fixture
def mapped(run_copy: Store) -> tuple[Store, tuple[Cell, ...]]:
    wanted = Wanted(tasks=("denoise25",))
    return run_copy, write_maps(run_copy, wanted, None, quiet).cells


def test_files_rows_and_report(mapped: tuple[Store, tuple[Cell, ...]]) -> None:
    run, cells = mapped
    assert {(cell.method, cell.image) for cell in cells} == {
        (method, f"photo{k}") for method in ("kontext_lora", "promptir") for k in range(6)
    }
    cell = next(p for p in cells if p.method == "kontext_lora")
    arrays = read_arrays(run, cell)
    # Two seeds give a deviation; the index needs three, and says nothing with two.
    # Nothing moved, so there is nothing to align.
    moved = {"lost_aligned", "invented_aligned"}
    expected = set(SCALES) - {"lpips", "unexplained", "hallucination", "trusted"} - moved
    assert set(arrays) == expected
    for name, values in arrays.items():
        assert values.shape == (128, 128)
        picture = cv2.imread(str(picture_path(run, cell, name)))
        assert picture.shape[1] == 128
        assert picture.shape[0] > 128, "the scale stands below the map"
    sheet = cv2.imread(str(sheet_path(run, cell)))
    assert sheet.shape[0] * sheet.shape[1] > (len(arrays) + 3) * 256 * 256
    rows = [row for row in read_rows(run.folder / "maps/per_image.jsonl") if row.metric == "lost"]
    assert len(rows) == 12
    assert rows[0].build == "kontext-nano"
    assert rows[0].protocol.startswith(run.info.protocol)
    assert not (run.folder / "per_image.jsonl").read_text("utf-8").count('"variant":"map"')
    page = write_report(run).read_text(encoding="utf-8")
    assert '"inconsistency"' in page
    assert '"seed_deviation"' in page


def test_trust_masks_are_calibrated_on_other_scenes(
    mapped: tuple[Store, tuple[Cell, ...]],
) -> None:
    run, cells = mapped
    found = trust_masks(run, cells, bound=8.0, level=0.3, score=None)
    told = json.loads((run.folder / "maps" / "trust.json").read_text("utf-8"))
    assert [one["method"] for one in told] == ["kontext_lora", "promptir"]
    for one in found:
        assert one.score == "texture"
        assert not set(one.calibration) & set(one.tested)
        assert len(one.calibration) == len(one.tested) == 3
        assert "at least 0.7" in one.statement
        for cell in cells:
            drawn = picture_path(run, cell, "trusted").is_file()
            assert cell.method != one.method or drawn is (cell.image in one.tested)


def test_a_level_too_strict_for_the_scenes_trusts_nothing(
    mapped: tuple[Store, tuple[Cell, ...]],
) -> None:
    run, cells = mapped
    (early,) = too_few(run, ["denoise25"], 0.05)
    assert "level 0.05 needs 19 calibration scenes, half of 6 are 3; give 38 scenes" in early
    assert "a --level of at least 0.25" in early
    assert not list(too_few(run, ["denoise25"], 0.25))
    assert list(too_few(run, ["denoise25"], 0.24))
    (one, _) = trust_masks(run, cells, bound=8.0, level=0.05, score=None)
    assert "calibrated on 3 scenes of " in one.line()
    assert "build kontext-nano, by texture; 0.0% of the pixels of 3 held-out" in one.line()
    assert "needs at least 19 calibration scenes, found 3" in one.statement
    assert one.trusted_share == 0
    assert one.threshold is None


def test_halves_do_not_depend_on_order() -> None:
    scenes = [f"s{k}" for k in range(9)]
    assert split_scenes(scenes, "m/t") == split_scenes(scenes[::-1] + scenes, "m/t")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--maps", "inventd"], "unknown map 'inventd': did you mean 'invented'?"),
        (["--methods", "promptr"], "did you mean 'promptir'?"),
        (["--tasks", "derain"], "unknown task of this run 'derain'"),
        (["--maps", "lost", "--bound", "3"], "has no maps 'texture' and 'ciede2000'"),
    ],
)
def test_mistakes_are_one_line(
    run_copy: Store, capsys: pytest.CaptureFixture, arguments: list[str], said: str
) -> None:
    limited = [] if "--tasks" in arguments else ["--tasks", "denoise25"]
    code = main(["maps", str(run_copy.folder), "--limit", "1", *limited, *arguments])
    assert code == 2
    assert said in capsys.readouterr().err


def test_maps_of_the_truth_are_empty(run_copy: Store) -> None:
    wanted = Wanted(methods=("clean",), tasks=("denoise25",), maps=("lost", "invented"), limit=1)
    (cell,) = write_maps(run_copy, wanted, None, quiet).cells
    arrays = read_arrays(run_copy, cell)
    assert set(arrays) == {"lost", "invented"}
    assert all(float(np.abs(values).max()) == 0 for values in arrays.values())


def test_maps_of_other_pictures_keep_their_scores(mapped: tuple[Store, tuple[Cell, ...]]) -> None:
    run, cells = mapped
    wanted = Wanted(methods=("promptir",), tasks=("denoise50",), maps=("lost",), limit=2)
    write_maps(run, wanted, None, quiet)
    rows = read_map_rows(run).all
    assert {cell_of(row) for row in rows} > set(cells)
    assert len({cell_of(row) for row in rows}) == len(cells) + 2
    order = [cell for cell in run.cells() if any(cell_of(row) == cell for row in rows)]
    assert list(dict.fromkeys(cell_of(row) for row in rows)) == order
    # Pictures that were made anew lose their maps, and their scores with them.
    run.drop(lambda cell: cell == cells[0])
    assert cells[0] not in {case.cell for case in cases_of("", run)}
    write_maps(run, wanted, None, quiet)
    assert cells[0] not in {cell_of(row) for row in read_map_rows(run).all}


def test_scores_of_maps_that_are_gone_are_not_shown(
    mapped: tuple[Store, tuple[Cell, ...]],
) -> None:
    run, cells = mapped
    arrays_path(run, cells[0]).unlink()
    scores = {case.cell: case.scores for case in cases_of("", run)}
    assert "invented" in scores[cells[1]]
    assert "invented" not in scores[cells[0]]
    assert "psnr:rgb" in scores[cells[0]]


def test_shares_that_the_run_measured_are_shown_once() -> None:
    mapped = {"invented_share": 2.0, "lost": 3.0}
    assert unmeasured(mapped, {"psnr:rgb": 30.0}) == mapped
    assert unmeasured(mapped, {"invented_share:bands": 2.0}) == {"lost": 3.0}


def test_a_case_lists_each_share_once(mapped: tuple[Store, tuple[Cell, ...]]) -> None:
    run, cells = mapped
    key = "invented_share:bands"
    tasks = {
        name: task.model_copy(update={"variants": {**task.variants, "invented_share": "bands"}})
        for name, task in run.info.tasks.items()
    }
    metrics = {**run.info.metrics, key: SHARES[key]}
    told = run.info.model_copy(update={"tasks": tasks, "metrics": metrics})
    with_shares = Store(run.folder, told)
    share = Row(
        method=cells[0].method, build="b", task=cells[0].task, image=cells[0].image, scene="s",
        seed=cells[0].draw.seed, steps=cells[0].draw.steps, metric="invented_share",
        variant="bands", value=1.0, status="ok", protocol="p",
    )  # fmt: skip
    with_shares.put_rows([share])
    scores = {case.cell: case.scores for case in cases_of("", with_shares)}
    assert key in scores[cells[0]]
    assert "invented_share" not in scores[cells[0]]
    assert "invented_share" in scores[cells[1]]


def test_a_picture_that_cannot_be_mapped_is_named_and_the_rest_goes_on(
    run_copy: Store, capsys: pytest.CaptureFixture
) -> None:
    write_png(run_copy.clean_path("denoise25", "photo1"), np.zeros((9, 9, 3), np.uint8))
    code = main(["maps", str(run_copy.folder), "--tasks", "denoise25", "--maps", "lost,invented"])
    said = capsys.readouterr()
    assert code == 1
    assert "10 pictures" in said.out
    for method in ("promptir", "kontext_lora"):
        assert f"failed: {method} on denoise25/photo1" in said.err
    assert "expected two (H, W, 3) uint8 pictures of one size" in said.err
