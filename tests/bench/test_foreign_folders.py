"""Commands that fill a folder leave those of somebody else as they are."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_metrics import UsageError
from e2r_metrics.base.locks import locked

Written = dict[str, bytes]

RUN = ["run", "--methods", "nlm", "--tasks", "denoise25", "--metrics", "psnr", "--limit", "1",
       "--crop", "32", "--device", "cpu", "--offline"]  # fmt: skip
ARMS = ["--tasks", "denoise25", "--metrics", "psnr", "--limit", "3", "--device", "cpu", "--offline"]
STUDY = """
title = "Smooth or noisy"
out = "runs"
perception = "ssim"
settings = {metrics = ["psnr", "ssim"], limit = 1, device = "cpu"}
run = [{name = "noise", tasks = ["denoise25"], methods = ["nlm", "wavelet"]}]
pair = [{first = "nlm", second = "wavelet", tasks = ["denoise25"]}]
"""


def contents(folder: Path) -> Written:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("thesis", "thesis/chapters"):
        (tmp_path / name).mkdir()
    for name in ("thesis/README.md", "thesis/chapters/one.tex", "thesis/results.csv"):
        (tmp_path / name).write_text("mine\n")
    (tmp_path / "thesis/leakage.csv").write_text("mine\n")
    (tmp_path / "study.toml").write_text(STUDY)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), np.full((32, 32, 3), 9, np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    [
        RUN,
        ["study", "filter", "--method", "kontext_lora", *ARMS],
        ["study", "seeds", *ARMS],
        ["study", "pairs", "--pairs", "1,2", "--shard", "1/2", *ARMS],
        ["study", "prompts", *ARMS],
        ["claims", "--only", "C1", *ARMS],
        ["study", "plan", "--tasks", "haze+noise", "--tools", "haze=dcp,noise=nlm", *ARMS[4:]],
        ["study", "tradeoff", "study.toml"],
        ["train", "--tasks", "denoise25", "--pairs", "1", "--device", "cpu"],
        ["leakage", "a", "b"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_folder_of_something_else_is_refused_and_left(
    arguments: list[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(home / "thesis")
    flag = "--page" if "tradeoff" in arguments else "--out"
    assert main([*arguments, flag, "thesis"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    kinds = {
        "plan": "expected a folder without README.md",
        "tradeoff": "expected a folder without README.md",
        "leakage": "expected a new file",
    }
    whole = "expected an empty folder, or one that this command wrote, found "
    assert next((kinds[word] for word in arguments if word in kinds), whole) in said
    assert contents(home / "thesis") == before


def test_nothing_is_fetched_for_a_folder_that_is_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: object) -> None:
        raise AssertionError("weights are looked for")

    monkeypatch.setattr("e2r_bench.run.runner.open_services", opened)
    assert main([*RUN, "--out", "thesis"]) == 2
    with pytest.raises(AssertionError):
        main([*RUN, "--out", "empty"])


def test_a_run_goes_on_in_its_own_folder_and_in_an_empty_one(home: Path) -> None:
    (home / "empty").mkdir()
    (home / "empty" / ".gitkeep").touch()
    assert main([*RUN, "--out", "empty"]) == 0
    (home / "empty" / "notes.txt").write_text("mine\n")
    assert main([*RUN, "--out", "empty"]) == 0


def test_settings_in_an_out_folder_do_not_make_it_somebody_elses(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = home / "mine"
    mine.mkdir()
    settings = (
        'methods = ["nlm"]\ntasks = ["denoise25"]\nlimit = 1\nmetrics = ["psnr"]\ncrop = 32\n'
    )
    (mine / "experiment.toml").write_text(settings)
    asked = ["run", str(mine / "experiment.toml"), "--device", "cpu", "--offline"]
    (mine / "notes.txt").write_text("mine\n")
    assert main([*asked, "--out", str(mine)]) == 2
    assert "found notes.txt of something else" in capsys.readouterr().err
    (mine / "notes.txt").unlink()
    assert main([*asked, "--out", str(mine)]) == 0
    assert (mine / "experiment.toml").read_text() == settings
    # Below it they are part of something else.
    (home / "project" / "sub").mkdir(parents=True)
    (home / "project" / "sub" / "pyproject.toml").touch()
    assert main([*asked, "--out", str(home / "project")]) == 2


def test_what_a_killed_process_left_is_ours(home: Path) -> None:
    left = home / "left"
    (left / "pairs").mkdir(parents=True)
    (left / "pairs" / "1.png").touch()
    with pytest.raises(UsageError, match=r"pairs/1\.png of something else"), locked(left, ("run",)):
        pytest.fail("held")
    (left / ".lock.json").touch()
    with locked(left, ("run",)):
        pass


@pytest.mark.parametrize("there", [False, True])
def test_a_refused_merge_leaves_nothing(
    there: bool, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = home / "new" / "merged"
    if there:
        out.mkdir(parents=True)
    assert main([*RUN, "--shard", "1/2", "--out", "one", "--limit", "2"]) == 0
    capsys.readouterr()
    assert main(["merge", "one", "--out", str(out), "--device", "cpu", "--offline"]) == 2
    assert "expected all shards, found none of 2/2" in capsys.readouterr().err
    assert list(out.parent.glob("**/*")) == ([out] if there else [])
    assert (home / "new").exists() == there


def test_a_merge_does_not_mix_with_what_is_there(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("1", "2"):
        assert main([*RUN, "--shard", f"{part}/2", "--out", part, "--limit", "2"]) == 0
    before = contents(home / "thesis")
    merge = ["merge", "1", "2", "--device", "cpu", "--offline", "--out"]
    assert main([*merge, "thesis"]) == 2
    assert "thesis: expected an empty folder" in capsys.readouterr().err
    assert contents(home / "thesis") == before
    assert main([*merge, "merged"]) == 0


@pytest.mark.parametrize("made", [lambda out: out / "x", lambda out: None])
def test_a_lock_goes_with_the_folder_that_was_made_for_it(
    made: Callable[[Path], Path | None], tmp_path: Path
) -> None:
    out = tmp_path / "a" / "b"
    with locked(out):
        path = made(out)
        if path is not None:
            path.touch()
    assert (tmp_path / "a").exists() == (path is not None)
