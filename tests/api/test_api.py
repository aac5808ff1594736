"""The public functions: the numbers of the command line, from folders and from memory."""

import doctest
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import e2r_bench
from e2r_bench.cli import main
from e2r_metrics import UsageError

METRICS = ["psnr", "ssim", "invented_share"]
FUNCTIONS = [name for name in e2r_bench.__all__ if name[0].islower() and name[0] != "_"]


def function(name: str) -> Any:
    found = getattr(e2r_bench, name)
    return getattr(found, "__wrapped__", found)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_every_function_runs(name: str) -> None:
    found = function(name)
    text = inspect.getdoc(found) or ""
    assert "\nExample:\n" in text, "expected an example in the docstring"
    example = text.partition("\nExample:\n")[2]
    tests = doctest.DocTestFinder(recurse=False).find(found, name, globs={})
    results = [doctest.DocTestRunner().run(one) for one in tests]
    assert sum(one.failed for one in results) == 0
    ran = sum(one.attempted for one in results)
    # What needs a run or weights is not run, and says so.
    assert ran > 0 or "Of a run that was made" in example or "With weights" in example


def test_every_name_is_there_and_listed() -> None:
    for name in e2r_bench.__all__:
        assert getattr(e2r_bench, name) is not None
        assert name in dir(e2r_bench)
    with pytest.raises(AttributeError, match="no_such"):
        _ = e2r_bench.no_such


def test_importing_it_needs_nothing_heavy() -> None:
    asked = (
        "import sys, e2r_bench; print(*(m for m in sys.modules if m in {'numpy', 'torch', 'cv2', "
        "'pandas', 'pydantic', 'scipy', 'click'} or m.startswith('e2r_')))"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["e2r_bench"]


@pytest.mark.parametrize("name", ["run", "maps"])
def test_a_package_is_called_as_its_function(name: str) -> None:
    package = importlib.import_module(f"e2r_bench.{name}")
    assert getattr(e2r_bench, name) is package
    real = getattr(importlib.import_module(f"e2r_bench.api.{name}"), name)
    assert inspect.signature(package) == inspect.signature(real)
    # A module of the package comes in afterwards, and the name still answers.
    importlib.import_module(f"e2r_bench.{'run.config' if name == 'run' else 'maps.bands'}")
    assert callable(getattr(e2r_bench, name))


def test_score_is_what_the_command_prints(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near, clean = str(folders / "near"), str(folders / "clean")
    assert main(["score", near, clean, "--metrics", ",".join(METRICS), "--format", "json"]) == 0
    scored = e2r_bench.score(near, clean, METRICS)
    assert scored.json() == capsys.readouterr().out
    assert main(["score", near, clean, "--metrics", "psnr", "--shave", "4", "--format", "csv"]) == 0
    from e2r_metrics.parts import Parts
    from e2r_metrics.view import View

    cut = e2r_bench.score(near, clean, "psnr", parts=Parts(view=View(shave=4)))
    assert cut.frame().to_csv(index=False) == capsys.readouterr().out
    assert "crop 4 pixels at each border" in cut["psnr"].protocol


@pytest.mark.parametrize("form", ["json", "markdown", "latex", "csv"])
def test_judge_is_what_compare_prints(
    folders: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    near, far, clean = (str(folders / name) for name in ("near", "far", "clean"))
    asked = ["--metrics", "psnr,ssim", "--margin", "psnr=0.3", "--format", form]
    assert main(["compare", near, far, "--clean", clean, *asked]) == 0
    every = form in ("markdown", "latex")
    made = e2r_bench.judge(
        near, far, clean=clean, metrics="psnr,ssim", margins={"psnr": 0.3}, every=every
    )
    assert made.text(form) == capsys.readouterr().out
    assert made.verdicts[0].verdict.label == "worse"


def test_run_and_its_comparison_are_what_the_commands_make(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = ["--methods", "nlm,wavelet", "--tasks", "denoise25", "--limit", "3", "--crop", "64"]
    asked += ["--metrics", "psnr", "--device", "cpu"]
    assert main(["run", *asked, "--out", "cli"]) == 0
    ran = e2r_bench.run({
        "methods": ["nlm", "wavelet"], "tasks": ["denoise25"], "limit": 3, "crop": 64,
        "metrics": ["psnr"], "device": "cpu", "out": "api",
    })  # fmt: skip
    for name in ("summary.csv", "per_image.jsonl"):
        assert (ran.folder / name).read_bytes() == (tmp_path / "cli" / name).read_bytes()
    capsys.readouterr()
    assert main(["compare", "nlm", "wavelet", "--run", "api", "--format", "json"]) == 0
    made = e2r_bench.judge_runs(ran, methods=["nlm", "wavelet"])
    assert made.text("json") == capsys.readouterr().out
    assert e2r_bench.open_run("api").frame().equals(ran.frame())
    shown = ran._repr_html_()
    for word in (
        "nlm",
        "psnr:rgb",
        "n = 3 (",
        "±",
        "half of a 95% interval",
        "psnr:rgb v",
        "torch",
    ):
        assert word in shown
    written = e2r_bench.write_maps(ran, methods=["nlm"], names=["invented"], limit=1)
    assert [cell.method for cell in written.cells] == ["nlm"]
    assert list((ran.folder / "maps").rglob("*.invented.png"))


def tensors(pictures: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(one.copy()).permute(2, 0, 1) for name, one in pictures.items()}


@pytest.mark.parametrize("kind", ["arrays", "tensors", "pil", "files", "batch", "tensor batch"])
def test_what_is_in_memory_has_the_numbers_of_its_files(
    folders: Path, sides: Any, kind: str
) -> None:
    made = {
        "arrays": lambda side: side,
        "tensors": tensors,
        "pil": lambda side: {name: PIL.Image.fromarray(one) for name, one in side.items()},
        "files": None,
        "batch": lambda side: np.stack(list(side.values())),
        "tensor batch": lambda side: torch.stack(list(tensors(side).values())),
    }[kind]
    if made is None:
        given = [sorted((folders / name).iterdir()) for name in ("near", "clean")]
    else:
        given = [made(sides.near), made(sides.clean)]
    of_files = e2r_bench.score(folders / "near", folders / "clean", METRICS)
    of_memory = e2r_bench.score(*given, METRICS)
    assert of_memory.numbers == of_files.numbers
    assert list(of_memory.frame().value) == list(of_files.frame().value)


def test_arrays_are_judged_as_their_folders_are(folders: Path, sides: Any) -> None:
    near = e2r_bench.score(sides.near, sides.clean, METRICS, name="near")
    far = e2r_bench.score(sides.far, sides.clean, METRICS, name="far")
    whole = e2r_bench.judge(
        folders / "near", folders / "far", clean=folders / "clean", metrics=METRICS
    )
    made = e2r_bench.judge(near, far)
    for ours, theirs in zip(made.verdicts, whole.verdicts, strict=True):
        one, two = ours.verdict, theirs.verdict
        assert (ours.metric, one.label, one.n, one.scenes) == (
            theirs.metric, two.label, two.n, two.scenes,
        )  # fmt: skip
        assert one.effect == pytest.approx(two.effect, rel=1e-12)
        # Scenes have other names, so that the permutations fall otherwise.
        assert one.holm == pytest.approx(two.holm, abs=0.02)


def test_results_on_other_truths_are_not_paired(sides: Any) -> None:
    other = {name: one[::-1] for name, one in sides.clean.items()}
    near = e2r_bench.score(sides.near, sides.clean, "psnr", name="near")
    flipped = {name: one[::-1] for name, one in sides.far.items()}
    far = e2r_bench.score(flipped, other, "psnr", name="far")
    (only,) = e2r_bench.judge(near, far).verdicts
    assert only.verdict.label == "not measured"


def test_floats_keep_their_depth(sides: Any) -> None:
    for dtype in (np.float32, np.float64):
        near, clean = (
            {name: (one / 255).astype(dtype) for name, one in side.items()}
            for side in (sides.near, sides.clean)
        )
        deep = e2r_bench.score(near, clean, "psnr")["psnr"].value
        eight = e2r_bench.score(sides.near, sides.clean, "psnr")["psnr"].value
        assert deep == pytest.approx(eight, abs=1e-4)
    quarter = {name: one + np.float64(0.25 / 255) for name, one in clean.items()}
    assert e2r_bench.score(quarter, clean, "psnr")["psnr"].value == pytest.approx(60.17, abs=0.01)


BLACK = np.zeros((32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (BLACK.astype(np.uint16), "expected uint8, float32 or float64, found uint16"),
        (BLACK.astype(np.int64), "found int64"),
        (BLACK.astype(np.float16), "found float16"),
        (BLACK + np.float32(2), "divide by 255 or clip"),
        (BLACK - np.float32(1), "divide by 255 or clip"),
        (BLACK + np.float32("nan"), "without NaN"),
        (BLACK[..., 0], r"expected an \(H, W, 3\) RGB array"),
        (BLACK.transpose(2, 0, 1), r"expected an \(H, W, 3\) RGB array"),
        (torch.zeros(32, 32, 3), r"expected a \(3, H, W\) RGB tensor"),
        (torch.zeros(3, 32, 32, dtype=torch.bfloat16), r"found bfloat16; .float\(\)"),
        (torch.zeros(3, 32, 32) + 2, "divide by 255 or clip"),
        (PIL.Image.new("RGBA", (32, 32)), r"mode RGB or L, found RGBA"),
        (PIL.Image.new("P", (32, 32)), "found P"),
        (3, "expected a path, a NumPy array, a torch tensor or a PIL image, found int"),
        (None, "found NoneType"),
    ],
)
def test_what_is_no_picture_is_refused(picture: Any, said: str) -> None:
    for call in (e2r_bench.score, e2r_bench.maps):
        with pytest.raises(UsageError, match=said):
            call(picture, BLACK)
        with pytest.raises(UsageError, match=said):
            call(BLACK, picture)


def test_grey_pil_images_are_repeated_as_grey_files_are() -> None:
    grey = PIL.Image.fromarray(BLACK[..., 0] + np.uint8(3))
    assert grey.mode == "L"
    assert e2r_bench.score(grey, BLACK, "psnr")["psnr"].value == pytest.approx(38.588, abs=1e-3)


@pytest.mark.parametrize(
    ("restored", "clean", "said"),
    [
        ([BLACK], [BLACK, BLACK], "expected a partner for each picture, found none for: 1"),
        ({"a": BLACK}, {"b": BLACK}, "found none for: a, b"),
        ([], [], "no picture"),
        ("no-such-folder", BLACK, "expected two folders, or pictures on both sides"),
        ("no-such-folder", "neither", "expected a folder of pictures"),
    ],
)
def test_sides_that_do_not_pair_are_refused(restored: Any, clean: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        e2r_bench.score(restored, clean, "psnr")


def test_one_picture_that_fails_is_named_and_the_rest_scored(tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    scored = e2r_bench.score(
        {"a": tmp_path / "torn.png", "b": BLACK}, {"a": BLACK, "b": BLACK}, "psnr"
    )
    assert list(scored.failed) == ["a"]
    assert scored["psnr"].n == 1
    assert "failed: a: " in scored._repr_html_()


def test_what_judge_cannot_set_against_each_other_is_refused(sides: Any, folders: Path) -> None:
    near = e2r_bench.score(sides.near, sides.clean, "psnr", name="near")
    with pytest.raises(UsageError, match="expected two results or more, found 1"):
        e2r_bench.judge(near)
    with pytest.raises(UsageError, match="expected different names"):
        e2r_bench.judge(near, near)
    with pytest.raises(UsageError, match="same metrics and parts"):
        e2r_bench.judge(near, e2r_bench.score(sides.far, sides.clean, "ssim", name="far"))
    with pytest.raises(UsageError, match="folders of results need clean="):
        e2r_bench.judge(folders / "near", folders / "far")
    with pytest.raises(UsageError, match="expected folders beside it, found a Scored"):
        e2r_bench.judge(near, near, clean=folders / "clean")
    with pytest.raises(UsageError, match="finite number above 0"):
        e2r_bench.judge(near, replace_name(near), margins={"psnr": 0.0})
    with pytest.raises(UsageError, match="judge_runs: expected a run or more"):
        e2r_bench.judge_runs()


def replace_name(scored: Any) -> Any:
    from dataclasses import replace

    return replace(scored, entrant=replace(scored.entrant, name="other"))


def test_notebooks_show_what_a_number_stands_on(sides: Any) -> None:
    scored = e2r_bench.score(sides.near, sides.clean, METRICS, name="<b>near</b>")
    shown = scored._repr_html_()
    number = scored["psnr"]
    assert number.low is not None
    for word in (
        f"{number.value:.4f}", f"{number.low:.4f} to", ">14<", "psnr:rgb v1 [", "dB", "numpy ",
        "weights and versions", "invented_share:bands", "&lt;b&gt;near",
    ):  # fmt: skip
        assert word in shown, word
    assert "<b>near" not in shown
    far = e2r_bench.score(sides.far, sides.clean, METRICS, name="far")
    shown = e2r_bench.judge(scored, far)._repr_html_()
    for word in ("95% interval", "p (Holm)", "14 (14)", "worse", "margins: ", "numpy "):
        assert word in shown, word
    assert "<b>near" not in shown


def test_maps_are_shown_over_the_picture(sides: Any) -> None:
    clean = sides.clean["03"]
    patched = clean.copy()
    patched[16:32, 16:32] = sides.clean["09"][16:32, 16:32]
    found = e2r_bench.maps(patched, clean)
    inside = np.zeros(clean.shape[:2], bool)
    inside[16:32, 16:32] = True
    invented = found.values["invented"]
    assert invented[inside].mean() > 3 * invented[~inside].mean()
    shown = found._repr_html_()
    assert shown.count("data:image/png;base64,") == 4 + len(found.values)
    assert "invented, over the picture" in shown
    assert "invented_share" in shown
    assert json.loads(json.dumps(dict(found.scores)))["invented_share"] > 0
    only = e2r_bench.maps(torch.from_numpy(patched).permute(2, 0, 1), clean, names=["lost"])
    assert list(only.values) == ["lost"]
    assert (only.values["lost"] == found.values["lost"]).all()
    with pytest.raises(UsageError, match="unknown map"):
        e2r_bench.maps(patched, clean, names=["lots"])
    with pytest.raises(UsageError, match="degraded and task together"):
        e2r_bench.maps(patched, clean, task="denoise25")


def test_maps_of_a_picture_are_those_of_a_run(sides: Any) -> None:
    found = e2r_bench.maps(
        sides.near["05"], sides.clean["05"], degraded=sides.far["05"], task="denoise25",
        seeds=[sides.near["05"], sides.far["05"]],
    )  # fmt: skip
    assert {"inconsistency", "seed_deviation", "hallucination"} <= found.values.keys()
