"""Wrong types are one line; functions whose command is a call of them print and write its bytes."""

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import e2r_bench
from e2r_bench.api.checks import checked
from e2r_bench.cli import main
from e2r_metrics import UsageError

FUNCTIONS = [name for name in e2r_bench.__all__ if name[0].islower() and name[0] != "_"]
FITTING: dict[str, Any] = {
    "against": "x", "bound": 1.0, "bundle": "x", "cells": [], "clean": "x", "experiment": {},
    "file": "x", "out": "x", "path": "x", "restored": "x", "results": "x", "run": "x", "says": {},
    "settings": {}, "tolerances": {}, "tools": {},
}  # fmt: skip


def function(name: str) -> Any:
    found = getattr(e2r_bench, name)
    # A package that is called hands on to its function, which `checked` wraps too.
    return found if inspect.isfunction(found) else found.__wrapped__


PARAMETERS = [
    (name, parameter)
    for name in FUNCTIONS
    for parameter in inspect.signature(function(name)).parameters
    # What a picture may be is said by the pictures' own check.
    if (name, parameter) not in {(n, p) for n in ("score", "maps") for p in ("restored", "clean")}
    and (name, parameter) != ("maps", "degraded")
]


class Nothing:
    """Of a type that no argument has."""


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_another_type_is_one_line(name: str, parameter: str) -> None:
    called, kinds = function(name), inspect.signature(function(name)).parameters
    several = kinds[parameter].kind is inspect.Parameter.VAR_POSITIONAL
    needed = {
        key: FITTING[key]
        for key, kind in kinds.items()
        if kind.default is kind.empty and kind.kind is not kind.VAR_POSITIONAL
    }
    given, named = ((Nothing(),), {}) if several else ((), {**needed, parameter: Nothing()})
    with pytest.raises(UsageError) as caught:
        called(*given, **named)
    said = str(caught.value)
    assert said.startswith(f"{name}: {parameter}: expected ")
    assert "found Nothing" in said
    assert "\n" not in said
    assert "e2r_bench." not in said


def test_every_function_is_checked() -> None:
    assert len(PARAMETERS) > 100
    assert {name for name, _ in PARAMETERS} == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda x: e2r_bench.score(x, x, 3), "metrics: expected str | Sequence[str], found int 3"),  # pyright: ignore[reportArgumentType]
        (lambda x: e2r_bench.score(x, x, ["psnr", 3]), "metrics: expected"),  # pyright: ignore[reportArgumentType]
        (lambda x: e2r_bench.score(None, x), "restored: expected a path"),  # pyright: ignore[reportArgumentType]
        (lambda _: e2r_bench.run(None), "experiment: expected Experiment | Mapping"),  # pyright: ignore
        (lambda _: e2r_bench.Taught(seeds=3), "Taught: seeds: expected Sequence[int]"),  # pyright: ignore[reportArgumentType]
        (lambda _: e2r_bench.judge_runs("x", unit="pixel"), "expected Literal['scene', 'image']"),  # pyright: ignore[reportArgumentType]
        (lambda _: e2r_bench.study_seeds("x", steps=True), "expected int, found bool True"),
        (lambda _: e2r_bench.open_session("x"), "expected Sequence[str | Path], found str 'x'"),
        (lambda _: e2r_bench.check("x", "y", {"psnr": "a"}), "tolerances: expected Mapping"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_a_mistake_in_python_says_what_was_expected(call: Any, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        call(np.zeros((32, 32, 3), np.uint8))


def test_what_fits_is_handed_on() -> None:
    @checked
    def taken(n: int, share: "float | None", *names: str, **_: int) -> tuple[Any, ...]:
        return n, share, names

    assert taken(np.int64(3), np.float32(0.5), "a", "b") == (3, 0.5, ("a", "b"))  # pyright: ignore[reportArgumentType]
    assert taken(3, None) == (3, None, ())
    with pytest.raises(UsageError, match="taken: names: expected str, found bytes"):
        taken(3, 1, "a", b"b")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"^taken\(\) missing a required argument: 'share'$"):
        taken(3)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: e2r_bench.score("a"), "score() missing a required argument: 'clean'"),  # pyright: ignore[reportCallIssue]
        (e2r_bench.run, "run() missing a required argument: 'experiment'"),
        (lambda: e2r_bench.judge(x=1), "judge() got an unexpected keyword argument 'x'"),  # pyright: ignore[reportCallIssue]
        (lambda: e2r_bench.explain("a", "b", {}, 3), "explain() too many positional arguments"),  # pyright: ignore[reportCallIssue]
    ],
)
def test_a_missing_or_unknown_argument_is_pythons_error_and_names_the_function(
    call: Callable[[], object], said: str
) -> None:
    with pytest.raises(TypeError) as caught:
        call()
    assert str(caught.value) == said


TOLERANCES = {"psnr": 0.05, "ssim": 0.01}


def test_check_is_what_the_command_prints(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near, far, clean = (str(folders / name) for name in ("near", "far", "clean"))
    words = ["check", far, "--against", near, "--clean", clean, "--json"]
    assert main([*words, "--tolerance", "psnr=0.05,ssim=0.01"]) == 1
    printed = json.loads(capsys.readouterr().out)
    scores = [e2r_bench.score(one, clean, list(TOLERANCES)) for one in (far, near)]
    gate = e2r_bench.check(*scores, TOLERANCES)
    assert not gate.passed
    assert json.loads(json.dumps(gate.records())) == printed
    assert "failed" in gate._repr_html_()
    with pytest.raises(UsageError, match="found one of each"):
        e2r_bench.check(scores[0], near, TOLERANCES)
    with pytest.raises(UsageError, match="expected a tolerance"):
        e2r_bench.check(*scores, {})
    for value in (-0.05, 0.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="check: tolerance of psnr: expected a finite number"):
            e2r_bench.check(*scores, {"psnr": value})
    # Only these are looked at, and what was not measured cannot be.
    alone = e2r_bench.check(*scores, {"ssim": 0.01})
    assert {one.part.metric for one in alone.checks} == {"ssim:gauss"}
    with pytest.raises(UsageError, match="unknown metric that was scored, for a tolerance 'lpips'"):
        e2r_bench.check(*scores, {"lpips": 0.01})


def test_a_margin_of_what_is_not_judged_is_refused(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near, far, clean = (str(folders / name) for name in ("near", "far", "clean"))
    said = "margin of ssim: expected a metric that is judged here, of psnr, found another"
    margin = ["--metrics", "psnr", "--margin", "ssim=0.1"]
    assert main(["compare", near, far, "--clean", clean, *margin]) == 2
    assert said in capsys.readouterr().err
    assert main(["score", near, far, clean, *margin]) == 2
    assert said in capsys.readouterr().err
    assert main(["score", near, clean, "--metrics", "psnr", "--margin", "psnr=0.1"]) == 2
    assert "--margin: expected two folders of results or more" in capsys.readouterr().err
    scores = [e2r_bench.score(one, clean, ["psnr", "invented_share"]) for one in (far, near)]
    e2r_bench.judge(*scores, margins={"psnr": 0.1, "invented_share": 1.0})
    with pytest.raises(UsageError, match="margin of lpips: expected a metric that is judged here"):
        e2r_bench.judge(*scores, margins={"lpips": 0.1})
    ran = e2r_bench.run({
        "methods": ["nlm", "wavelet"], "tasks": ["denoise25"], "limit": 2, "metrics": ["psnr"],
        "offline": True, "out": tmp_path / "run",
    })  # fmt: skip
    with pytest.raises(UsageError, match="margin of ssim: expected a metric that is judged here"):
        e2r_bench.judge_runs(ran, margins={"ssim": 0.1})
    e2r_bench.judge_runs(ran, margins={"psnr": 0.1, "lost_share": 1.0})


def test_the_filter_takes_margins_of_what_it_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BegunError(Exception):
        pass

    def begun(*_: object, **__: object) -> None:
        raise BegunError

    monkeypatch.setattr("e2r_bench.api.filter_study.run", begun)
    settings = {"tasks": ["denoise25"], "metrics": ["psnr"], "out": str(tmp_path / "filter")}
    with pytest.raises(BegunError):
        e2r_bench.study_filter(settings, margins={"psnr": 0.1, "invented_share": 1.0})
    with pytest.raises(UsageError, match="margin of lost_share: expected a metric that is judged"):
        e2r_bench.study_filter(settings, margins={"lost_share": 1.0})


def test_explain_is_what_the_command_prints(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near, clean = folders / "near", folders / "clean"
    stated = f"{e2r_bench.score(near, clean, 'psnr')['psnr'].value:.4f}"
    assert main(["explain", str(near), str(clean), "--says", f"psnr={stated}", "--json"]) == 0
    made = e2r_bench.explain(near, clean, {"psnr": stated})
    assert json.dumps(made.records(), indent=1) + "\n" == capsys.readouterr().out
    assert any(command.endswith("--metrics psnr:rgb") for command in made.commands)
    assert "psnr" in made._repr_html_()
    for says, said in (
        ({"fid": "1"}, "expected psnr, ssim or lpips"),
        ({"psnr": "37.1234567"}, "at most 6 decimals"),
        ({"psnr": "much"}, "expected METRIC=NUMBER"),
        (
            {"ssim": "97.80"},
            r"expected an SSIM of at most 1, found 97\.80, which looks like percent: "
            r"give ssim=0\.9780$",
        ),
        ({"ssim": "97.8%"}, r"found 97\.8%, which looks like percent: give ssim=0\.978$"),
        ({"ssim": "much%"}, "expected METRIC=NUMBER .* found 'ssim=much%'"),
        ({"psnr": "37%"}, "expected METRIC=NUMBER"),
        ({"ssim": "978"}, "expected an SSIM of at most 1, found 978$"),
        ({}, "expected numbers of psnr, ssim, lpips"),
    ):
        with pytest.raises(UsageError, match=said):
            e2r_bench.explain(near, clean, says)


def test_where_nothing_can_be_measured_explain_finds_nothing(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (folders / "near").iterdir():
        path.write_bytes(b"cut")
    near, clean = str(folders / "near"), str(folders / "clean")
    made = e2r_bench.explain(near, clean, {"psnr": "30.1"})
    assert (made.measured.n, made.commands) == (0, ())
    assert len(made.measured.failed) == 14
    assert (
        main(["explain", str(folders / "near"), str(folders / "clean"), "--says", "psnr=30"]) == 1
    )
    assert "nothing could be measured" in capsys.readouterr().err


def test_a_bundle_is_that_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = e2r_bench.run({
        "methods": ["nlm"], "tasks": ["denoise25"], "limit": 2, "metrics": ["psnr"],
        "device": "cpu", "offline": True, "crop": "32", "out": tmp_path / "run",
    })  # fmt: skip
    ours, theirs = tmp_path / "ours.zip", tmp_path / "theirs.zip"
    made = e2r_bench.publish(ran, ours)
    assert main(["publish", str(ran.folder), "--out", str(theirs)]) == 0
    assert ours.read_bytes() == theirs.read_bytes()
    assert f"digest {made.digest}" in capsys.readouterr().out
    found = e2r_bench.verify(ours, sha256=made.digest)
    assert not found.wrong
    assert main(["verify", str(theirs), "--json", "--device", "cpu"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == found.word
    assert e2r_bench.verify(ours, sha256="0" * 64).wrong
    hashes = e2r_bench.publish(ran, tmp_path / "hashes", hashes_only=True)
    assert hashes.hashes_only


def test_the_study_of_the_filter_is_that_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {
        "tasks": ["denoise25"], "metrics": ["psnr"], "limit": 3, "device": "cpu", "offline": True,
        "out": tmp_path / "ours",
    }  # fmt: skip
    asked: dict[str, Any] = {"candidates": 2, "filter_steps": 1, "steps": 2, "seeds": (0, 1)}
    made = e2r_bench.study_filter(settings, **asked)
    words = ["--candidates", "2", "--filter-steps", "1", "--steps", "2", "--seeds", "0,1",
             "--tasks", "denoise25", "--metrics", "psnr", "--limit", "3", "--device", "cpu",
             "--offline"]  # fmt: skip
    assert main(["study", "filter", *words, "--out", str(tmp_path / "theirs")]) == 0
    printed = capsys.readouterr().out
    for name in ("README.md", "results.csv", "results.json"):
        ours, theirs = (tmp_path / who / "studies" / "filter" / name for who in ("ours", "theirs"))
        assert ours.read_bytes() == theirs.read_bytes()
    assert made.folder == tmp_path / "ours" / "studies" / "filter"
    assert len(made.runs) == 2
    assert len(made.lines) == len(made.rows) == len(made.contest.judged) > 0
    assert all(arm.arm in printed for arm in made.contest.levels)
