"""The walk-throughs of docs/: five commands each, run as they are written."""

import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_metrics.base.pictures import write_png

DOCS = Path(__file__).parents[2] / "docs"
N = 12


def commands(page: str) -> list[list[str]]:
    """The commands of a page's first block."""
    block = re.search(r"```\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.S)
    assert block is not None
    lines = [shlex.split(line) for line in block[1].splitlines()]
    assert len(lines) == 5
    assert all(line[0] == "e2r-bench" for line in lines)
    return [line[1:] for line in lines]


def scene(k: int) -> np.ndarray:
    smooth = cv2.GaussianBlur(np.random.default_rng(k).uniform(0, 255, (64, 64, 3)), (0, 0), 3)
    return np.clip(128 + 4 * (smooth - 128), 20, 220).astype(np.uint8)


def worse(picture: np.ndarray, k: int, sigma: float) -> np.ndarray:
    noise = np.random.default_rng([k, 9]).normal(0, sigma, picture.shape)
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pairs, somebody's results with a foreign patch in each, and two of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    for k in range(N):
        name, clean = f"rain_{k}.png", scene(k)
        write_png(Path("data/target") / name, clean)
        write_png(Path("data/input") / name, worse(clean, k, 20))
        patched = worse(clean, k, 4)
        patched[8:40, 8:40] = scene(100 + k)[8:40, 8:40]
        write_png(Path("theirs") / name, patched)
        write_png(Path("out/v1") / name, worse(clean, k, 8))
        write_png(Path("out/v2") / name, worse(clean, k, 7.6 + 0.01 * k))
    return tmp_path


def test_does_it_hallucinate(here: Path, capsys: pytest.CaptureFixture) -> None:
    for arguments in commands("review.md"):
        assert main(arguments) == 0, arguments
    statement = (here / "review" / "statement.md").read_text(encoding="utf-8")
    invented = re.search(r"derain invented\\_share:bands: (.*)", statement)
    assert invented is not None
    assert invented[1].startswith("theirs is worse than gf-derain") or invented[1].startswith(
        "gf-derain is better than theirs"
    )
    assert (here / "review" / "report.html").is_file()
    assert list((here / "review" / "maps").rglob("*.invented.png"))


def test_gate_my_model(here: Path, capsys: pytest.CaptureFixture) -> None:
    for arguments in commands("gate.md"):
        assert main(arguments) == 0, arguments
    assert "0 of 3 checks failed" in capsys.readouterr().out
    suite = ElementTree.parse(here / "check.xml").getroot()[0]
    assert suite.attrib["tests"] == "3"
    assert suite.attrib["failures"] == "0"


def test_the_gate_closes_on_a_planted_regression(
    here: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in range(N):
        write_png(Path("out/v2") / f"rain_{k}.png", worse(scene(k), k, 8.2 + 0.01 * k))
    first, second, check, *_ = commands("gate.md")
    assert main(first) == 0
    assert main(second) == 0
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    assert main(check) == 1
    out = capsys.readouterr().out
    assert re.search(r"^failed\s+derain psnr:rgb", out, re.M)
    suite = ElementTree.parse(here / "check.xml").getroot()[0]
    assert int(suite.attrib["failures"]) >= 1
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert "is worse than" in failure.attrib["message"]
    assert "checks failed" in (here / "summary.md").read_text(encoding="utf-8")
    # A looser tolerance lets it through; folders alone give the same answer.
    loose = [part.replace("psnr=0.05", "psnr=3") for part in check]
    loose = [part.replace("ssim=0.002,invented_share=0.5", "ssim=0.5") for part in loose]
    assert main(loose) == 0
    folders = ["check", "out/v2", "--against", "out/v1", "--clean", "data/target"]
    assert main([*folders, "--tolerance", "psnr=0.05"]) == 1
    assert main([*folders, "--tolerance", "psnr=3"]) == 0


def test_what_is_not_measured_is_not_checked(here: Path, capsys: pytest.CaptureFixture) -> None:
    first, second, *_ = commands("gate.md")
    assert main(first) == 0
    assert main(second) == 0
    base = ["check", "now", "--against", "baseline", "--tolerance"]
    assert main([*base, "lpips=0.1"]) == 2
    assert "unknown metric of the run" in capsys.readouterr().err
    Path("out/v2/rain_3.png").unlink()
    Path("out/v1/rain_3.png").rename("out/v2/rain_3.png")
    write_png(Path("out/v2/rain_3.png"), scene(3)[:20])
    assert main([*second, "--redo"]) == 1
    assert main([*base, "psnr=0.05"]) == 1
    assert "failed: model on derain/rain_3" in capsys.readouterr().err
    other = [part.replace("model=", "other=").replace("baseline", "else") for part in first]
    assert main(other) == 1
    assert main(["check", "else", "--against", "baseline", "--tolerance", "psnr=0.1"]) == 2
    assert "model: expected every method of baseline in the other run" in capsys.readouterr().err
