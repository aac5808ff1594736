"""A metric of crops in a run and in a comparison of folders: pictures are counted and resampled."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from e2r_bench.cli import main
from e2r_bench.statistics import sets
from e2r_metrics import Session
from e2r_metrics.base.pictures import read_image, write_png
from e2r_metrics.frechet import frechet_distance
from e2r_metrics.patches import crops

METRIC = "patch_fd_effnet"
SIZES = [(96, 128), (64, 80), (128, 128)] * 4
"""Three crops a picture, one, and five."""


def _means(pixels: np.ndarray) -> np.ndarray:
    found = [*pixels.mean((0, 1)), *pixels.std((0, 1)), *pixels[:9, :9].mean((0, 1))]
    return np.resize(found, 1280).astype(np.float32)


@pytest.fixture
def means(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this process take a picture's means for its features: no weights, and no wait."""
    monkeypatch.setenv("E2R_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Session, "missing", lambda self, metric: None)
    monkeypatch.setattr(Session, "_extractor", lambda self, row: _means)


def _pictures(folder: Path, sizes: list[tuple[int, int]]) -> Path:
    for k, size in enumerate(sizes):
        generator = np.random.default_rng(k)
        coarse = generator.integers(40, 216, (size[0] // 16, size[1] // 16, 3), np.uint8)
        write_png(folder / f"p{k:02}.png", np.kron(coarse, np.ones((16, 16, 1), np.uint8)))
    return folder


def _run(data: Path, out: Path, *more: str) -> int:
    return main(["run", "--methods", "nlm", "--tasks", "denoise25", "--data", str(data), "--out",
                 str(out), "--metrics", f"psnr,{METRIC}", "--offline", *more])  # fmt: skip


@pytest.mark.usefixtures("means")
def test_a_run_counts_pictures_and_names_what_holds_no_crop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert _run(_pictures(tmp_path / "data", [*SIZES, (48, 80)]), out) == 1
    told = capsys.readouterr()
    assert f"failed: nlm on denoise25/p12: {METRIC}:lite0-64: expected at least" in told.err
    lines = pd.read_csv(out / "summary.csv").query(f"metric == '{METRIC}'").set_index("method")
    assert set(lines.n) == {12}
    assert set(lines.scenes) == {12}
    for note in lines.note:
        assert "p12: expected at least 64x64 pixels" in note
        assert "36 crops" in note
    for method in ("degraded", "nlm"):
        assert lines.interval[method] == "95% jackknife over scenes, 12 scenes"
    pairs = out / "pairs" / "denoise25"
    made = [
        np.stack([_means(crop) for path in paths[:12] for crop in crops(read_image(path), 64)])
        for paths in (sorted((pairs / side).glob("*.png")) for side in ("degraded", "clean"))
    ]
    assert lines.value["degraded"] == pytest.approx(frechet_distance(*made), rel=1e-9)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"{METRIC}:lite0-64: expected at least 64x64 pixels" in page
    assert main(["compare", str(out), "--offline", "--metrics", METRIC, "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert {level["n"] for level in compared["levels"]} == {12}
    assert {level["n"] for level in compared["compared"]} == {12}
    psnr = pd.read_csv(out / "summary.csv").query("metric == 'psnr' and method == 'nlm'")
    assert list(psnr.n) == [13]


@pytest.mark.usefixtures("means")
def test_where_no_picture_holds_a_crop_the_metric_failed(tmp_path: Path) -> None:
    assert _run(_pictures(tmp_path / "data", [(48, 48)] * 3), tmp_path / "run") == 1
    lines = pd.read_csv(tmp_path / "run" / "summary.csv").query(f"metric == '{METRIC}'")
    assert set(lines.status) == {"failed"}


@pytest.mark.usefixtures("means")
def test_folders_are_compared_picture_by_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = _pictures(tmp_path / "clean", [*SIZES, (48, 80)])
    for path in sorted(clean.iterdir()):
        generator = np.random.default_rng(int(path.stem[1:]))
        for name, sigma in (("one", 4), ("two", 25), ("input", 60)):
            noise = generator.normal(0, sigma, read_image(path).shape)
            noisy = np.clip(np.rint(read_image(path) + noise), 0, 255).astype(np.uint8)
            write_png(tmp_path / name / path.name, noisy)
    seen = []
    monkeypatch.setattr(
        "e2r_bench.statistics.evidence.swap_test",
        lambda blocks, scenes, *more: (
            seen.append((blocks, scenes)) or sets.swap_test(blocks, scenes, *more)
        ),
    )
    words = ["compare", str(tmp_path / "one"), str(tmp_path / "two"), "--clean", str(clean),
             "--degraded", str(tmp_path / "input"), "--metrics", METRIC, "--format", "json",
             "--offline"]  # fmt: skip
    assert main(words) == 1
    (part,) = json.loads(capsys.readouterr().out)["compared"]
    ((blocks, scenes),) = seen
    assert (blocks.n, blocks.images, len(scenes)) == (36, 12, 12)
    assert (part["n"], part["scenes"]) == (12, 12)
