"""The command line, in-process: usage faults are one line and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import click
import cv2
import numpy as np
import pytest

from e2r_bench import cli
from e2r_bench.cli import COMMANDS, main
from e2r_bench.store.store import open_store
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import write_png

QUICK = [
    "--metrics", "psnr", "--limit", "2", "--tasks", "denoise25", "--device", "cpu", "--offline",
]  # fmt: skip


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


RUN = ["run", "--methods", "degraded"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "--methods", "promptr"], "did you mean 'promptir'"),
        (["run", "--methods", "kontext_lor"], "did you mean 'kontext"),
        (["run", "--methods", ","], "expected one or more names by comma"),
        ([*RUN, "--tasks", "denoise20"], "unknown task 'denoise20'"),
        ([*RUN, "--metrics", "pnsr"], "psnr"),
        ([*RUN, "--protocol", "restromer"], "did you mean 'restormer'"),
        ([*RUN, "--data", "/no/such/folder"], "found no such folder"),
        ([*RUN, "--device", "warp:9"], "expected a device"),
        ([*RUN, "--device", "meta:x"], "expected a device"),
        ([*RUN, "--seeds", "one"], "expected whole numbers"),
        ([*RUN, "--seeds", ""], "expected whole numbers"),
        ([*RUN, "--seeds", "-1"], "expected whole numbers"),
        ([*RUN, "--steps", "0"], "expected numbers from 1 on"),
        ([*RUN, "--variant", "psnr"], "METRIC=VARIANT"),
        ([*RUN, "--limit", "0"], "--limit"),
        ([*RUN, "--range", "0"], "--range"),
        ([*RUN, "--flatten", "whitish"], "expected a colour"),
        ([*RUN, "--weights", "/no/such/folder"], "found none at '/no/such/folder'"),
        ([*RUN, "--out", "hf://bucket/run"], "can create a lock"),
        ([*RUN, "--set", "guidance"], "OPTION=VALUE"),
        ([*RUN, "--set", "guidance=3"], "unknown option 'guidance': known: none"),
        ([*RUN, "--set", "a.guidance=3"], "unknown instance of a method 'a'"),
        (["run", "--methods", "kontext", "--set", "guidence=3"], "did you mean 'guidance'"),
        (["run", "--methods", "kontext", "--set", "guidance=much"], "kontext.guidance"),
        (["run", "--methods", "kontext", "--backbone", "x"], "--backbone"),
        (["run"], "methods"),
        (["run", "no.toml"], "expected a TOML file"),
        (["rnu"], "expected a command, found 'rnu'; did you mean run?"),
        (["run", "--methdos", "x"], "did you mean --methods?"),
        (["study", "seeds", "--methods", "a, b"], "unknown method 'a'"),
        (["study", "steps", "--steps", "4,0"], "expected numbers from 1 on"),
        (["study", "seeds", "RUN", "--seeds", "0,1"], "expected a run folder with run.json"),
        (["study", "pairs", "--pairs", "16"], "needs two numbers of pairs"),
        (["study", "prompts", "--set", "backbone=x"], "give --backbone"),
        (["claims", "--train-data", "rain"], "TASK=FOLDER"),
        (["claims", "--train-data", "derain=/no/such"], "expected a folder"),
        (["claims", "--backbone", "someone/FLUX"], "--train-data painted"),
        (["train", "--out", "x", "--data", "folder"], "TASK=FOLDER"),
        (["train", "--out", "x", "--pairs", "0"], "--pairs"),
        (["train", "--out", "gs://x"], "only `run` writes there"),
        (["train"], "give --out DIR"),
        (["adapter", "inspect", "no.safetensors"], "no.safetensors"),
        (["score", "/no/such", "/no/such"], "found no such folder"),
        (["leakage", "/no/such", "/no/such"], "expected a folder"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line_and_two(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert error.startswith("e2r-bench: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "s3:").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('method = ["degraded"]', "method"),
        ('metods = ["degraded"]', "did you mean 'methods'"),
        ('methods = "degraded"', "methods"),
        ("methods = [", "expected TOML"),
        ('methods = ["degraded"]\nlimit = 0', "limit"),
        ('methods = ["degraded"]\nweights = ["/no/such/folder"]', "found no such folder"),
        ('methods = ["kontext"]\n[method.kontxt]\nguidance = 3', "did you mean 'kontext'"),
    ],
)
def test_a_wrong_toml_names_the_key(
    tmp_path: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(text)
    assert main(["run", str(path), "--set", "guidance=3"]) == 2
    assert said in capsys.readouterr().err


def test_flags_override_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text('methods = ["degraded"]\nlimit = 5\nseeds = [7]\ntasks = ["derain"]\n')
    out = tmp_path / "run"
    assert main(["run", str(path), *QUICK, "--out", str(out)]) == 0
    assert "denoise25: n = 2" in capsys.readouterr().out
    assert not (out / "pairs" / "derain").exists()
    assert open_store(out).info.seeds == (7,)


def _pictures(folder: Path, names: str, side: int = 48) -> Path:
    for k, name in enumerate(names):
        pixels = np.random.default_rng(k).integers(0, 256, (side, side, 3), dtype=np.uint8)
        write_png(folder / f"{name}.png", pixels)
    return folder


def test_options_of_two_instances_of_one_method(tmp_path: Path) -> None:
    data, out = _pictures(tmp_path / "data", "ab"), tmp_path / "run"
    arguments = ["run", "--methods", "a=kontext, b=kontext", "--set", "a.guidance=1.5"]
    arguments += ["--set", "backbone=kontext-nano", "--steps", "1", "--data", str(data)]
    assert main([*arguments, *QUICK, "--out", str(out)]) == 0
    methods = open_store(out).info.methods
    assert methods["a"].options == {"backbone": "kontext-nano", "guidance": "1.5"}
    assert methods["b"].options == {"backbone": "kontext-nano"}


def test_a_truncated_picture_is_recorded_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = _pictures(tmp_path / "data", "ab") / "b.png"
    broken.write_bytes(broken.read_bytes()[:3000])
    out = tmp_path / "run"
    assert main([*RUN, *QUICK, "--data", str(tmp_path / "data"), "--out", str(out)]) == 1
    captured = capsys.readouterr()
    assert "failed: degraded on denoise25/b:" in captured.err
    assert "expected a whole image file" in captured.err
    assert "denoise25: n = 2" in captured.out


def test_a_missing_result_of_a_folder_is_exit_code_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = _pictures(tmp_path / "data", "abc")
    mine = _pictures(tmp_path / "mine", "ab")
    arguments = ["run", "--methods", f"folder:{mine}", *QUICK, "--limit", "3"]
    assert main([*arguments, "--data", str(data), "--out", str(tmp_path / "run")]) == 1
    captured = capsys.readouterr()
    assert f"failed: folder:{mine} on denoise25/c:" in captured.err
    assert "denoise25: n = 3" in captured.out


def test_a_changed_result_is_refused_until_it_is_redone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, mine = _pictures(tmp_path / "data", "ab"), _pictures(tmp_path / "mine", "ba")
    arguments = ["run", "--methods", f"m=folder:{mine}", *QUICK, "--data", str(data)]
    arguments += ["--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    (data / "b.png").replace(mine / "b.png")
    _pictures(tmp_path / "data", "xb")
    (data / "x.png").unlink()
    assert main(arguments) == 2
    assert "give --redo" in capsys.readouterr().err
    assert main([*arguments, "--redo"]) == 0


def test_an_output_folder_that_cannot_be_written_is_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "run"
    assert main([*RUN, *QUICK, "--out", str(out)]) == 2
    assert "choose another place" in capsys.readouterr().err


def test_methods_are_listed_with_what_they_would_run_with(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "240")
    assert main(["methods", "--offline"]) == 0
    out = capsys.readouterr().out
    assert "promptir-nano (miniature, edition 3)" in out
    assert "needs" in out
    assert "GPL-3.0" in out


def test_a_method_whose_package_is_missing_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "bm3d", None)
    assert main(["run", "--methods", "bm3d", *QUICK, "--out", str(tmp_path / "run")]) == 2
    assert "pip install bm3d" in capsys.readouterr().err


# Exit codes, and what is printed


class _OwnError(UsageError):
    """What a plugin may raise."""


def _raising(error: BaseException) -> click.Command:
    @click.command()
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (_OwnError("mine"), 2, "e2r-bench: mine\n"),
        (PictureError("a.png: cut"), 2, "e2r-bench: a.png: cut\n"),
        (click.BadParameter("no"), 2, "e2r-bench: Invalid value: no; see `e2r-bench --help`\n"),
        (click.FileError("x"), 2, "e2r-bench: Could not open file 'x': unknown error\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted; the same command resumes\n"),
        (BrokenPipeError(32, "Broken pipe"), 1, ""),
        (SystemExit(1), 1, ""),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(cli, "cli", _raising(error))
    assert main([]) == code
    printed = capsys.readouterr().err
    assert printed.endswith(said)
    assert "Traceback" not in printed


@pytest.mark.parametrize("error", [EOFError("Ran out of input"), ValueError("defect")])
def test_a_defect_of_ours_is_no_interruption(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "cli", _raising(error))
    with pytest.raises(type(error)):
        main([])


def _shell(line: str) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m e2r_bench"
    return subprocess.run(
        ["bash", "-c", line.format(command)], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip


def test_a_pipe_that_nobody_reads_and_a_closed_output_are_quiet() -> None:
    done = _shell("{} weights --json | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stderr, done.stdout) == ("", "1\n")
    done = _shell("{} weights >&-")
    assert (done.stderr, done.returncode) == ("", 0)


def test_a_name_that_is_no_text_is_printed_escaped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean = _pictures(tmp_path / "clean", "ab")
    restored = _pictures(tmp_path / "restored", "ab")
    for folder in (clean, restored):
        (folder / "a.png").rename(os.fsdecode(os.fsencode(folder) + b"/bad\xff.png"))
    score = ["score", str(restored), str(clean), "--metrics", "psnr", "--format"]
    assert main([*score, "csv"]) == 0
    assert "bad\\udcff" in capsys.readouterr().out
    assert main([*score, "csv", "--out", str(tmp_path / "x.csv")]) == 0
    assert main([*score, "json"]) == 0
    assert "bad\\udcff" in capsys.readouterr().out


def test_what_is_said_of_files_holds_for_results_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, mine = _pictures(tmp_path / "data", "ab"), tmp_path / "mine"
    mine.mkdir()
    for name in "ab":
        pixels = cv2.imread(str(data / f"{name}.png")).astype(np.float32) / 255
        cv2.imwrite(str(mine / f"{name}.tif"), pixels)
    arguments = ["run", "--methods", f"m=folder:{mine}", *QUICK, "--data", str(data)]
    assert main([*arguments, "--out", str(tmp_path / "one")]) == 1
    assert "such as --range 1" in capsys.readouterr().err
    assert main([*arguments, "--out", str(tmp_path / "two"), "--range", "1"]) == 0
