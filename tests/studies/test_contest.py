"""Comparisons: methods of a run, runs, and folders; judged by `judge`, in every format."""

import csv
import io
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.report.contest_text import HEADS, marks
from e2r_bench.report.latex import escaped, latex
from e2r_bench.report.reasons import reasons
from e2r_bench.report.statements import Contest, Judged, Level, p_words, record, statement
from e2r_bench.statistics.evidence import Part, paired_evidence
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.verdict import Unmeasured
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.pictures import write_png

N = 24


def picture(seed: int) -> np.ndarray:
    smooth = cv2.GaussianBlur(np.random.default_rng(seed).uniform(0, 255, (48, 48, 3)), (0, 0), 3)
    return np.clip(128 + 4 * (smooth - 128), 20, 235).astype(np.uint8)


def noisy(clean: np.ndarray, seed: int, sigma: float) -> np.ndarray:
    noise = np.random.default_rng([seed, 7]).normal(0, sigma, clean.shape)
    return np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clean pictures, a method, one that is better by some 1.5 dB, and another encoding of it."""
    root = tmp_path_factory.mktemp("folders")
    for k in range(N):
        clean, spread = picture(k), np.random.default_rng([k, 1]).uniform(-0.8, 0.8)
        write_png(root / "clean" / f"p{k}.png", clean)
        write_png(root / "plain" / f"p{k}.png", noisy(clean, k, 12))
        write_png(root / "good_one" / f"p{k}.png", noisy(clean, k, 10 + spread))
        (root / "webp").mkdir(exist_ok=True)
        lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
        cv2.imwrite(str(root / "webp" / f"p{k}.webp"), noisy(clean, k, 12)[..., ::-1], lossless)
    return root


def compare(root: Path, *more: str, names: tuple[str, ...] = ("plain", "good_one")) -> list[str]:
    arms = [str(root / name) for name in names]
    return ["compare", *arms, "--clean", str(root / "clean"), "--metrics", "psnr,ssim", *more]


def test_folders_get_the_words_of_judge(folders: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(compare(folders, "--format", "json")) == 0
    rows = json.loads(capsys.readouterr().out)["compared"]
    assert [row["metric"] for row in rows] == ["psnr:rgb", "ssim:gauss"]
    values = {
        name: [cv2.PSNR(cv2.imread(str(folders / name / f"p{k}.png")),
                        cv2.imread(str(folders / "clean" / f"p{k}.png"))) for k in range(N)]
        for name in ("plain", "good_one")
    }  # fmt: skip
    gap = np.subtract(values["good_one"], values["plain"])
    psnr = rows[0]
    assert (psnr["first"], psnr["second"]) == ("good_one", "plain")
    assert psnr["effect"] == pytest.approx(gap.mean(), abs=1e-6)
    assert psnr["verdict"] == "better"
    assert psnr["n"] == psnr["scenes"] == N
    # The same evidence, judged alone: no adjustment makes p smaller.
    part = Part("x", "psnr:rgb", 0.5, True)
    scenes = [str(folders / "clean" / f"p{k}.png") for k in range(N)]
    one = paired_evidence(
        part, gap, np.zeros(N), scenes, rng_for(0, "psnr:rgb", "permutations"), 999
    )
    alone = judge([one])[0]
    assert psnr["p"] == pytest.approx(alone.p)
    assert psnr["holm"] >= psnr["p"]
    assert psnr["detectable"] == pytest.approx(alone.detectable, abs=1e-6)


def test_two_encodings_of_the_same_pictures_are_equivalent(
    folders: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(compare(folders, "--format", "json", names=("plain", "webp"))) == 0
    rows = json.loads(capsys.readouterr().out)["compared"]
    assert {row["verdict"] for row in rows} == {"equivalent"}
    assert {row["effect"] for row in rows} == {0.0}
    assert "webp and plain are equivalent: 0.00 dB [0.00, 0.00]" in rows[0]["statement"]


def test_below_ten_scenes_nothing_is_said(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("clean", "plain", "good_one"):
        for k in range(6):
            write_png(tmp_path / name / f"p{k}.png", cv2.imread(str(folders / name / f"p{k}.png")))
    assert main(compare(tmp_path, "--power")) == 0
    out = capsys.readouterr().out
    assert "no verdict of any kind below 10" in out
    assert " is better than" not in out
    # They were not read together, and would be.
    assert out.count(", read with 2 parts, where scenes differ as these 6 do\n") == 2
    assert main(compare(tmp_path, "--format", "latex")) == 0
    assert r"\textbf" not in capsys.readouterr().out


def test_names_may_differ_where_the_clean_picture_is_one(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    for path in (folders / "good_one").iterdir():
        (tmp_path / "other" / f"{path.stem}_out.png").write_bytes(path.read_bytes())
    arms = [str(folders / "plain"), str(tmp_path / "other")]
    rest = ["--clean", str(folders / "clean"), "--metrics", "psnr", "--format", "json"]
    assert main(["compare", *arms, *rest]) == 0
    row = json.loads(capsys.readouterr().out)["compared"][0]
    assert (row["n"], row["verdict"]) == (N, "better")


def test_a_picture_that_fails_is_left_out_and_named(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for path in (folders / "good_one").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_png(tmp_path / "p3.png", picture(3)[:20])
    rest = ["--clean", str(folders / "clean"), "--metrics", "psnr", "--format", "json"]
    assert main(["compare", str(folders / "plain"), str(tmp_path), *rest]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["compared"][0]["n"] == N - 1
    assert "p3: p3: expected restored and clean of one size" in captured.err


def test_a_set_metric_needs_what_its_margin_is_a_share_of(
    folders: Path, capsys: pytest.CaptureFixture
) -> None:
    arms = compare(folders, "--format", "json", "--metrics", "psnr,fd_effnet", "--offline")
    assert main(arms) == 0
    row = json.loads(capsys.readouterr().out)["compared"][1]
    assert row["verdict"] == "not measured"
    if "not here" not in row["statement"] and "to fetch" not in row["statement"]:
        assert "--degraded" in row["statement"]
        assert main([*arms, "--degraded", str(folders / "plain")]) == 0
        assert json.loads(capsys.readouterr().out)["compared"][1]["effect"] is not None


def test_formats_hold_the_same_numbers(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for suffix in ("md", "tex", "csv", "json", "txt"):
        assert main(compare(folders, "--out", str(tmp_path / f"x.{suffix}"))) == 0
    capsys.readouterr()
    text = {p.suffix: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()}
    row = json.loads(text[".json"])["compared"][0]
    flat = next(csv.DictReader(io.StringIO(text[".csv"])))
    assert float(flat["effect"]) == row["effect"]
    assert flat["statement"] == row["statement"]
    for suffix in (".tex", ".txt"):
        assert row["statement"] in text[suffix]
    assert f"| {' | '.join(HEADS)} |" in text[".md"]
    for suffix in (".md", ".tex", ".txt"):
        assert "psnr:rgb v1 [10 log10(peak^2 / MSE)" in text[suffix].replace("\\", "")
    # A second time the files are ours, and somebody's are not.
    assert main(compare(folders, "--out", str(tmp_path / "x.md"))) == 0
    (tmp_path / "x.tex").write_text("mine", encoding="utf-8")
    assert main(compare(folders, "--out", str(tmp_path / "x.tex"))) == 2
    assert main(compare(folders, "--out", str(tmp_path / "x.odt"))) == 2


def test_latex_marks_best_second_and_what_is_not_told_from_the_best(
    folders: Path, capsys: pytest.CaptureFixture
) -> None:
    names = ("plain", "good_one", "webp")
    assert main(compare(folders, "--format", "latex", names=names)) == 0
    out = capsys.readouterr().out
    rows = {line.split(" & ")[0]: line for line in out.splitlines() if " & " in line}
    assert r"\textbf{" in rows[r"good\_one"]
    assert r"\dagger" not in rows[r"good\_one"]
    assert (r"\underline{" in rows["plain"]) != (r"\underline{" in rows["webp"])
    body = out[out.index(r"\begin{tabular}") :]
    counts = {line.count(" & ") for line in body.splitlines() if line.endswith(r"\\")}
    assert counts == {2}
    assert r"\begin{tabular}{lrr}" in body
    assert all(line.startswith("%") for line in out[: out.index(r"\begin")].splitlines())


def test_power_says_what_this_n_finds(folders: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(compare(folders, "--power")) == 0
    out = capsys.readouterr().out
    assert re.search(rf"{N} scenes find [\d.]+ dB four times in five", out)
    assert re.search(r"a difference of \+0\.5: \d+ scenes find it", out)


@pytest.mark.parametrize("columns", ["60", "80", "120", None])
@pytest.mark.parametrize("command", ["compare", "score"])
def test_nothing_is_cut_at_any_width(
    folders: Path,
    columns: str | None,
    command: str,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    assert main(compare(folders, "--format", "json")) == 0
    rows = json.loads(capsys.readouterr().out)["compared"]
    arguments = compare(folders)
    if command == "score":
        arms = [str(folders / name) for name in ("plain", "good_one", "clean")]
        arguments = ["score", *arms, "--metrics", "psnr,ssim"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    for row in rows:
        assert row["statement"] in out
        assert row["metric"] in out
        assert row["verdict"] in out


@pytest.mark.parametrize("columns", ["60", "120"])
@pytest.mark.parametrize("command", ["compare", "check", "score", "metrics"])
def test_an_ascii_terminal_is_written_ascii_and_no_color_writes_none(
    folders: Path, command: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    arms = [str(folders / name) for name in ("good_one", "plain", "clean")]
    told = ["--metrics", "psnr,invented_share"]
    arguments = {
        "compare": ["compare", *arms[:2], "--clean", arms[2], *told],
        "check": [
            "check",
            arms[0],
            "--against",
            arms[1],
            "--clean",
            arms[2],
            "--tolerance",
            "psnr=9",
        ],
        "score": ["score", *arms, *told],
        "metrics": ["metrics"],
    }[command]
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    assert main(arguments) == 0
    sys.stdout.flush()
    out = raw.getvalue().decode("ascii")
    assert "psnr:rgb" in out
    assert not re.search(r"\x1b\[[0-9;]*(3[0-79]|4[0-79]|9\d)", out)


def test_score_of_several_folders_ends_with_the_paired_statement(
    folders: Path, capsys: pytest.CaptureFixture
) -> None:
    arms = [str(folders / name) for name in ("plain", "good_one", "clean")]
    assert main(["score", *arms, "--metrics", "psnr,invented_share", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told["scores"]) == ["plain", "good_one"]
    shares = [s for s in told["scores"]["plain"]["summary"] if s["metric"] == "invented_share"]
    assert shares[0]["n"] == N
    assert [row["metric"] for row in told["compared"]] == ["psnr:rgb", "invented_share:bands"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{root}/plain", "--clean", "{root}/clean"], "two folders of results or more"),
        (["{root}/plain", "{root}/plain", "--clean", "{root}/clean"], "different folders"),
        (
            ["{root}/plain", "{root}/webp", "--clean", "{root}/clean", "--tasks", "derain"],
            "--tasks",
        ),
        (["a", "b", "--run", "{root}"], "expected a run folder"),
        (
            ["{root}/plain", "{root}/webp"],
            "plain: expected a run, or a method of results/run, found a folder without run.json; "
            "folders of results need --clean CLEAN",
        ),
        (["a", "b", "--degraded", "{root}"], "--clean"),
        (["{root}/plain", "{root}/webp", "--clean", "{root}/clean", "--against", "x"], "unknown"),
    ],
)
def test_mistakes_are_one_line(
    folders: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert main(["compare", *(a.format(root=folders) for a in arguments)]) == 2
    assert said in capsys.readouterr().err


def evidence(gap: list[float], name: str, higher: bool = True) -> object:
    part = Part(name, "lpips:alex" if not higher else "psnr:rgb", 0.5, higher)
    scenes = [f"s{k}" for k in range(len(gap))]
    return paired_evidence(
        part, np.array(gap), np.zeros(len(gap)), scenes, np.random.default_rng(0), 999
    )


@pytest.mark.parametrize(
    ("shift", "spread", "higher", "words"),
    [
        (2.0, 0.5, True, "A is better than B by more than the margin"),
        (0.2, 0.1, True, "A is better than B by less than the margin"),
        (2.0, 0.5, False, "A is worse than B by more than the margin"),
        (0.0, 0.1, True, "A and B are equivalent"),
        (0.1, 5.0, True, "A against B is not resolved"),
    ],
)
def test_statements_say_what_the_verdict_is(
    shift: float, spread: float, higher: bool, words: str
) -> None:
    gap = shift + spread * np.random.default_rng(3).standard_normal(40)
    gap = gap - gap.mean() + shift
    verdict = judge([evidence(list(gap), "x", higher)])[0]
    one = Judged("derain", "psnr:rgb", "dB", higher, "A", "B", verdict, 1)
    assert f"derain psnr:rgb: {words}: " in statement(one)
    assert record(one)["statement"] == statement(one)


def test_what_is_not_measured_says_why() -> None:
    verdict = judge([Unmeasured("x", "fid:clean", "no weights")])[0]
    one = Judged("", "fid:clean", "", False, "A", "B", verdict, 0)
    assert statement(one) == "fid:clean: A against B is not measured: no weights"


def test_a_note_names_the_parts_that_it_is_of_unless_it_is_of_all() -> None:
    verdict = judge([evidence([0.5, 0.6] * 20, "x")])[0]
    said = {
        ("t", "psnr", "A"): ("all", "task", "metric", "pair"),
        ("t", "psnr", "B"): ("all", "task", "metric"),
        ("t", "ssim", "A"): ("all", "task"),
        ("u", "psnr", "A"): ("all",),
    }
    judged = tuple(
        Judged(task, metric, "dB", True, first, "C", replace(verdict, notes=notes), 4)
        for (task, metric, first), notes in said.items()
    )
    assert reasons(Contest(judged, (), (), ("facts are not notes",))) == [
        "all", "t: task", "t psnr: metric", "t psnr of A against C: pair",
    ]  # fmt: skip


def test_marks_stand_on_all_pairs() -> None:
    gap = 2 + 0.1 * np.random.default_rng(3).standard_normal(40)
    far, near = evidence(list(gap), "x"), evidence(list(gap - gap.mean()), "x")
    verdicts = judge([far, near, far])
    names = [("A", "C"), ("A", "B"), ("B", "C")]
    every = tuple(
        Judged("t", "psnr:rgb", "dB", True, *two, verdict, 3)
        for two, verdict in zip(names, verdicts, strict=True)
    )
    levels = tuple(
        Level("t", "psnr:rgb", "dB", True, arm, value, None, None, 40)
        for arm, value in (("C", 28.0), ("A", 30.0), ("B", 30.0 - 1e-9))
    )
    found = marks(Contest(every, every, levels, ()))
    assert found["t", "psnr:rgb", "A"].best
    assert found["t", "psnr:rgb", "B"].second
    assert found["t", "psnr:rgb", "B"].level
    assert not found["t", "psnr:rgb", "C"].level
    assert marks(Contest(every, (), levels, ())) == {}
    assert latex(Contest(every, every, levels, ())).count(r"\dagger") == 1


def test_small_p_is_not_printed_as_zero_and_latex_signs_are_escaped() -> None:
    assert p_words(0.0) == "p < 0.0001"
    assert p_words(0.0312) == "p = 0.031"
    assert escaped("a_b%\\{x}\n$") == r"a\_b\%\textbackslash{}\{x\} \$"


def test_methods_of_a_run_and_the_closing_block(
    plain_run_of_twelve: Callable[[], Path], capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    folder = plain_run_of_twelve()
    out = capsys.readouterr().out
    assert "denoise25: nlm against wavelet" in out
    assert out.endswith(f"\nreport: {folder / 'report.html'}\n")
    assert main(["compare", "nlm", "wavelet", "--run", str(folder), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {(row["first"], row["second"]) for row in told["compared"]} == {("wavelet", "nlm")}
    assert main(["compare", str(folder), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["metric"] for row in rows} >= {"psnr:rgb", "invented_share:bands"}
    assert {(row["first"], row["second"]) for row in rows} == {("nlm", "wavelet")}
    assert main(["compare", "nlm", "wavelt", "--run", str(folder)]) == 2
    assert "did you mean 'wavelet'" in capsys.readouterr().err
    # A method keeps its name where a folder has it too.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nlm").mkdir()
    (tmp_path / "wavelt").mkdir()
    assert main(["compare", "nlm", "wavelet", "--run", "run"]) == 0
    assert main(["compare", "nlm", "wavelt", "--run", "run"]) == 2
    assert "wavelt: expected a run, or a method of run, " in capsys.readouterr().err


@pytest.fixture
def plain_run_of_twelve(tmp_path: Path) -> Callable[[], Path]:
    def make() -> Path:
        for k in range(12):
            write_png(tmp_path / "set" / f"p{k}.png", picture(k))
        arguments = ["--methods", "wavelet,nlm", "--tasks", "denoise25", "--metrics", "psnr"]
        data = ["--data", str(tmp_path / "set"), "--offline", "--device", "cpu"]
        out = ["--out", str(tmp_path / "run"), "--against", "wavelet"]
        assert main(["run", *arguments, *data, *out]) == 0
        return tmp_path / "run"

    return make


def test_an_unknown_method_to_set_against_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    arguments = ["run", "--methods", "nlm", "--against", "nml", "--out", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert "did you mean 'nlm'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def rain(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rain100L, rainy as it is, better by 0.1 dB (0.25 dB more or less), and encoded anew."""
    root, test = tmp_path_factory.mktemp("rain"), shared_data / "rain100l" / "test"
    (root / "clean").symlink_to(test / "target")
    gain = np.random.default_rng(0).normal(0, 0.25, 100)
    gain += 0.1 - gain.mean()
    (root / "webp").mkdir()
    for k, path in enumerate(sorted((test / "input").iterdir())):
        truth = cv2.imread(str(test / "target" / path.name)).astype(np.float64)
        given = cv2.imread(str(path))
        better = np.clip(np.rint(truth + (given - truth) * 10 ** (-gain[k] / 20)), 0, 255)
        write_png(root / "plain" / path.name, given[..., ::-1])
        write_png(root / "better" / path.name, better.astype(np.uint8)[..., ::-1])
        lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
        cv2.imwrite(str(root / "webp" / f"{path.stem}.webp"), given, lossless)
    return root


@pytest.mark.data
def test_a_planted_tenth_of_a_decibel_is_found_on_rain100l(
    rain: Path, capsys: pytest.CaptureFixture
) -> None:
    names = ("plain", "better", "webp")
    assert main(compare(rain, "--format", "json", names=names)) == 0
    told = json.loads(capsys.readouterr().out)
    rows = {(row["first"], row["metric"]): row for row in told["compared"]}
    found = rows["better", "psnr:rgb"]
    assert found["direction"] == 1
    assert found["effect"] == pytest.approx(0.1, abs=0.02)
    # Unpaired, each of the two means lies well inside the interval of the other.
    levels = {row["arm"]: row for row in told["levels"] if row["metric"] == "psnr:rgb"}
    assert levels["plain"]["low"] < levels["better"]["value"] < levels["plain"]["high"]
    assert {rows["webp", key]["verdict"] for key in ("psnr:rgb", "ssim:gauss")} == {"equivalent"}


@pytest.mark.slow
@pytest.mark.data
def test_a_hundred_pairs_and_four_metrics_take_less_than_twenty_seconds(rain: Path) -> None:
    arms = [str(rain / "plain"), str(rain / "better"), "--clean", str(rain / "clean")]
    started = time.process_time()
    assert main(["compare", *arms]) == 0
    # On two cores: the sum of what both do is what a shared machine does not change.
    assert time.process_time() - started < 40
