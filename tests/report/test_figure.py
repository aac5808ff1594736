"""`report --figure`: the crops of a paper's figure, from the files of the run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.cli import main
from e2r_bench.report.figure import parse_case, write_figure
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image

CASE = "denoise25/promptir/photo1"


def test_command_writes_png_and_pdf(run_copy: Store, capsys: pytest.CaptureFixture) -> None:
    folder = str(run_copy.folder)
    (run_copy.folder / "report.html").unlink(missing_ok=True)
    assert main(["report", folder, "--figure", CASE, "--crop", "30,40,32,16"]) == 0
    paths = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.name for path in paths] == ["denoise25_photo1.png", "denoise25_photo1.pdf"]
    assert paths[1].read_bytes().startswith(b"%PDF")
    assert not (run_copy.folder / "report.html").exists()


def test_crops_are_the_pixels_of_the_files(run_copy: Store) -> None:
    wanted = parse_case(CASE, run_copy)
    picture, _ = write_figure(run_copy, [wanted], [(30, 40, 8, 4)])
    sheet = read_image(picture)
    crop = read_image(run_copy.path(Cell("promptir", "denoise25", Draw(0, 0), "photo1")))
    crop = crop[40:44, 30:38]
    # Every pixel of the crop is a block of its own colour, enlarged without interpolation.
    found = {tuple(colour) for colour in sheet.reshape(-1, 3)}
    assert {tuple(colour) for colour in crop.reshape(-1, 3)} <= found
    counts = [int((sheet == colour).all(axis=2).sum()) for colour in crop.reshape(-1, 3)[:8]]
    assert min(counts) > 500
    # A quarter of the crop's blocks have no edge beside them: they stand in one piece.
    mask = (sheet == crop[2, 4]).all(axis=2).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(mask)
    assert boxes[1:, cv2.CC_STAT_AREA].max() > 500


def test_the_same_bytes_again(run_copy: Store) -> None:
    wanted = [parse_case(CASE, run_copy), parse_case("denoise50/promptir/photo2", run_copy)]
    first = [path.read_bytes() for path in write_figure(run_copy, wanted, [(0, 0, 16, 16)])]
    assert [path.read_bytes() for path in write_figure(run_copy, wanted, [(0, 0, 16, 16)])] == first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--figure", "denoise25/promptir"], "expected TASK/METHOD/IMAGE"),
        (["--figure", "denoise25/promptr/photo1"], "promptir"),
        (["--figure", "denoise25/promptir/photo9"], "photo1"),
        (["--figure", CASE, "--crop", "100,0,64,8"], "inside 128 x 128 pixels"),
        (["--figure", CASE, "--crop", "1,2,3"], "expected x,y,w,h"),
        (["--figure", CASE, "--crop", "0,0,0,4"], "inside 128 x 128 pixels"),
        (["--crop", "0,0,8,8"], "expected --figure"),
    ],
)
def test_what_is_not_there_is_one_line(
    run_copy: Store, arguments: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["report", str(run_copy.folder), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (run_copy.folder / "figures").exists()


def test_names_of_any_kind_are_text(build_run: Callable, tmp_path: Path) -> None:
    method, image = "folder:a/$b^2$", "100% <i> $\\frac{1}{"
    spec = replace(
        build_run.plain, methods={method: ("x", False, 9.0)}, images=[image], size=(32, 32)
    )
    run = build_run(tmp_path / "run", spec)
    case = "/".join(quote(part, safe="") for part in ("denoise25", method, image))
    wanted = parse_case(f"#{case}", run)
    assert (wanted.method, wanted.image) == (method, image)
    assert all(path.is_file() for path in write_figure(run, [wanted], []))


def test_a_missing_picture_is_named(run_copy: Store) -> None:
    run_copy.path(Cell("promptir", "denoise25", Draw(0, 0), "photo1")).unlink()
    with pytest.raises(Exception, match=r"photo1\.png"):
        write_figure(run_copy, [parse_case(CASE, run_copy)], [])
    with pytest.raises(UsageError, match="expected TASK"):
        parse_case("photo1", run_copy)
