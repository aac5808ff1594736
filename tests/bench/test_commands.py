"""Every command and subcommand, invoked for real on tiny inputs."""

import json
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import click
import numpy as np
import pytest

from e2r_bench.cli import cli, main
from e2r_metrics import selfcheck
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.pictures import write_png
from e2r_metrics.selfcheck import Published

TASK = "denoise25"
_ON = ["--tasks", TASK, "--metrics", "psnr", "--limit", "3", "--device", "cpu", "--offline"]
_TRAINED = ["--backbone", "kontext-nano", "--epochs", "1"]
_ADAPTER = "adapters/e2r_adapters/embedded/adapters/derain/pytorch_lora_weights.safetensors"

# In an order in which each finds what it needs; {run} is a run of two seeds and three step counts.
INVOCATIONS: dict[str, list[str]] = {
    "run": ["--methods", "kontext", "--set", "backbone=kontext-nano", "--data", "{data}",
            "--seeds", "0,1", "--steps", "1,2,3", *_ON, "--out", "{run}"],
    "merge": ["{shards}/1", "{shards}/2", "--device", "cpu", "--offline", "--out", "{out}/merged"],
    "score": ["{run}/pairs/denoise25/degraded", "{run}/pairs/denoise25/clean", "--metrics", "psnr"],
    "explain": ["{near}/restored", "{near}/clean", "--says", "psnr=38.59"],
    "selfcheck": ["--pictures", "{near}", "--offline"],
    "plan": ["{out}/experiment.toml", "--gpus", "8", "--gpu", "h100", "--price", "2"],
    "study seeds": ["{run}", "--steps", "2"],
    "study steps": ["{run}", "--margin", "psnr=0.3"],
    "study filter": ["--candidates", "2", "--filter-steps", "1", "--steps", "2", "--seeds", "0,1",
                     "--metrics", "psnr", "--data", "{data}", "--tasks", "denoise25",
                     "--limit", "3", "--device", "cpu", "--offline", "--out", "{out}/filter"],
    "study plan": ["--tasks", "haze+noise", "--tools", "noise=nlm,haze=dcp", "--data", "{data}",
                   "--limit", "3", "--device", "cpu", "--offline", "--out", "{out}/plan"],
    "study tradeoff": ["{out}/tradeoff.toml"],
    "maps": ["{run}", "--limit", "1", "--maps", "signed_error"],
    "report": ["{run}", "--beside"],
    "compare": ["{run}", "{run}", "--out", "{out}/comparison.html"],
    "check": ["{run}", "--against", "{run}", "--tolerance", "psnr=0.1"],
    "status": ["{run}"],
    "cite": ["{run}"],
    "export": ["{run}", "--to", "csv"],
    "publish": ["{run}", "--out", "{out}/bundle"],
    "verify": ["{out}/bundle", "--offline", "--data", "{data}"],
    "init": ["claims", "--out", "{out}/started.toml"],
    "completion": ["bash"],
    "metrics": [],
    "methods": ["--offline"],
    "weights": ["--json"],
    "weights fetch": ["kontext-nano"],
    "data": ["--json"],
    "data fetch": ["cbsd68", "--to", "{out}/sets"],
    "leakage": ["{other}", "{data}", "--out", "{out}/leaks"],
    "drift": [],
    "train": ["--tasks", "derain", "--data", "derain={pairs}", "--pairs", "16", "--epochs", "1",
              "--resolution", "16", "--sample-every", "0", "--device", "cpu",
              "--out", "{out}/lora"],
    "adapter inspect": ["{out}/lora/pytorch_lora_weights.safetensors"],
    "study pairs": ["--pairs", "64,128", "--training-seeds", "42", "--train-data",
                    "denoise={clean}", *_TRAINED, "--data", "{data}", *_ON, "--out", "{out}/arms"],
    "study prompts": ["--train-data", "denoise={clean}", *_TRAINED, "--data", "{data}", *_ON,
                      "--out", "{out}/arms"],
    "claims": ["{out}/claims.toml", "--only", "C1", "--train-data", "denoise={clean}", *_TRAINED,
               "--data", "{data}", *_ON, "--power", "--spread", "psnr=0.6", "--seeds", "0,1",
               "--training-seeds", "42", "--out", "{out}/arms"],
}  # fmt: skip
ELSEWHERE = {"adapter convert"}
"""What needs a file that another program wrote: tests/adapters/test_convert.py."""


def _leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[str]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        here = (*path, name)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield " ".join(here)
        if isinstance(command, click.Group):
            yield from _leaves(command, here)


def test_every_command_and_subcommand_stands_below() -> None:
    assert set(_leaves(cli)) == set(INVOCATIONS) | ELSEWHERE


def _pictures(folder: Path, count: int, seed: int, side: int = 48) -> Path:
    for k in range(count):
        pixels = np.random.default_rng((seed, k)).integers(0, 256, (side, side, 3))
        write_png(folder / f"{k:03}.png", pixels.astype(np.uint8))
    return folder


def _shards(root: Path) -> None:
    for part in ("1", "2"):
        asked = ["--methods", "nlm", "--data", str(root / "data"), *_ON, "--shard", f"{part}/2"]
        assert main(["run", *asked, "--out", str(root / "shards" / part)]) == 0


def _published(folder: Path) -> tuple[Published, dict[str, str]]:
    """Three pairs 3 grey levels apart: 20 log10(85) = 38.588 dB; the first as a published value."""
    for k in range(3):
        clean = np.random.default_rng(k).integers(0, 200, (32, 32, 3)).astype(np.uint8)
        write_png(folder / "clean" / f"{k}.png", clean)
        write_png(folder / "restored" / f"{k}.png", clean + np.uint8(3))
    (folder / "known").mkdir()
    for name, side in (("a.png", "restored"), ("b.png", "clean")):
        (folder / "known" / name).write_bytes((folder / side / "0.png").read_bytes())
    row = Published("psnr:rgb", "a.png", "b.png", 38.588, 0.001, "this test")
    return row, {name: sha256_of(folder / "known" / name) for name in ("a.png", "b.png")}


def _tradeoff(root: Path) -> str:
    return f"""
title = "A test"
out = "{root}/tradeoff"
perception = "ssim"

[settings]
metrics = ["psnr", "ssim"]
data = ["{root}/data"]
device = "cpu"
offline = true

[[run]]
name = "noise"
tasks = ["{TASK}"]
methods = ["wavelet", "nlm"]

[[pair]]
first = "nlm"
second = "wavelet"
tasks = ["{TASK}"]
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    root = tmp_path_factory.mktemp("commands")
    _pictures(root / "data", 3, 0)
    _pictures(root / "other", 3, 1)
    _pictures(root / "clean", 128, 2, 64)
    # As many as the set has: fetched before, so nothing is asked of the net.
    _pictures(root / "sets" / "CBSD68", 68, 5, 4)
    for side, seed in (("clean", 3), ("degraded", 4)):
        _pictures(root / "pairs" / side, 16, seed, 32)
    built_in = files("e2r_bench.arms").joinpath("data", "edit2restore.toml").read_text("utf-8")
    mine = built_in.replace('metrics = ["fid", "cmmd", "clip_iqa"]', 'metrics = ["psnr"]')
    # The claims' arm is the one that the studies have trained by then.
    mine = mine.replace("{ pairs = 128, text_encoder = true }", "{ pairs = 128 }")
    (root / "claims.toml").write_text(mine, encoding="utf-8")
    (root / "tradeoff.toml").write_text(_tradeoff(root), encoding="utf-8")
    _shards(root)
    row, hashes = _published(root / "near")
    folders = ("data", "other", "clean", "pairs", "run", "shards", "near")
    asked = 'methods = ["kontext"]\nmethod = {backbone = "kontext-nano"}\ntasks = ["derain"]\n'
    (root / "experiment.toml").write_text(asked, encoding="utf-8")
    named = {name: str(root / name) for name in folders}
    with pytest.MonkeyPatch.context() as patch:
        # The publishers' pictures may not be here; a value of our own stands in their table.
        patch.setattr(selfcheck, "PUBLISHED", (row,))
        patch.setattr(selfcheck, "SHA256", hashes)
        yield named | {"out": str(root)}


@pytest.mark.parametrize("name", INVOCATIONS)
def test_it_does_its_work(
    name: str, places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [part.format(**places) for part in INVOCATIONS[name]]
    assert main([*name.split(), *arguments]) == 0, capsys.readouterr().err
    captured = capsys.readouterr()
    assert captured.out.strip()
    assert "Traceback" not in captured.err


def test_seeds_of_a_finished_run_are_its_own(
    places: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """After the run and the study above."""
    words = ["study", "seeds", places["run"], "--steps", "2", "--seeds"]
    assert main([*words, "1,0"]) == 0
    assert main([*words, "0,7"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "has 0, 1" in said
    assert "found 7 too" in said
    assert "--seeds 0,1,7" in said


def test_verdicts_say_on_what_arms_were_trained(places: dict[str, str]) -> None:
    """After the claims and studies above: the line, the table and the page."""
    studies = Path(places["out"]) / "arms" / "studies"
    said = "trained on denoise: clean"
    table = json.loads((studies / "claims" / "verdicts.json").read_text())
    assert said in table[0]["this run"]
    assert table[0]["this run"].startswith("not resolved; said of these two adapters")
    assert "(3 scenes): no verdict of any kind below 10" in table[0]["this run"]
    for study in ("claims", "pairs", "prompts"):
        assert said in (studies / study / "README.md").read_text()
    pages = [page.read_text() for page in studies.parent.glob("runs/*/report.html")]
    assert pages
    assert all("no verdict of any kind below 10" in page for page in pages)
    told = [json.loads(p.read_text()) for p in studies.parent.glob("adapters/*/training.json")]
    assert [one["trained_on"] for one in told] == [{"denoise": "noise painted on clean"}] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["study", "steps", "--steps", "1,2"], "--steps: expected at least 3 of them"),
        (["study", "seeds", "--seeds", "0"], "--seeds: expected at least 2 of them"),
        (["study", "steps", "--margin", "psnr=nan"], "expected a finite number above 0"),
        (["study", "prompts", "--margin", "psrn=1"], "did you mean 'psnr'"),
        (["claims", "--spread", "psnr=0.5"], "--spread: expected --power"),
        (["claims", "--power", "--spread", "psrn=0.5"], "did you mean 'psnr'"),
    ],
)
def test_what_says_nothing_is_refused_before_a_run(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--backbone", "kontext-nano"] if arguments[0] == "claims" else []
    assert main([*arguments, *out, "--offline", "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "runs").exists()
