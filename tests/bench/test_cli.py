"""The command line, in-process: usage faults are one line and exit code 2."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import COMMANDS, main
from e2r_bench.store.store import open_store
from e2r_metrics.base.pictures import write_png

QUICK = [
    "--metrics",
    "psnr",
    "--limit",
    "2",
    "--tasks",
    "denoise25",
    "--device",
    "cpu",
    "--offline",
]


def test_help_lists_every_command_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from e2r_bench.cli import main; main(['--help']);"
        "print(sorted({'torch', 'pandas', 'numpy', 'pydantic', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin"},
    )  # fmt: skip
    assert done.stdout.strip().endswith("[]")
    listed = done.stdout.partition("Commands:")[2].splitlines()
    assert [line.split()[0] for line in listed if line.startswith("  ")][: len(COMMANDS)] == list(
        COMMANDS
    )


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "Usage: e2r-bench" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--methods", "promptr"], "did you mean 'promptir'"),
        (["run", "--methods", "kontext_lor"], "did you mean 'kontext"),
        (["run", "--methods", "degraded", "--tasks", "denoise20"], "unknown task 'denoise20'"),
        (["run", "--methods", "degraded", "--metrics", "pnsr"], "psnr"),
        (["run", "--methods", "degraded", "--protocol", "restromer"], "did you mean 'restormer'"),
        (["run", "--methods", "degraded", "--data", "/no/such/folder"], "found no such folder"),
        (["run", "--methods", "degraded", "--device", "warp:9"], "expected a device"),
        (["run", "--methods", "degraded", "--seeds", "one"], "expected whole numbers"),
        (["run", "--methods", "degraded", "--variant", "psnr"], "METRIC=VARIANT"),
        (["run", "--methods", "degraded", "--limit", "0"], "--limit"),
        (["run"], "methods"),
        (["run", "no.toml"], "expected a TOML file"),
        (["rnu"], "No such command"),
        (["run", "--methdos", "x"], "--methods"),
    ],
)
def test_a_users_mistake_is_one_line_and_two(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    last = [line for line in error.strip().splitlines() if not line.startswith(("Usage", "Try"))]
    assert len([line for line in last if line.strip()]) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('method = ["degraded"]', "did you mean 'methods'"),
        ('methods = "degraded"', "methods"),
        ("methods = [", "expected TOML"),
        ('methods = ["degraded"]\nlimit = 0', "limit"),
    ],
)
def test_a_wrong_toml_names_the_key(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    assert main(["run", str(path)]) == 2
    assert said in capsys.readouterr().err


def test_flags_override_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text('methods = ["degraded"]\nlimit = 5\nseeds = [7]\ntasks = ["derain"]\n')
    out = tmp_path / "run"
    assert main(["run", str(path), *QUICK, "--out", str(out)]) == 0
    assert "denoise25: n = 2" in capsys.readouterr().out
    assert not (out / "pairs" / "derain").exists()
    assert open_store(out).info.seeds == (7,)


def test_a_truncated_png_stops_the_run_before_anything_is_restored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for folder in ("first", "second"):
        for name in ("a", "b"):
            write_png(tmp_path / folder / f"{name}.png", noise)
    broken = tmp_path / "second" / "b.png"
    broken.write_bytes(broken.read_bytes()[:3000])
    out = tmp_path / "run"
    arguments = ["run", "--methods", "degraded", *QUICK, "--tasks", "denoise15,denoise25"]
    data = f"denoise15={tmp_path / 'first'},denoise25={tmp_path / 'second'}"
    assert main([*arguments, "--data", data, "--out", str(out)]) == 2
    assert "b.png: expected a whole image file" in capsys.readouterr().err
    assert not (out / "images").exists()


def test_an_output_folder_that_cannot_be_written_is_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "run"
    assert main(["run", "--methods", "degraded", *QUICK, "--out", str(out)]) == 2
    assert "choose another --out" in capsys.readouterr().err


def test_a_failed_image_is_exit_code_one(
    tmp_path: Path, shaker: object, capsys: pytest.CaptureFixture[str]
) -> None:
    shaker.fails_on = frozenset({"chelsea_022_030"})
    out = tmp_path / "run"
    assert main(["run", "--methods", "shaker", *QUICK, "--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert "failed: shaker on denoise25/chelsea_022_030: RuntimeError: planted" in captured.err
    assert "denoise25: n = 2" in captured.out


def test_methods_are_listed_with_what_they_would_run_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    assert main(["methods", "--offline"]) == 0
    out = capsys.readouterr().out
    assert "promptir-nano (miniature)" in out
    assert "needs" in out
    assert "GPL-3.0" in out


def test_a_method_whose_package_is_missing_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "bm3d", None)
    assert main(["run", "--methods", "bm3d", *QUICK, "--out", str(tmp_path / "run")]) == 2
    assert "pip install bm3d" in capsys.readouterr().err
