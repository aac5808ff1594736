"""Published numbers stand beside measured ones, never among them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.report.beside import Spread, beside_data, lines_beside, rows_beside
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import write_png


def test_a_task_has_all_methods_the_best_first() -> None:
    rows = rows_beside("denoise25")
    psnr = [row.value for row in rows if row.metric == "psnr"]
    assert psnr == sorted(psnr, reverse=True)
    lines = list(lines_beside(rows))
    assert lines[0] == "published, not measured here:"
    assert any("EvoIR [second hand], denoise25: 31.48 dB / 0.896; CBSD68, n 68" in x for x in lines)
    assert any("  PromptIR, denoise25: 31.31 dB" in line for line in lines)
    assert "neighbours in this ranking are less than 0.2 dB apart" in lines[-2]
    assert "standard deviation 0.17 dB of 34 scenes" in lines[-1]
    assert "68 pictures find 0.06 dB four times in five" in lines[-1]
    assert len(list(lines_beside(rows_beside("DFPIR")))) >= 6


def test_what_a_set_resolves_is_the_arithmetic_of_a_paired_t_test() -> None:
    spread = Spread(0.171, 34, "two")
    # 1.996 and 0.847: quantiles of Student's t with 67 degrees of freedom at 97.5% and 80%.
    assert spread.finds(68) == pytest.approx((1.996 + 0.847) * 0.171 / 68**0.5, rel=1e-3)
    rows = [r for r in rows_beside("denoise25") if r.dataset == "CBSD68" and r.metric == "psnr"]
    far = [replace(row, value=40 - 0.1 * k) for k, row in enumerate(rows)]
    near = [replace(row, value=40 - 0.01 * k) for k, row in enumerate(rows)]
    for told, count in ((far, len(rows) - 1), (near, 0)):
        said = list(lines_beside(told))[-1]
        assert f"{count} of these {len(rows) - 1} are that far apart" in said
    assert not any("Assumed" in line for line in lines_beside(rows_beside("derain")))


def test_an_unknown_name_is_one_line() -> None:
    with pytest.raises(UsageError, match="denoise25"):
        rows_beside("denoise26")


def test_a_run_is_given_those_of_its_own_set_alone() -> None:
    assert any("AdaIR" in line for line in beside_data("derain", "Rain100L/test"))
    assert any("AdaIR" in line for line in beside_data("denoise25", "cbsd68"))
    assert beside_data("denoise25", "mini") == ()
    assert beside_data("derain", "cbsd68") == ()


def test_score_shows_them_below(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for k in range(3):
        x = np.random.default_rng(k).integers(0, 255, (16, 16, 3)).astype(np.uint8)
        write_png(tmp_path / "clean" / f"{k}.png", x)
        write_png(tmp_path / "res" / f"{k}.png", x // 2)
    call = ["score", str(tmp_path / "res"), str(tmp_path / "clean"), "--metrics", "psnr"]
    assert main([*call, "--beside", "derain"]) == 0
    table, _, below = capsys.readouterr().out.partition("published, not measured here:")
    assert "psnr" in table
    assert "DFPIR" not in table
    assert "DFPIR [second hand], derain: 38.65 dB" in below
    assert main([*call, "--beside", "derain", "--format", "json"]) == 0
    told = capsys.readouterr()
    assert "DFPIR" not in told.out
    assert "DFPIR" in told.err
    assert main([*call, "--beside", "deraim"]) == 2
