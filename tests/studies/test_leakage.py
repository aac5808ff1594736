"""The leakage command: what it prints, what it writes, how it exits."""

import pandas as pd
import pytest
from PIL import Image
from skimage import data as photographs

from e2r_bench.cli import main
from e2r_bench.studies.leakage import Leaks, refuse_other_leaks, write_leaks
from e2r_metrics.base.files import unfinished_name


@pytest.fixture
def folders(tmp_path):
    for name, photos in (("train", ("coffee", "rocket")), ("test", ("astronaut",))):
        (tmp_path / name).mkdir()
        for photo in photos:
            Image.fromarray(getattr(photographs, photo)()).save(tmp_path / name / f"{photo}.png")
    return tmp_path


def test_a_clean_split_exits_with_zero(folders, capsys):
    assert main(["leakage", str(folders / "train"), str(folders / "test")]) == 0
    assert "0 of 1 test pictures (0.0%) stand among 2 training pictures" in capsys.readouterr().out


def test_a_leak_is_named_written_and_exits_with_one(folders, capsys):
    Image.fromarray(photographs.coffee()[60:260, 90:300]).save(folders / "test" / "part.png")
    command = ["leakage", str(folders / "train"), str(folders / "test"), "--out", str(folders)]
    assert main(command) == 1
    said = capsys.readouterr().out
    assert "crop: part.png is in coffee.png" in said
    assert "1 of 2 test pictures (50.0%)" in said
    assert pd.read_csv(folders / "leakage.csv").kind.tolist() == ["crop"]


def test_an_empty_folder_is_one_line(folders, capsys):
    (folders / "none").mkdir()
    assert main(["leakage", str(folders / "none"), str(folders / "test")]) == 2
    assert "expected a folder with pictures, found none" in capsys.readouterr().err


def test_what_a_killed_writer_left_is_removed(tmp_path):
    left = tmp_path / unfinished_name("leakage.csv")
    left.write_text("half")
    refuse_other_leaks(tmp_path)
    write_leaks(Leaks(tmp_path, tmp_path, 1, 1, ()), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["leakage.csv"]
