"""Inputs that nobody knows the truth of: what is measured of them, and what is said of the rest."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.store.info import NO_TRUTH
from e2r_bench.store.store import Store, open_store
from e2r_metrics import Resolver, Session, resolve
from e2r_metrics.base.pictures import read_image, write_png
from e2r_metrics.score import NO_REFERENCE

QUIET = ("--device", "cpu", "--offline")
SHAPE = (120, 200, 3)
Call = Callable[..., int]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Three inputs: flat, as the hazy side of a set, and beside truths."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    for k in range(3):
        wave = 120 + 60 * np.sin(rows / (5 + k)) * np.cos(columns / 9)
        clean = wave[..., None] + rng.normal(0, 12, SHAPE)
        hazy = 0.6 * clean + 70 + rng.normal(0, 3, SHAPE)
        for folder in ("flat", "one/hazy", "pairs/hazy"):
            write_png(tmp_path / folder / f"p{k}.png", np.clip(hazy, 0, 255).astype(np.uint8))
        write_png(tmp_path / "pairs/gt" / f"p{k}.png", np.clip(clean, 0, 255).astype(np.uint8))
    return tmp_path


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(home)

    def call(tasks: str, data: str, *more: str, out: str = "run") -> int:
        return main(
            ["run", "--methods", "nlm", "--tasks", tasks, "--data", data, "--out", out,
             *QUIET, *more]
        )  # fmt: skip

    return call


def niqe(store: Store) -> dict[tuple[str, str], float | None]:
    return {(r.method, r.image): r.value for r in store.rows().all if r.metric_id == "niqe:matlab"}


def test_metrics_of_one_picture_are_measured_and_the_rest_is_said(
    run: Call, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("custom:scans", "flat", "--no-truth", "--metrics", "psnr,niqe,fd_effnet") == 0
    store = open_store(home / "run")
    assert {row.metric for row in store.rows().all} == {"niqe"}
    assert set(niqe(store)) == {(m, f"p{k}") for m in ("degraded", "nlm") for k in range(3)}
    info = store.info
    assert list(info.methods) == ["degraded", "nlm"]
    assert not info.tasks["scans"].truth
    assert info.tasks["scans"].degradation == "files of flat, without a truth"
    unmeasured = [key for key, metric in info.metrics.items() if metric.missing == NO_TRUTH]
    shares = ["invented_share:bands", "lost_share:bands", "unfaithful_share:bands"]
    assert unmeasured == ["psnr:rgb", "fd_effnet:lite0", *shares]
    summary = store.summary()
    gone = summary[summary.metric.isin(["psnr", "invented_share"])]
    assert set(gone.status) == {"not measured"}
    assert all(note.endswith(NO_TRUTH) for note in gone.note)
    assert not (home / "run/pairs/scans/clean").exists()
    said = capsys.readouterr()
    assert f"{NO_TRUTH}: fidelity, and what was invented or lost" in said.err
    assert f"psnr:rgb, fd_effnet:lite0, {', '.join(shares)} ({NO_TRUTH})" in said.out
    assert "to fetch" not in said.out + said.err


def test_the_numbers_are_those_of_the_same_inputs_with_a_truth(run: Call, home: Path) -> None:
    assert run("dehaze", "pairs", "--metrics", "niqe") == 0
    assert run("dehaze", "one", "--no-truth", "--metrics", "niqe", out="blind") == 0
    known, blind = (niqe(open_store(home / name)) for name in ("run", "blind"))
    assert blind == {key: value for key, value in known.items() if key[0] != "clean"}
    assert len(set(blind.values())) == len(blind)


def test_the_default_metrics_need_no_truth(run: Call, home: Path) -> None:
    assert run("custom:scans", "flat", "--no-truth", "--limit", "1") == 0
    names = [metric.name for metric in open_store(home / "run").info.metrics.values()]
    assert names[:3] == ["niqe", "brisque", "clip_iqa"]


def test_maps_that_need_no_truth(run: Call, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dehaze", "one", "--no-truth", "--metrics", "niqe") == 0
    assert main(["maps", "run", "--offline"]) == 0
    assert f"dehaze: {NO_TRUTH}; of all maps only" in capsys.readouterr().out
    written = {path.name for path in (home / "run/maps").rglob("p0.*")}
    assert written == {"p0.npz", "p0.sheet.png", "p0.unexplained.png"}
    assert main(["maps", "run", "--offline", "--bound", "3"]) == 2
    assert "expected a truth to calibrate and check on" in capsys.readouterr().err
    assert main(["report", "run"]) == 0
    case = gallery(home / "run")["cases"][0]
    assert case["has"] == ["unexplained"]


def test_no_map_at_all_is_said(run: Call, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("custom:scans", "flat", "--no-truth", "--metrics", "niqe") == 0
    assert main(["maps", "run", "--offline"]) == 2
    assert "expected pictures that a map can be made of" in capsys.readouterr().err
    assert not (home / "run/maps").exists()


def gallery(folder: Path) -> dict[str, list[dict[str, object]]]:
    page = (folder / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'id="gallery-data"[^>]*>(.*?)</script>', page, re.S)[1])


def test_the_report_shows_no_truth_and_says_so(run: Call, home: Path) -> None:
    assert run("custom:scans", "flat", "--no-truth", "--metrics", "psnr,niqe") == 0
    told = gallery(home / "run")
    assert [case["truth"] for case in told["cases"]] == [None] * 3
    assert {score["key"]: score["group"] for score in told["scores"]} == {
        "niqe:matlab": "Perception"
    }
    page = (home / "run/report.html").read_text(encoding="utf-8")
    assert f"Fidelity and Invented: not measured, {NO_TRUTH}." in page
    assert "ground truth</figcaption>" not in page
    assert "without a truth" in (home / "run/report.md").read_text(encoding="utf-8")
    assert main(["report", "run", "--figure", "scans/nlm/p1"]) == 0
    assert (home / "run/figures/scans_p1.png").is_file()


def test_shards_are_merged_to_the_bytes_of_one_run(run: Call, home: Path) -> None:
    words = ("--no-truth", "--metrics", "psnr,niqe")
    assert run("custom:scans", "flat", *words, out="whole") == 0
    for k in (1, 2):
        assert run("custom:scans", "flat", *words, "--shard", f"{k}/2", out=f"s{k}") == 0
    assert main(["merge", "s1", "s2", "--out", "merged"]) == 0
    for name in ("per_image.jsonl", "summary.csv"):
        assert (home / "merged" / name).read_bytes() == (home / "whole" / name).read_bytes()


def test_a_folder_goes_on_only_as_it_began(run: Call, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dehaze", "one", "--no-truth", "--metrics", "niqe") == 0
    assert run("dehaze", "one", "--no-truth", "--metrics", "niqe") == 0
    assert run("dehaze", "pairs", "--metrics", "niqe") == 2
    assert "no_truth: True -> False" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("tasks", "data", "more", "said"),
    [
        ("custom:scans", "flat", (), "--no-truth where these are the inputs"),
        ("dehaze", "one", (), "or give --no-truth where there are none"),
        ("dehaze", "mini", ("--no-truth",), "found mini, all clean"),
        ("dehaze", "pairs", ("--no-truth",), "found gt/; leave --no-truth out"),
        ("dehaze", "one", ("--no-truth", "--pair", "{name}_GT"), "found --pair"),
        ("dehaze", "absent", ("--no-truth",), "found no such folder"),
        ("dehaze", "one", ("--no-truth", "--methods", "clean"), "is given the ground truth"),
    ],
)
def test_mistakes_are_one_line(
    run: Call, capsys: pytest.CaptureFixture[str], tasks: str, data: str, more: tuple[str, ...],
    said: str,
) -> None:  # fmt: skip
    assert run(tasks, data, *more) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_inputs_that_changed_are_noticed(
    run: Call, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("custom:scans", "flat", "--no-truth", "--metrics", "niqe")
    assert run(*words) == 0
    write_png(home / "flat/p1.png", np.full(SHAPE, 90, np.uint8))
    assert run(*words) == 2
    assert "data: scans/p1" in capsys.readouterr().err


# score --no-reference


def test_score_without_a_reference(run: Call, home: Path) -> None:
    assert main(
        ["score", "flat", "--no-reference", "--metrics", "niqe,psnr,invented_share", "--offline",
         "--out", "scores.json"]
    ) == 0  # fmt: skip
    told = json.loads((home / "scores.json").read_text())
    session = Session(Resolver({}, (), offline=True))
    pictures = [read_image(home / f"flat/p{k}.png") for k in range(3)]
    right = session.per_image(resolve(["niqe"])[0], pictures, pictures[::-1])
    assert [row["value"] for row in told["values"]] == pytest.approx(right)
    assert {name: why["reason"] for name, why in told["not_measured"].items()} == {
        "psnr:rgb": NO_REFERENCE,
        "invented_share:bands": NO_REFERENCE,
    }


def test_folders_without_a_reference_are_compared_by_name(
    run: Call, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", "pairs/gt", "flat", "--no-reference", "--metrics", "niqe,psnr", "--offline"]
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "flat against gt" in said
    assert "3 (3)" in said
    assert "pictures of one name are a scene" in said
    assert "each clean picture is a scene" not in said


@pytest.mark.parametrize("words", [("--pair", "{name}_GT"), ("--order", "sorted")])
def test_no_rule_for_partners_that_do_not_exist(
    run: Call, capsys: pytest.CaptureFixture[str], words: tuple[str, str]
) -> None:
    assert main(["score", "flat", "--no-reference", "--metrics", "niqe", *words]) == 2
    assert "expected no rule for partners" in capsys.readouterr().err


def test_a_run_without_any_number_is_not_compared(
    run: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("dehaze", "one", "--no-truth", "--methods", "nlm,dcp", "--metrics", "psnr,ssim") == 0
    assert "compare:" not in capsys.readouterr().err


def test_inputs_in_two_places_are_refused(
    run: Call, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_png(home / "one" / "other.png", np.zeros(SHAPE, np.uint8))
    assert run("dehaze", "one", "--no-truth") == 2
    assert "expected inputs in one or in hazy/, found some in both" in capsys.readouterr().err
