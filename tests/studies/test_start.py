"""docs/start.md: from an installed package to a statement in the commands that the page shows."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_metrics.base.pictures import write_png

PAGE = Path(__file__).parents[2] / "docs" / "start.md"


def blocks() -> list[list[list[str]]]:
    """The commands of each block of the page."""
    found = re.findall(r"```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    return [[shlex.split(line, comments=True) for line in one.splitlines()] for one in found]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of results on twelve pictures; the second has half of the first one's noise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    rng = np.random.default_rng(3)
    for name in range(12):
        clean = rng.integers(40, 210, (6, 6, 3)).repeat(8, 0).repeat(8, 1).astype(np.int64)
        for folder, sigma in (("CLEAN", 0), ("RESULTS_A", 12), ("RESULTS_B", 6)):
            noisy = clean + np.rint(sigma * rng.standard_normal(clean.shape))
            write_png(Path(folder) / f"{name}.png", noisy.clip(0, 255).astype(np.uint8))
    return tmp_path


def test_two_folders_give_a_statement_in_at_most_three_commands(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    install, *then = blocks()[0]
    assert install == ["pip", "install", "e2r-bench"]
    assert 1 + len(then) <= 3
    for command in then:
        assert command[0] == "e2r-bench"
        assert main([*command[1:], "--offline"]) == 0
    said = capsys.readouterr().out
    found = re.search(r"psnr:rgb: RESULTS_B is better than RESULTS_A.*", said)
    assert found is not None, said
    assert re.search(r"\+[\d.]+ dB \[\+[\d.]+, \+[\d.]+\].*p = ", found[0]), found[0]


def test_an_experiment_starts_from_the_file_that_init_writes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init, dry, run = blocks()[1]
    assert main(init[1:]) == 0
    assert main([*dry[1:], "--offline"]) == 0
    short = ["--limit", "2", "--methods", "wavelet", "--metrics", "psnr", "--offline"]
    assert main([*run[1:], *short]) == 0
    for export, cite, publish in [blocks()[2]]:
        assert main(export[1:]) == 0
        assert main(cite[1:]) == 0
        assert main(publish[1:]) == 0
    assert "@article{chang2000bayesshrink," in capsys.readouterr().out
    assert main(["verify", "bundle.zip", "--offline"]) == 0
    assert capsys.readouterr().out.rstrip().endswith("verdict: reproduced")
