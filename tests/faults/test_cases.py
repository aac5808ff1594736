"""The inputs that once went wrong, by the numbers of their README, through the command line.

They lie beside the evaluation photographs and are never copied: `shared/cases`.
"""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_metrics.base.cache import cache_folder
from e2r_metrics.base.pictures import write_png

pytestmark = pytest.mark.data
QUIET = ("--device", "cpu", "--offline")


@pytest.fixture(scope="session")
def cases() -> Path:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    folder = Path(os.environ.get("E2R_SHARED_DATA", beside)).parent / "cases"
    if not (folder / "01-png16").is_dir():
        pytest.skip(f"the inputs that once went wrong are not at {folder}; set E2R_SHARED_DATA")
    return folder


@pytest.fixture
def call(cases: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> "Call":
    return Call(cases, tmp_path, capfd)


class Call:
    """The commands of the README, with what they printed last."""

    def __init__(self, cases: Path, out: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.cases, self.out, self._captured = cases, out, captured
        self.said = self.printed = ""

    def line(self, *words: object) -> int:
        self._captured.readouterr()
        code = main([str(word) for word in words])
        self.printed, self.said = self._captured.readouterr()
        assert "Traceback" not in self.said
        return code

    def score(self, results: str, clean: str, *words: str) -> int:
        given = words or ("--metrics", "psnr")
        pair = (self.cases / results, self.cases / clean)
        return self.line("score", *pair, *given, "--format", "json", *QUIET)

    def run(self, results: str, data: str, *words: str) -> int:
        shutil.rmtree(self.out / "run", ignore_errors=True)
        given = words or ("--metrics", "psnr")
        chosen = ("--methods", f"m=folder:{self.cases / results}", "--tasks", "derain")
        where = ("--data", self.cases / data, "--out", self.out / "run")
        return self.line("run", *chosen, *where, *given, *QUIET)

    def degraded(self, data: str) -> int:
        shutil.rmtree(self.out / "run", ignore_errors=True)
        chosen = ("--methods", "degraded", "--tasks", "derain", "--metrics", "psnr", "--limit", 2)
        where = ("--data", self.cases / data, "--out", self.out / "run")
        return self.line("run", *chosen, *where, *QUIET)

    def lora(self, adapter: Path, *words: str) -> int:
        shutil.rmtree(self.out / "run", ignore_errors=True)
        chosen = ("--set", "backbone=kontext-nano", "--set", f"adapter={adapter}", *words)
        short = ("--metrics", "psnr", "--limit", 1, "--steps", 2, "--out", self.out / "run")
        return self.line(
            "run", "--methods", "m=kontext_lora", *chosen, "--tasks", "derain", *short, *QUIET
        )

    def train(self, data: str) -> int:
        shutil.rmtree(self.out / "trained", ignore_errors=True)
        short = ("--pairs", 2, "--epochs", 1, "--resolution", 64, "--sample-every", 0)
        where = ("--data", f"denoise25={self.cases / data}", "--out", self.out / "trained")
        return self.line("train", "--profile", "nano", "--tasks", "denoise25", *short, *where)

    def scored(self, metric: str = "psnr") -> float:
        """What `score` printed last."""
        rows = json.loads(self.printed)["summary"]
        return float(next(row["value"] for row in rows if row["metric"] == metric))

    def measured(self, method: str = "m", metric: str = "psnr") -> list[float]:
        """What stands in the rows of the run, failed pictures left out."""
        rows = map(json.loads, (self.out / "run" / "per_image.jsonl").read_text().splitlines())
        own = [row for row in rows if row["method"] == method and row["metric"] == metric]
        return [float(row["value"]) for row in own if row["status"] == "ok"]

    def both(self, results: str, folder: str, *words: str) -> tuple[float, float]:
        """The mean by `score` and by `run` of one folder of results, neither refused."""
        assert self.score(results, f"{folder}/gt", *words) == 0
        scored = self.scored()
        # The protocol of a run rounds by itself.
        of_score = words.index("--depth") if "--depth" in words else len(words)
        assert self.run(results, folder, *words[:of_score]) == 0
        return scored, float(np.mean(self.measured()))


# Reading: one rule on every path


@pytest.mark.parametrize(
    ("results", "right", "words"),
    [
        ("res8", 28.147, ()), ("rest16", 28.147, ()),
        ("res16", 28.147, ("--metrics", "psnr", "--depth", "round")),
        ("res16g", 21.719, ()), ("res16g8", 21.719, ()),
        ("resf", 21.719, ("--metrics", "psnr", "--range", "1")),
    ],
)  # fmt: skip
def test_01_sixteen_bits_and_floats(
    call: Call, results: str, right: float, words: Sequence[str]
) -> None:
    assert call.both(f"01-png16/{results}", "01-png16/data", *words) == pytest.approx(
        (right, right), abs=2e-3
    )


def test_01_floats_of_no_stated_range(call: Call) -> None:
    for code in (
        call.score("01-png16/resf", "01-png16/data/gt"),
        call.run("01-png16/resf", "01-png16/data"),
    ):
        assert code == 1
        assert "--range" in call.said
        assert "im1.tif" in call.said


@pytest.mark.slow
def test_01_a_training_sees_the_pictures(call: Call) -> None:
    losses = []
    for data in ("data/gt", "data16/gt"):
        assert call.train(f"01-png16/{data}") == 0
        log = (call.out / "trained" / "train.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in log if "loss" in line])
    assert losses[0] == pytest.approx(losses[1], rel=1e-2)


@pytest.mark.parametrize("results", ["la", "opaque", "pal"])
def test_08_opaque_pictures_of_any_kind(call: Call, results: str) -> None:
    scored, run = call.both(f"08-alpha/{results}", "08-alpha/data")
    assert scored == pytest.approx(run, abs=1e-6)
    assert scored > 21


@pytest.mark.parametrize("results", ["transp", "paltrns"])
def test_08_translucent_pictures(call: Call, results: str) -> None:
    for code in (
        call.score(f"08-alpha/{results}", "08-alpha/data/gt"),
        call.run(f"08-alpha/{results}", "08-alpha/data"),
    ):
        assert code == 1
        assert "--flatten" in call.said
    words = ("--metrics", "psnr", "--flatten", "white")
    scored, run = call.both(f"08-alpha/{results}", "08-alpha/data", *words)
    assert scored == pytest.approx(run, abs=1e-6)


def test_08_translucent_inputs(call: Call) -> None:
    assert call.run("08-alpha/opaque", "08-alpha/dlq") == 1
    assert "--flatten" in call.said


def test_06_cut_behind_a_thumbnail(call: Call) -> None:
    folder = "06-cut-jpeg-thumbnail"
    for code in (
        call.score(f"{folder}/res", f"{folder}/gt"),
        call.run(f"{folder}/res", f"{folder}/gt"),
    ):
        assert code == 1
        assert call.said.count("cut off") == 2
    assert call.score(f"{folder}/whole", f"{folder}/gt") == 0


def test_28_grey_by_name(call: Call) -> None:
    for channel, right in (("gray", 24.65), ("y", 25.97)):
        words = ("--metrics", "psnr", "--channel", channel)
        assert call.score("28-grey/res", "28-grey/gt", *words) == 0
        assert call.scored() == pytest.approx(right, abs=5e-3)
        assert f"psnr:{channel}" in call.printed
    assert call.score("28-grey/res", "28-grey/gt") == 0
    assert call.scored() == pytest.approx(24.65, abs=5e-3)


# Finding and pairing


def test_02_suffixes_in_capitals(call: Call) -> None:
    both = call.both("02-uppercase-ext/res", "02-uppercase-ext/data")
    assert both == pytest.approx((28.147, 28.147), abs=1e-3)


def test_03_nested_folders(call: Call) -> None:
    for code in (
        call.score("03-nested/res", "03-nested/gt"),
        call.run("03-nested/res", "03-nested/data"),
    ):
        assert code == 2
        assert "give --recursive" in call.said
    words = ("--metrics", "psnr", "--recursive")
    assert call.score("03-nested/res", "03-nested/gt", *words) == 0
    assert call.run("03-nested/res", "03-nested/data", *words) == 0
    assert len(call.measured()) == 4
    assert np.mean(call.measured()) == pytest.approx(28.2316, abs=1e-4)


def test_04_names_of_folders(call: Call) -> None:
    for folder in sorted((call.cases / "04-folder-names").iterdir()):
        assert call.degraded(f"04-folder-names/{folder.name}") == 0, folder.name
        assert np.mean(call.measured("degraded")) == pytest.approx(20.26, abs=5e-3), folder.name


@pytest.mark.parametrize("k", ["", "2", "3", "4", "5"])
def test_25_suffixes_and_prefixes(call: Call, k: str) -> None:
    assert call.score(f"25-suffix/res{k}", f"25-suffix/gt{k}") == 0
    assert call.scored() == pytest.approx(28.147, abs=1e-3)


def test_25_a_stated_pattern(call: Call) -> None:
    words = ("--metrics", "psnr", "--pair", "{name}_GT")
    assert call.score("25-suffix/res5", "25-suffix/gt5", *words) == 0
    assert call.scored() == pytest.approx(28.147, abs=1e-3)


def test_25_ambiguity_is_refused(call: Call) -> None:
    for name in ("a.png", "a_out.png"):
        write_png(call.out / "res" / name, np.zeros((8, 8, 3), np.uint8))
    write_png(call.out / "gt" / "a_GT.png", np.zeros((8, 8, 3), np.uint8))
    assert call.score(str(call.out / "res"), str(call.out / "gt")) == 2
    assert "a_out" in call.said


def test_33_one_result_is_missing(call: Call) -> None:
    assert call.run("33-folder-missing-one/res", "33-folder-missing-one/data") == 1
    assert len(call.measured()) == 2
    assert "derain/im1" in call.said
    assert call.score("33-folder-missing-one/res", "33-folder-missing-one/data/gt") == 2
    assert "im1.png" in call.said


@pytest.mark.parametrize("layout", [pytest.param("gt-lq", marks=pytest.mark.slow), "rain"])
def test_42_a_training_pairs_as_a_run_does(call: Call, layout: str) -> None:
    assert call.train(f"42-train-layouts/{layout}") == 0
    assert call.degraded(f"42-train-layouts/{layout}") == 0


def test_31_unpaired_sets_are_scored_without_a_reference(call: Call) -> None:
    words = ("--no-reference", "--metrics", "brisque,psnr")
    assert call.score("31-unpaired/res", "31-unpaired/real", *words) in (0, 1)
    told = json.loads(call.printed)["scores"]
    assert "there is none" in told["res"]["not_measured"]["psnr:rgb"]["reason"]
    if "brisque:live" in told["res"]["not_measured"]:
        pytest.skip("the weights of BRISQUE are not on this machine")
    assert [len(told[name]["values"]) for name in ("res", "real")] == [3, 4]


@pytest.mark.parametrize("words", [("--metrics", "psnr"), ("--metrics", "fd_effnet")])
def test_31_unpaired_sets_are_refused_in_one_line(call: Call, words: Sequence[str]) -> None:
    assert call.score("31-unpaired/res", "31-unpaired/real", *words) == 2
    assert call.said.count("\n") == 1
    assert "expected a partner" in call.said


def test_24_no_truth_is_refused_in_one_line(call: Call) -> None:
    assert call.run("24-no-gt/res", "24-no-gt/rtts") == 2
    assert call.said.count("\n") == 1
    assert "found only hazy/" in call.said
    assert "--no-truth" in call.said


@pytest.mark.parametrize(("task", "data"), [("dehaze", "rtts"), ("custom:haze", "flat")])
def test_24_inputs_without_a_truth(call: Call, task: str, data: str) -> None:
    words = ("run", "--methods", f"m=folder:{call.cases / '24-no-gt' / 'res'}", "--tasks", task,
             "--data", call.cases / "24-no-gt" / data, "--no-truth", "--out", call.out / "run",
             "--metrics", "brisque,psnr", *QUIET)  # fmt: skip
    assert call.line(*words) == 0
    assert "psnr:rgb" in call.printed
    assert "the pictures have no ground truth" in call.printed
    if "weights fetch" not in call.said:
        assert len(call.measured(metric="brisque")) == 2
    mapped = call.line("maps", call.out / "run", "--offline")
    assert mapped == (0 if task == "dehaze" else 2)


# Measuring


def test_26_one_pair(call: Call) -> None:
    assert call.score("26-one-image/res", "26-one-image/gt", "--metrics", "psnr,fd_effnet") == 0
    assert call.scored() == pytest.approx(28.115, abs=1e-3)
    assert (
        "at least two pairs, found 1"
        in json.loads(call.printed)["not_measured"]["fd_effnet:lite0"]["reason"]
    )


def test_27_other_sizes(call: Call) -> None:
    assert call.score("27-size/res", "27-size/gt") == 1
    assert call.said.count("128x128 and 129x129") == 2
    words = ("--metrics", "psnr", "--shave", "4")
    assert call.score("26-one-image/res", "26-one-image/gt", *words) == 0
    assert "crop 4 pixels" in call.printed


def test_29_a_small_picture_fails_alone(call: Call) -> None:
    words = ("--metrics", "psnr,lpips")
    for code in (
        call.score("29-small/res", "29-small/data/gt", *words),
        call.run("29-small/res", "29-small/data", *words),
    ):
        assert code == 1
        assert "small" in call.said
        assert "at least 31, found 24x24" in call.said
    assert (len(call.measured()), len(call.measured(metric="lpips"))) == (3, 2)
    assert call.line("maps", call.out / "run", "--limit", 3) == 1
    assert "derain/small" in call.said


# Adapters


def _adapter(cases: Path, name: str) -> Path:
    folder = cases / name
    return folder if (folder / "adapter_config.json").exists() else next(folder.iterdir())


def test_14_15_17_20_any_dialect_gives_the_same_picture(call: Call) -> None:
    names = ("14-lora-reference", "14-lora-kohya", "15-lora-comfy", "17-lora-peft-native",
             "20-lora-rslora", "14-lora-kohya-uniform")  # fmt: skip
    values = []
    for name in names:
        assert call.line("adapter", "inspect", _adapter(call.cases, name)) == 0, name
        assert call.lora(_adapter(call.cases, name)) == 0, name
        values.append(call.measured()[0])
    assert values[:-1] == pytest.approx([values[0]] * 5, abs=2e-3)
    assert values[-1] == pytest.approx(values[0], abs=0.05)  # of half the rank where it is fused


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("14-lora-kohya", "alpha differs by layer"),
        ("16-lora-alpha-mixed", "scale after load 0.5 in 6 Linears, 1 in 6 Linears"),
        ("20-lora-rslora", "alpha 8, scale after load 1"),
    ],
)
def test_14_16_20_the_scale_is_the_loaders(call: Call, name: str, said: str) -> None:
    assert call.line("adapter", "inspect", _adapter(call.cases, name)) == 0
    assert said in " ".join(call.printed.split())
    assert "too strong" not in call.printed


def test_16_mixed_scales_are_applied(call: Call) -> None:
    values = []
    for name in ("14-lora-reference", "16-lora-alpha-mixed"):
        assert call.lora(_adapter(call.cases, name)) == 0
        values.append(call.measured()[0])
    assert abs(values[0] - values[1]) > 0.05


def test_16_alpha_can_be_stated(call: Call) -> None:
    file = _adapter(call.cases, "16-lora-aitoolkit")
    assert call.line("adapter", "inspect", file) == 1
    assert "--alpha" in call.printed
    assert call.lora(file) == 2
    assert "--set alpha=N" in call.said
    assert call.line("adapter", "inspect", file, "--alpha", 16) == 0
    assert "alpha 16, scale after load 0.25" in call.printed
    assert call.lora(file, "--set", "alpha=16") == 0
    rows = (call.out / "run" / "per_image.jsonl").read_text()
    assert "lora alpha 16" in rows


def test_39_an_adapter_of_another_size(call: Call) -> None:
    # A whole file of its family: the size is said, and whoever chose the base is told.
    file = _adapter(call.cases, "39-lora-comfy-wrong-size")
    assert call.line("adapter", "inspect", file) == 0
    assert "FLUX.1 [dev] size" in call.printed
    assert call.lora(file) == 2
    assert "3072 -> 3072, this base has 128 -> 128" in call.said


def test_40_an_adapter_of_another_family(call: Call) -> None:
    file = _adapter(call.cases, "40-lora-no-effect")
    assert call.line("adapter", "inspect", file) == 1
    assert "of another family" in " ".join(call.printed.split())
    assert call.lora(file) == 2
    assert "of another family" in call.said


# What is no file


@pytest.mark.parametrize("replaced", ["res", "data/gt"])
def test_replaced_pictures_are_never_the_old_numbers(call: Call, replaced: str) -> None:
    for name in ("res", "data"):
        shutil.copytree(call.cases / "33-folder-missing-one" / name, call.out / name)
    (call.out / "data" / "gt" / "im1.png").unlink()
    (call.out / "data" / "lq" / "im1.png").unlink()
    for folder in ("res", "data", "data/gt", "data/lq"):
        (call.out / folder).chmod(0o755)
    words = ("run", "--methods", f"m=folder:{call.out / 'res'}", "--tasks", "derain",
             "--data", call.out / "data", "--metrics", "psnr", "--out", call.out / "run",
             *QUIET)  # fmt: skip
    assert call.line(*words) == 0
    before = call.measured()
    target = call.out / replaced / "im0.png"
    target.unlink()
    write_png(target, np.full((128, 128, 3), 9, np.uint8))
    if call.line(*words):
        assert "im0" in call.said
        assert "--redo" in call.said
        assert call.line(*words, "--redo") == 0
    assert call.measured()[0] != before[0]
    assert call.measured()[1] == before[1]


def _panorama(folder: Path, side: int) -> Path:
    row = np.zeros((side, side), np.uint8)
    row[::7] = 200
    write_png(folder / "wide.png", row)
    return folder


def test_a_panorama_beyond_the_limit_is_refused_by_name(call: Call) -> None:
    folder = str(_panorama(call.out / "wide", 2000))
    words = ("--metrics", "psnr", "--max-megapixels", "3")
    for code in (call.score(folder, folder, *words), call.run(folder, folder, *words)):
        assert code == 1
        assert "wide" in call.said
        assert "--max-megapixels" in call.said


@pytest.mark.slow
@pytest.mark.parametrize("door", ["score", "run"])
def test_a_panorama_of_13400_is_measured_or_refused(call: Call, door: str) -> None:
    folder = str(_panorama(call.out / "wide", 13_400))
    assert getattr(call, door)(folder, folder) in (0, 1)
    if door == "score" and not call.said:
        assert call.scored() == float("inf")


def test_no_such_device(call: Call) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    folder = call.cases / "26-one-image" / "res"
    assert call.line("score", folder, folder, "--metrics", "psnr", "--device", "cuda") == 2
    assert call.said.startswith("e2r-bench: --device cuda")
    assert call.said.count("\n") == 1


def test_an_unwritable_cache(
    call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = call.out / "cache"
    cache.mkdir()
    (cache / "weights").symlink_to(cache_folder() / "weights")
    (cache / "features").write_text("a file where a folder is needed")
    monkeypatch.setenv("E2R_CACHE", str(cache))
    words = ("--metrics", "psnr,fd_effnet")
    assert call.run("01-png16/res8", "01-png16/data", *words) == 0
    assert call.measured()
    if "weights fetch" in call.said:
        pytest.skip("the weights of EfficientNet-Lite0 are not on this machine")
    assert "E2R_CACHE names another folder" in caplog.text
    assert str(cache / "features") in caplog.text


def test_averaged_weights_are_taken_and_said(tmp_path: Path) -> None:
    import torch

    from e2r_baselines.checkpoints import averaged

    file = tmp_path / "both.pth"
    torch.save({"params": {"w": torch.zeros(1)}, "params_ema": {"w": torch.ones(1)}}, file)
    assert averaged(file) == "params_ema"
