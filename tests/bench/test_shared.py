"""Pictures that two sets of a run share are found, recorded and said; those that differ are not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data as photographs

from e2r_baselines.copies import Copy, find_copies
from e2r_bench.cli import main
from e2r_metrics.base.pictures import write_png

ON = ["--methods", "nlm", "--metrics", "psnr", "--device", "cpu", "--offline"]


def _crops(folder: Path, first: int, count: int) -> Path:
    """Write 64-pixel crops of a photograph, from the place `first` on: no two overlap."""
    photo = photographs.astronaut()
    for k in range(first, first + count):
        top, left = 64 * (k // 8), 64 * (k % 8)
        write_png(folder / f"{k:03}.png", photo[top : top + 64, left : left + 64])
    return folder


def test_copies_are_found_whatever_their_name_and_coding(tmp_path) -> None:
    first = sorted(_crops(tmp_path / "a", 0, 12).iterdir())
    pixels = cv2.imread(str(first[7]))
    other = _crops(tmp_path / "b", 20, 6)
    (other / "renamed.png").write_bytes(first[3].read_bytes())
    cv2.imwrite(str(other / "zrecoded.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    cv2.imwrite(str(other / "zlarger.png"), cv2.resize(pixels, (128, 128)))
    second = sorted(other.iterdir())
    assert [path.name for path in second[6:]] == ["renamed.png", "zlarger.png", "zrecoded.jpg"]
    assert find_copies(first, second) == [Copy(3, 6, True), Copy(7, 7, False), Copy(7, 8, False)]


def test_flat_pictures_of_other_levels_are_no_copies(tmp_path) -> None:
    for k, name in enumerate(("a.png", "b.png")):
        write_png(tmp_path / name, np.full((64, 64, 3), 60 + 40 * k, np.uint8))
    assert find_copies([tmp_path / "a.png"], [tmp_path / "b.png"]) == []


def _run(tmp_path: Path, *more: str) -> int:
    one, two = tmp_path / "one", tmp_path / "two"
    sets = f"denoise25={one},denoise15={one},dehaze={two}"
    return main(["run", *ON, "--tasks", "denoise25,denoise15,dehaze", "--data", sets, *more])


@pytest.fixture
def two_sets(tmp_path) -> Path:
    _crops(tmp_path / "one", 0, 6)
    _crops(tmp_path / "two", 4, 5)
    return tmp_path


def test_a_run_records_and_says_what_two_sets_share(two_sets, capsys) -> None:
    out = two_sets / "run"
    assert _run(two_sets, "--out", str(out)) == 0
    said = capsys.readouterr()
    line = "one and two share 2 pictures, named in run.json"
    assert (said.out + said.err).count(line) == 1
    shared = json.loads((out / "run.json").read_text())["shared"]
    assert [one["images"] for one in shared] == [["004", "004"], ["005", "005"]]
    assert all(one["sets"] == ["one", "two"] and one["identical"] for one in shared)
    before = (out / "run.json").read_bytes()
    assert _run(two_sets, "--out", str(out)) == 0
    assert (out / "run.json").read_bytes() == before


def test_shards_do_not_look_and_their_merge_does(two_sets, capsys) -> None:
    for part in ("1", "2"):
        out = two_sets / part
        assert _run(two_sets, "--shard", f"{part}/2", "--out", str(out)) == 0
        assert json.loads((out / "run.json").read_text())["shared"] == []
    assert "share" not in capsys.readouterr().err
    merge = ["merge", str(two_sets / "1"), str(two_sets / "2"), "--device", "cpu", "--offline"]
    for _ in range(2):  # again, as after a crash
        assert main([*merge, "--out", str(two_sets / "whole")]) == 0
        assert "one and two share 2 pictures" in capsys.readouterr().out
    assert len(json.loads((two_sets / "whole" / "run.json").read_text())["shared"]) == 2


def test_one_set_shares_nothing(two_sets, capsys) -> None:
    command = ["run", *ON, "--tasks", "denoise25,dehaze", "--data", str(two_sets / "one")]
    assert main([*command, "--out", str(two_sets / "run")]) == 0
    assert " share " not in capsys.readouterr().err
    assert json.loads((two_sets / "run" / "run.json").read_text())["shared"] == []


@pytest.mark.data
@pytest.mark.parametrize("side", [None, 128])
def test_cbsd68_and_rain100l_share_25(shared_data, tmp_path, side) -> None:
    """By their own files, and by the central crops that `--crop 128` makes."""
    folders = (shared_data / "cbsd68", shared_data / "rain100l" / "test" / "target")
    sets = [sorted(folder.glob("*.png")) for folder in folders]
    if side is not None:
        sets = [[_centre(path, tmp_path / str(k), side) for path in s] for k, s in enumerate(sets)]
    found = find_copies(*sets)
    assert len(found) == 25
    assert all(copy.identical for copy in found)


def _centre(path: Path, folder: Path, side: int) -> Path:
    pixels = cv2.imread(str(path))[..., ::-1]
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    write_png(
        folder / path.name, np.ascontiguousarray(pixels[top : top + side, left : left + side])
    )
    return folder / path.name
