"""`selfcheck`: a value that differs is seen, and what is absent is listed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_metrics import Resolver, selfcheck
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.pictures import write_png
from e2r_metrics.catalog import metric_of
from e2r_metrics.selfcheck import Folder, Noise, Published


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """One published PSNR of two pictures of our own, 20 log10(85), and its folder."""
    clean = np.random.default_rng(0).integers(0, 200, (32, 32, 3)).astype(np.uint8)
    (tmp_path / "deep").mkdir()
    for name, image in (("a.png", clean + np.uint8(3)), ("b.png", clean)):
        write_png(tmp_path / "deep" / name, image)
    row = Published("psnr:rgb", "a.png", "b.png", 38.588, 0.001, "this test")
    hashes = {name: sha256_of(tmp_path / "deep" / name) for name in ("a.png", "b.png")}
    monkeypatch.setattr(selfcheck, "PUBLISHED", (row,))
    monkeypatch.setattr(selfcheck, "SHA256", hashes)
    return tmp_path, row


def _asked(folder, capsys):
    code = main(["selfcheck", "--pictures", str(folder), "--offline", "--json"])
    return code, json.loads(capsys.readouterr().out)[0]


def test_a_value_that_is_the_same_and_one_that_differs(planted, capsys, monkeypatch):
    folder, row = planted
    code, told = _asked(folder, capsys)
    assert (code, told["status"]) == (0, "same")
    monkeypatch.setattr(selfcheck, "PUBLISHED", (replace(row, value=38.60),))
    code, told = _asked(folder, capsys)
    assert (code, told["status"]) == (1, "differs")


def test_another_picture_of_the_name_is_not_taken_for_the_one_meant(planted, capsys):
    folder, _ = planted
    write_png(folder / "deep" / "a.png", np.zeros((32, 32, 3), np.uint8))
    code, told = _asked(folder, capsys)
    assert (code, told["status"], told["value"]) == (1, "no pictures", None)
    assert told["note"] == "a.png of this test"


def test_weights_that_are_absent_are_listed_with_how_to_get_them(planted, capsys, monkeypatch):
    folder, row = planted
    monkeypatch.setattr(selfcheck, "PUBLISHED", (row, replace(row, metric="cmmd:v")))
    monkeypatch.setenv("E2R_CACHE", str(folder / "cache"))
    assert main(["selfcheck", "--pictures", str(folder), "--offline"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("same: psnr:rgb of a.png against b.png: published 38.588")
    assert lines[1].startswith("no weights: cmmd:v")
    assert "weights fetch clip-vit-l-14-336" in lines[1]


def test_what_has_no_pictures_asks_for_no_weights(tmp_path, capsys, monkeypatch):
    files = [r for r in selfcheck.PUBLISHED if not isinstance(r.restored, Noise)]
    monkeypatch.setattr(selfcheck, "PUBLISHED", tuple(files))
    monkeypatch.setattr(Resolver, "find", lambda _, name: pytest.fail(f"{name} asked for"))
    assert main(["selfcheck", "--pictures", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert [line.partition(":")[0] for line in told.out.splitlines()] == ["no pictures"] * 7
    assert told.err == ""


@pytest.fixture
def sets(tmp_path, monkeypatch, session):
    """A published distance of two folders of three pictures, on weights that are here."""
    row = Published("fd_effnet:lite0", Folder("made", 3), Folder("true", 3), 0, 1e-6, "this test")
    metric = metric_of(row.metric)
    if gone := session.missing(metric):
        pytest.skip(gone.reason)
    images = {"made": Noise(100, 255, 3, 32).drawn(), "true": Noise(0, 200, 3, 32).drawn()}
    for name, drawn in images.items():
        for number, image in enumerate(drawn):
            write_png(tmp_path / "deep" / name / f"{number}.png", image)
    both = [session.features(metric.extractor, images[name]) for name in ("made", "true")]
    row = replace(row, value=session.set_value(metric, *both))
    monkeypatch.setattr(selfcheck, "PUBLISHED", (row,))
    return tmp_path, row


def test_sets_in_folders_and_sets_of_noise(sets, capsys, monkeypatch):
    folder, row = sets
    assert _asked(folder, capsys)[1]["status"] == "same"
    noise = replace(row, restored=Noise(100, 255, 3, 32), clean=Noise(0, 200, 3, 32))
    monkeypatch.setattr(selfcheck, "PUBLISHED", (noise,))
    code, told = _asked(folder, capsys)
    assert (code, told["status"]) == (0, "same")
    assert told["restored"] == "3 of noise from 100 to 254"


def test_a_set_that_differs_may_be_of_other_pictures(sets, capsys, monkeypatch):
    folder, row = sets
    monkeypatch.setattr(selfcheck, "PUBLISHED", (replace(row, value=row.value + 0.01),))
    assert main(["selfcheck", "--pictures", str(folder), "--offline"]) == 1
    line = capsys.readouterr().out
    assert line.startswith("differs: fd_effnet:lite0 of made/ (3 pictures) against true/")
    assert "known by their folders' names alone" in line
    (folder / "deep" / "made" / "0.png").unlink()
    code, told = _asked(folder, capsys)
    assert (code, told["status"]) == (1, "no pictures")


def test_noise_has_the_levels_of_its_publisher():
    images = np.array(Noise(100, 255, 4, 64).drawn())
    assert (images.shape, images.dtype) == ((4, 64, 64, 3), np.uint8)
    assert (images.min(), images.max()) == (100, 254)


@pytest.mark.data
def test_the_published_pictures_are_known(shared_data, session):
    checks = list(selfcheck.check_all(session, [shared_data]))
    assert "differs" not in {check.status for check in checks}
    known = [check for check in checks if isinstance(check.published.restored, str)]
    assert {check.status for check in known} <= {"same", "no weights"}
