"""`--json`: on each command that prints a table, and JSON is all that it then prints."""

import importlib
import inspect
import json
from pathlib import Path

import click
import numpy as np
import pytest

from e2r_bench.cli import COMMANDS, main
from e2r_bench.commands.options import plain
from e2r_metrics.base.pictures import write_png

TABLES = ("print_table", "print_entry", "print_contest", "print_scores", ".table(", "Table(")
QUIET = ("--metrics", "psnr", "--offline", "--device", "cpu")


def flags(command: click.Command) -> set[str]:
    """The flags of a command and of its subcommands."""
    found = {name for one in command.params for name in one.opts}
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    return found.union(*(flags(one) for one in inner))


def test_each_command_that_prints_a_table_has_it() -> None:
    without = []
    for name in COMMANDS:
        module = importlib.import_module(f"e2r_bench.commands.{name}")
        shown = any(word in inspect.getsource(module) for word in TABLES)
        if shown and "--json" not in flags(module.command):
            without.append(name)
    assert without == []


def test_numbers_that_json_has_not_are_text() -> None:
    content = {"a": (1, float("inf"), None, True), "b": {2: float("nan")}, "c": Path("x"), "d": 0.5}
    assert plain(content) == {"a": [1, "inf", None, True], "b": {"2": "nan"}, "c": "x", "d": 0.5}


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Eleven pictures, and two folders of results, one of them better."""
    rng = np.random.default_rng(1)
    for name in range(11):
        clean = rng.integers(30, 220, (4, 4, 3)).repeat(8, 0).repeat(8, 1).astype(np.int64)
        for folder, sigma in (("clean", 0), ("good", 4), ("bad", 20)):
            noisy = clean + sigma * rng.standard_normal(clean.shape)
            write_png(tmp_path / folder / f"{name}.png", noisy.clip(0, 255).astype(np.uint8))
    return {name: str(tmp_path / name) for name in ("clean", "good", "bad")} | {
        "out": str(tmp_path / "run")
    }


def said(arguments: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> object:
    assert main(arguments) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["methods"], ["methods", "--recipes"], ["metrics"], ["weights"], ["data"], ["drift"],
        ["claims", "--table-only"],
    ],
)  # fmt: skip
def test_lists_are_json(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert said([*arguments, "--json"], capsys)


def test_pictures_that_stand_in_both_sets_are_json(
    folders: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told = said(["leakage", folders["clean"], folders["clean"], "--json"], capsys, 1)
    assert isinstance(told, dict)
    assert (told["trained"], told["tested"], len(told["overlaps"])) == (11, 11, 11)
    assert {one["kind"] for one in told["overlaps"]} == {"identical"}


def test_comparisons_are_json(folders: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    arms, clean = [folders["bad"], folders["good"]], folders["clean"]
    told = said(["compare", *arms, "--clean", clean, "--metrics", "psnr", "--json"], capsys)
    assert isinstance(told, dict)
    assert told["compared"][0]["metric"] == "psnr:rgb"
    assert said(["score", *arms, clean, "--metrics", "psnr", "--json"], capsys)
    gate = ["check", folders["bad"], "--against", folders["good"], "--clean", clean]
    told = said([*gate, "--tolerance", "psnr=0.05", "--json"], capsys, code=1)
    assert isinstance(told, dict)
    assert (told["checks"][0]["passed"], told["checks"][0]["metric"]) == (False, "psnr:rgb")


def test_a_run_is_json(folders: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["run", "--methods", "degraded", "--data", folders["clean"], "--tasks", "denoise25"]
    told = said([*asked, *QUIET, "--out", folders["out"], "--json"], capsys)
    assert isinstance(told, list)
    assert {one["method"] for one in told} == {"degraded", "clean"}
    assert told[0]["n"] == 11


def test_claims_that_are_run_have_files_instead(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims", "--json"]) == 2
    assert "--table-only" in capsys.readouterr().err
