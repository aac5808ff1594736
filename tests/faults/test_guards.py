"""Doors that write, or start something: what is not ours stays, what nobody typed is asked for."""

from pathlib import Path

import pytest

from e2r_bench.cli import main
from e2r_metrics.base.pictures import write_png

QUICK = ["--tasks", "derain", "--metrics", "psnr", "--device", "cpu", "--offline"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    import numpy as np

    for name in "ab":
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        write_png(tmp_path / "data" / f"{name}.png", pixels)
    out = tmp_path / "run"
    words = ["run", "--methods", "degraded", "--data", str(tmp_path / "data"), *QUICK]
    assert main([*words, "--out", str(out)]) == 0
    return out


@pytest.mark.parametrize("name", ["run.json", "per_image.jsonl", "mine.txt", "mine.html"])
def test_a_comparison_is_never_written_over_what_is_not_one(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = run / name
    if not target.exists():
        target.write_text("mine\n")
    before = target.read_bytes()
    assert main(["compare", str(run), str(run), "--out", str(target)]) == 2
    said = "expected one of .md" if name.endswith(".jsonl") else "found another; remove it"
    assert said in capsys.readouterr().err
    assert target.read_bytes() == before


def test_a_comparison_leaves_a_text_of_the_name_of_its_twin(run: Path) -> None:
    (run / "page.md").write_text("mine\n")
    words = ["compare", str(run), str(run), "--out", str(run / "page.html")]
    assert main(words) == 2
    assert (run / "page.md").read_text() == "mine\n"
    (run / "page.md").unlink()
    assert main(words) == 0
    assert main(words) == 0


def test_scores_are_not_written_over_a_run(run: Path) -> None:
    data = str(run.parent / "data")
    words = ["score", data, data, "--metrics", "psnr", "--format", "json", "--out"]
    before = (run / "run.json").read_bytes()
    assert main([*words, str(run / "run.json")]) == 2
    assert (run / "run.json").read_bytes() == before
    assert main([*words, str(run / "scores.json")]) == 0
    assert main([*words, str(run / "scores.json")]) == 0


def test_a_file_may_not_start_a_program_unasked(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    witness, settings = tmp_path / "witness", tmp_path / "settings.toml"
    settings.write_text(f'methods = ["a=command:touch {witness}"]\n')
    words = ["run", str(settings), "--data", str(tmp_path / "data"), *QUICK]
    words += ["--out", str(tmp_path / "out")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"touch {witness}" in said
    assert "--allow-commands" in said
    assert not witness.exists()
    assert main([*words, "--allow-commands"]) == 1
    assert witness.exists()


@pytest.mark.parametrize(
    "flag", ["--bound=-1", "--bound=nan", "--level=0", "--level=2", "--score=x"]
)
def test_a_trust_mask_needs_numbers_that_can_be(
    run: Path, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["maps", str(run), "--bound", "1", flag]) == 2
    assert not (run / "maps").exists()


def _made(folder: Path) -> None:
    """Stand in for a run file by a pipe, which nobody ever writes to."""
    import os

    folder.unlink(missing_ok=True)
    os.mkfifo(folder)


@pytest.mark.parametrize("name", ["run.json", "per_image.jsonl", "inputs.json", "failures.json"])
def test_a_pipe_in_a_run_is_not_waited_for(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _made(run / name)
    words = ["run", "--methods", "degraded", "--data", str(run.parent / "data"), *QUICK]
    assert main([*words, "--out", str(run)]) == 2
    assert name in capsys.readouterr().err


def test_rows_that_are_no_text_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run / "per_image.jsonl"
    rows.write_bytes(rows.read_bytes() + b"\xff\xfe\x00\n")
    last = rows.read_bytes().count(b"\n")
    assert main(["report", str(run)]) == 2
    assert f"per_image.jsonl, line {last}: expected a row" in capsys.readouterr().err


def test_a_bottomless_record_is_one_line(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "failures.json").write_text("[" * 100_000)
    assert main(["report", str(run)]) == 2
    assert "failures.json: expected JSON" in capsys.readouterr().err


def test_a_name_that_is_no_text_is_refused_before_anything_runs(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = run.parent / "data"
    (data / "a.png").rename(data / "\udcff.png")
    words = ["run", "--methods", "degraded", "--data", str(data), *QUICK]
    assert main([*words, "--out", str(run.parent / "out")]) == 2
    assert "expected a file name in UTF-8" in capsys.readouterr().err
    assert not (run.parent / "out").exists()


@pytest.mark.parametrize("device", ["tpu", "cuda"])
def test_a_training_is_never_moved_to_another_device_unsaid(
    tmp_path: Path, device: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def gone(*shape: int, **options: object) -> None:
        raise RuntimeError("no such device on this machine")

    monkeypatch.setattr(torch, "empty", gone)
    assert main(["train", "--device", device, "--out", str(tmp_path / "out")]) == 2
    assert "--device" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"1\n", b"[]\n", b"\xff\xfe\n", b"a,b\n1\n1,2,3\n"])
def test_a_damaged_summary_is_one_line(
    run: Path, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "summary.csv").write_bytes(content)
    assert main(["report", str(run)]) == 2
    assert "summary.csv: expected a run's summary" in capsys.readouterr().err


def test_a_pattern_without_a_name_is_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "--methods", "degraded", "--data", str(run.parent / "data"), *QUICK]
    assert main([*words, "--pair", "x", "--out", str(run.parent / "out")]) == 2
    assert "expected {name} in it" in capsys.readouterr().err
