"""Crop, border, channel and range of a run are those of `score`, and stand in every row."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2r_bench.cli import main
from e2r_bench.run.config import Experiment, make_experiment
from e2r_bench.run.protocols import protocol_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png
from e2r_metrics.view import View, parse_crop


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    for k in range(2):
        levels = np.random.default_rng(k).integers(40, 200, (9, 9, 3))
        grown = levels.repeat(8, 0).repeat(8, 1)[:67, :70]
        write_png(tmp_path / "clean" / f"p{k}.png", grown.astype(np.uint8))
    return tmp_path / "clean"


def run(clean: Path, out: Path, *more: str) -> int:
    return main(["run", "--methods", "degraded", "--tasks", "denoise25", "--data", str(clean),
                 "--out", str(out), "--offline", *more])  # fmt: skip


def rows_of(out: Path, metric: str) -> list[dict]:
    rows = [json.loads(line) for line in (out / "per_image.jsonl").read_text().splitlines()]
    return [row for row in rows if row["metric"] == metric and row["method"] == "degraded"]


def test_a_run_scores_what_score_scores(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, parts = tmp_path / "run", ("--channel", "y", "--shave", "5")
    metrics = ("--metrics", "psnr,ssim")
    assert run(clean, out, *metrics, *parts, "--crop", "x16") == 0
    capsys.readouterr()
    pairs = out / "pairs" / "denoise25"
    assert read_image(pairs / "clean" / "p0.png").shape == (64, 64, 3)
    folders = [str(pairs / name) for name in ("degraded", "clean")]
    assert main(["score", *folders, *metrics, *parts, "--format", "json"]) == 0
    scored = json.loads(capsys.readouterr().out)["values"]
    for metric in ("psnr", "ssim"):
        ours = {row["image"]: row["value"] for row in rows_of(out, metric)}
        assert ours == {row["image"]: row["value"] for row in scored if row["metric"] == metric}
        assert len(ours) == 2
    (first, _) = rows_of(out, "psnr")
    assert first["variant"] == "y"
    assert first["protocol"].startswith(
        "e2r(crop=centre-x16,noise=per-image,rounding=round,shave=5)"
    )
    # The border matters: a run without it has other numbers.
    bare = tmp_path / "bare"
    assert run(clean, bare, *metrics, "--channel", "y", "--crop", "x16") == 0
    assert rows_of(bare, "psnr")[0]["value"] != first["value"]
    assert "shave" not in rows_of(bare, "psnr")[0]["protocol"]


def test_another_border_is_another_run(
    clean: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(clean, tmp_path / "run", "--metrics", "psnr", "--shave", "2") == 0
    assert run(clean, tmp_path / "run", "--metrics", "psnr", "--shave", "3") == 2
    assert "shave: 2 -> 3" in capsys.readouterr().err


def test_a_picture_that_is_all_border_fails_by_name(clean: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(clean, out, "--metrics", "psnr", "--shave", "40") == 1
    for row in rows_of(out, "psnr"):
        assert row["status"] == "failed"
        assert "expected at least 81 pixels a side for --shave 40" in row["note"]


@given(side=st.integers(1, 10**6))
def test_both_spellings_of_a_crop_are_read(side: int) -> None:
    assert parse_crop(str(side)) == parse_crop(side) == (side, 1)
    assert parse_crop(f"x{side}") == (None, side)


@given(text=st.text(max_size=6))
def test_anything_else_is_refused_in_one_line(text: str) -> None:
    digits = text.removeprefix("x")
    if digits.isascii() and digits.isdigit() and int(digits):
        return
    with pytest.raises(UsageError, match="squares of N pixels, or xN"):
        parse_crop(text)


@given(height=st.integers(1, 300), width=st.integers(1, 300), side=st.integers(1, 300))
def test_squares_are_central_and_small_pictures_refused(height: int, width: int, side: int) -> None:
    view = View(side=side)
    if min(height, width) < side:
        with pytest.raises(Exception, match=f"expected at least {side}x{side} pixels"):
            view.box(height, width)
        return
    box = view.box(height, width)
    assert (box.bottom - box.top, box.right - box.left) == (side, side)
    assert abs(box.top - (height - box.bottom)) <= 1
    assert abs(box.left - (width - box.right)) <= 1


def test_what_is_set_is_said(tmp_path: Path) -> None:
    told = protocol_of(
        Experiment(methods=("degraded",), value_range=2.0, flatten="#ffffff", shave=0, crop=64)
    ).describe()
    assert told.endswith("(crop=centre-64,noise=per-image,rounding=round,shave=0,range=2,"
                         "flatten=#ffffff)")  # fmt: skip
    assert protocol_of(Experiment(methods=("degraded",))).describe() == (
        "e2r(crop=none,noise=per-image,rounding=round)"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"crop": "y16"}, "squares of N pixels"),
        ({"crop": 31}, "squares of 32 pixels or more"),
        ({"crop": True}, "crop"),
        ({"crop": 2.5}, "squares of N pixels"),
        ({"shave": -1}, "shave"),
    ],
)
def test_settings_that_cut_nothing_sensible_are_refused(settings: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        make_experiment({"methods": ["degraded"], **settings}, "the command line")
    assert "\n" not in str(refused.value)


def test_a_protocol_of_sixteens_keeps_to_them() -> None:
    for crop in ("x8", 72):
        with pytest.raises(UsageError, match="expected a multiple of 16"):
            protocol_of(Experiment(methods=("a",), protocol="moce-ir", crop=crop))
    made = protocol_of(Experiment(methods=("a",), protocol="moce-ir", crop="x32"))
    assert "crop=centre-x32," in made.describe()
    assert made.view == View(crop=32)
