"""`selfcheck`: a value that differs is seen, and what is absent is listed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_metrics import selfcheck
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.pictures import write_png
from e2r_metrics.selfcheck import Published


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


@pytest.mark.data
def test_the_published_pictures_are_known(shared_data, session):
    checks = list(selfcheck.check_all(session, [shared_data]))
    assert {check.status for check in checks} <= {"same", "no weights"}
