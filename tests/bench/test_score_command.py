"""`e2r-bench score` on faulty folders: what failed is named, the rest printed, the code says so."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from e2r_bench.cli import main
from e2r_metrics import Found, Missing, Resolver
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import write_png

_SIDE = 32


def _picture(seed: int, side: int = _SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (side, side, 3)).astype(np.uint8)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Three pairs; each restored picture is three levels brighter than its clean one."""
    for k, name in enumerate("abc"):
        write_png(tmp_path / "clean" / f"{name}.png", _picture(k))
        write_png(tmp_path / "restored" / f"{name}.png", _picture(k) + np.uint8(3))
    return str(tmp_path / "restored"), str(tmp_path / "clean")


def test_a_picture_that_fails_is_named_and_the_rest_scored(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(Path(folders[0]) / "b.png", _picture(1, 24))
    assert main(["score", *folders, "--metrics", "psnr", "--format", "json"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("failed: b: b: expected restored and clean of one size")
    told = json.loads(captured.out)
    assert told["summary"][0]["n"] == 2
    assert told["summary"][0]["value"] == pytest.approx(20 * np.log10(255 / 3))
    assert list(told["failed"]) == ["b"]


def test_a_set_metric_of_one_pair_is_not_measured_and_psnr_is(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in folders:
        for name in "bc":
            (Path(folder) / f"{name}.png").unlink()
    assert main(["score", *folders, "--metrics", "psnr, fd_effnet", "--offline"]) == 0
    out = capsys.readouterr().out
    assert "38.58" in out
    assert "fd_effnet:lite0: not measured" in out
    assert main(["score", *folders, "--metrics", "fd_effnet", "--offline"]) == 1
    assert "not measured" in capsys.readouterr().out


def test_sub_folders_and_names_that_differ(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder, suffix in zip(folders, ("", "_truth"), strict=True):
        inside = Path(folder) / "scene"
        inside.mkdir()
        for name in "abc":
            (Path(folder) / f"{name}.png").rename(inside / f"{name}{suffix}.png")
    psnr = ["--metrics", "psnr"]
    assert main(["score", *folders, *psnr]) == 2
    assert "give --recursive" in capsys.readouterr().err
    assert main(["score", *folders, *psnr, "--recursive"]) == 2
    assert "--pair" in capsys.readouterr().err
    assert main(["score", *folders, *psnr, "--recursive", "--pair", "{name}_truth"]) == 0
    assert "38.58" in capsys.readouterr().out


def test_floats_need_a_range_and_transparency_a_background(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(f"{folders[0]}/a.tiff", (_picture(0)[..., ::-1] + 3).astype(np.float32) / 10)
    Path(folders[0], "a.png").unlink()
    glass = np.dstack([_picture(1)[..., ::-1] + 3, np.full((_SIDE, _SIDE), 254, np.uint8)])
    cv2.imwrite(f"{folders[0]}/b.png", glass)
    assert main(["score", *folders, "--metrics", "psnr"]) == 1
    failed = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in failed] == ["a", "b"]
    assert "--range" in failed[0]
    assert "--flatten" in failed[1]
    told = ["--range", "25.5", "--flatten", "white", "--format", "csv"]
    assert main(["score", *folders, "--metrics", "psnr", *told]) == 0
    values = [float(line.split(",")[3]) for line in capsys.readouterr().out.splitlines()[1:]]
    assert values[0] == pytest.approx(38.588, abs=1e-3)
    assert values[1] < values[2] == pytest.approx(38.588, abs=1e-3)


def test_large_pictures_are_refused_by_name(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    big = np.zeros((1001, 1000, 3), np.uint8)
    for folder in folders:
        write_png(Path(folder) / "big.png", big)
    arguments = ["score", *folders, "--metrics", "psnr", "--max-megapixels", "1"]
    assert main([*arguments, "--out", str(tmp_path / "table.txt")]) == 1
    assert "failed: big: " in capsys.readouterr().err
    assert "38.58" in (tmp_path / "table.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "warp:9"], "expected a device of this machine"),
        (["--metrics", " , "], "expected one or more names"),
        (["--variant", "psnr"], "METRIC=VARIANT"),
        (["--weights", "/no/such"], "expected a folder, found none at '/no/such'"),
        (["--format", "parquet"], "expected --out FILE with it, found none"),
        (["--out", "s3://x/y.csv"], "`fsspec`"),
    ],
)
def test_a_users_mistake_is_one_line(
    folders: tuple[str, str], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", *folders, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_border_is_shaved_and_every_protocol_says_so(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    framed = _picture(0) + np.uint8(3)
    framed[:4], framed[-4:], framed[:, :4], framed[:, -4:] = 0, 0, 0, 0
    write_png(Path(folders[0]) / "a.png", framed)
    asked = ["score", *folders, "--metrics", "psnr", "--format", "json", "--shave"]
    assert main([*asked, "4"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["summary"]
    assert told["value"] == pytest.approx(20 * np.log10(255 / 3))
    assert "crop 4 pixels at each border" in told["protocol"]
    assert main([*asked, "16"]) == 1
    assert "failed: a: a: expected at least 33 pixels a side" in capsys.readouterr().err


def test_a_metric_without_weights_alone_measures_nothing_and_says_so_by_its_exit_code(
    folders: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Resolver, "find", lambda self, name: Missing(name, "not here", "fetch it", 1)
    )
    assert main(["score", *folders, "--metrics", "fid", "--offline"]) == 1
    assert "fid:clean: not measured, not here; to fetch: fetch it" in capsys.readouterr().out
    assert main(["score", *folders, "--metrics", "fid,psnr", "--offline"]) == 0


def test_a_wrong_weight_file_stops_its_own_metrics_alone(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("brisque-allmodel", "inception-2015-12-05.pt"):
        (tmp_path / name).write_bytes(b"another file")
    asked = ["score", *folders, "--weights", str(tmp_path), "--metrics", "fid,kid,psnr,brisque"]
    assert main(asked) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "38.58" in out
    for metric in ("fid:clean", "kid:unbiased", "brisque:live"):
        assert f"{metric}: not measured: {tmp_path}" in out
    assert out.count("expected InceptionV3 for FID (TorchScript) with sha256 f58cb9b6") == 2
    assert main([*asked[:-1], "psnr"]) == 0


def test_weights_that_cannot_be_opened_stop_their_own_metrics_alone(
    folders: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def damaged(*asked: object) -> None:
        raise UsageError(f"the file of {asked[0]}: expected a whole one, found a damaged one")

    here = Found("any", tmp_path, "here", "0" * 64)
    monkeypatch.setattr(Resolver, "find", lambda self, name: here)
    monkeypatch.setattr("e2r_metrics.brisque.open_metric", damaged)
    monkeypatch.setattr("e2r_metrics.inception.open_extractor", damaged)
    asked = ["score", *folders, "--metrics", "fid,kid,psnr,brisque", "--format", "json"]
    assert main(asked) == 1
    told = json.loads(capsys.readouterr().out)
    assert [row["metric"] for row in told["summary"]] == ["psnr"]
    why = {name: gone["reason"] for name, gone in told["not_measured"].items()}
    assert why["brisque:live"] == "the file of live: expected a whole one, found a damaged one"
    assert why["fid:clean"] == why["kid:unbiased"]
    assert "the file of inception" in why["fid:clean"]
    assert told["failed"] == {}


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_the_suffix_of_out_says_the_format(
    folders: tuple[str, str], tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"b.{suffix}"
    assert main(["score", *folders, "--metrics", "psnr", "--out", str(out)]) == 0
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}
    if suffix == "json":
        assert len(json.loads(out.read_text(encoding="utf-8"))["values"]) == 3
    else:
        assert list(read[suffix](out).image) == ["a", "b", "c"]
    # What is said goes before the suffix.
    told = tmp_path / "c.csv"
    arguments = ["--metrics", "psnr", "--format", "json", "--out", str(told)]
    assert main(["score", *folders, *arguments]) == 0
    assert json.loads(told.read_text(encoding="utf-8"))["summary"]


def test_what_one_picture_cannot_say_is_said_once(
    folders: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in "bc":
        for folder in folders:
            (Path(folder) / f"{name}.png").unlink()
    write_png(tmp_path / "other" / "a.png", _picture(0) + np.uint8(9))
    asked = [folders[0], str(tmp_path / "other"), folders[1], "--metrics", "psnr,ssim,l1"]
    assert main(["score", *asked]) == 0
    _said_once(capsys.readouterr().out, "psnr:rgb, ssim:gauss, l1:rgb: expected")
    asked = ["--methods", "nlm,wavelet,degraded", "--tasks", "denoise25,dejpeg", "--limit", "1"]
    out = ["--metrics", "psnr,ssim", "--offline", "--out", str(tmp_path / "run")]
    assert main(["run", *asked, *out]) == 0
    _said_once(capsys.readouterr().out, "denoise25, dejpeg: expected")


def _said_once(out: str, start: str) -> None:
    said = " ".join(out.split())
    assert f"{start} at least two values, of two pictures, for an interval or a test, found" in said
    assert said.count("at least two") == 1
