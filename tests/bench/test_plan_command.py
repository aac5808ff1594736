"""`e2r-bench plan`: counted by hand, timed here, and the example of docs/scale.md."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.run.config import Experiment
from e2r_bench.run.estimates import PEAKS, REACHED, estimated_seconds, step_operations
from e2r_bench.run.paper import Asked, plan_on_paper
from e2r_bench.run.plan import known_methods
from e2r_metrics.base.pictures import write_png

ROOT = Path(__file__).parents[2]
SMALL = """
methods = ["nlm"]
tasks = ["denoise25", "derain"]
data = ["{data}"]
device = "cpu"
offline = true
batch = 2
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment on five pictures of 40 x 32."""
    for k in range(5):
        pixels = np.random.default_rng(k).integers(0, 256, (32, 40, 3), dtype=np.uint8)
        write_png(tmp_path / "data" / f"{k}.png", pixels)
    path = tmp_path / "small.toml"
    path.write_text(SMALL.format(data=tmp_path / "data"), encoding="utf-8")
    return path


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["plan", *words, "--json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_cells_and_storage_are_those_of_the_run(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    paper = planned(capsys, str(small))
    assert sorted(tmp_path.rglob("*")) == before
    assert paper["cells"] == 3 * 2 * 5
    assert paper["storage_bytes"] == (30 + 2 * 2 * 5) * 32 * 40 * 3
    assert paper["unknown"] == ["nlm"]
    assert paper["hours"] == 0
    assert paper["cost"] is None


def test_a_timing_here_and_a_run_say_where_they_are_of(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = planned(capsys, str(small), "--time", "--price", "3", "--gpus", "2")
    assert paper["device"] == "CPU"
    assert paper["unknown"] == []
    mine = [line for line in paper["lines"] if line["method"] == "nlm"]
    assert {line["origin"] for line in mine} == {
        "measured on cpu, mean of 1 picture a step count, warm-up in it"
    }
    seconds = sum(5 * line["seconds"] for line in mine)
    assert seconds > 0
    assert paper["hours"] == pytest.approx(seconds / 3600)
    assert paper["cost"] == pytest.approx(3 * seconds / 3600)
    assert paper["longest_hours"] == pytest.approx(2 * max(x["seconds"] for x in mine) / 3600)
    out = str(tmp_path / "run")
    assert main(["run", str(small), "--metrics", "psnr", "--out", out]) == 0
    capsys.readouterr()
    seen = planned(capsys, str(small), "--timings", out)
    assert {line["origin"] for line in seen["lines"] if line["method"] == "nlm"} == {
        "measured on cpu, mean of 5 pictures or more a step count"
    }


def test_the_time_of_another_build_is_not_taken() -> None:
    experiment = Experiment(methods=("nlm",), tasks=("derain",))
    timed = {("nlm", "another", "derain", 0): 1.0}
    paper = plan_on_paper(experiment, Asked(pictures=4, timed=timed), known_methods())
    assert paper.unknown == ("nlm",)
    timed = {("nlm", paper.lines[-1].build, "derain", 0): 1.0}
    paper = plan_on_paper(experiment, Asked(pictures=4, timed=timed), known_methods())
    assert paper.hours == 4 / 3600


def test_shards_take_as_long_as_their_longest() -> None:
    experiment = Experiment(methods=("nlm",), tasks=("denoise15", "derain"), batch=1)
    build = plan_on_paper(experiment, Asked(pictures=5), known_methods()).lines[-1].build
    timed = {("nlm", build, "denoise15", 0): 1.0, ("nlm", build, "derain", 0): 3.0}
    paper = plan_on_paper(experiment, Asked(gpus=3, pictures=5, timed=timed), known_methods())
    # In a line 1 1 1 1 1 3 3 3 3 3: three shards are 3, 3 and 4 pictures; the last takes 12 s.
    hours = {wall.shards: wall.hours * 3600 for wall in paper.walls}
    assert hours == pytest.approx({1: 20, 3: 12, 10: 8})
    assert paper.longest_hours * 3600 == pytest.approx(3)
    # The slow ones first, two GPUs, eight shards of 3 3 3 6 1 1 1 2 seconds.
    turned = experiment.model_copy(update={"tasks": ("derain", "denoise15")})
    paper = plan_on_paper(turned, Asked(gpus=2, pictures=5, timed=timed), known_methods())
    hours = {wall.shards: wall.hours * 3600 for wall in paper.walls}
    assert hours == pytest.approx({1: 20, 2: 15, 8: 11})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gpu", "h1000"], "unknown GPU 'h1000': did you mean 'h100'"),
        (["--time", "--pictures", "3"], "--time: expected neither --pictures nor --timings"),
        (["--size", "5x5"], "--size: expected --pictures with it"),
        (["--pictures", "3", "--size", "5"], "--size: expected WIDTHxHEIGHT"),
        (["--time", "--gpu", "h100"], "--gpu h100: expected timings of a GPU"),
        (["--timings", "."], "run.json"),
        (["--price", "-1"], "--price"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], said: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(small), *words]) == 2
    assert said in capsys.readouterr().err
    assert main(["plan", str(small.with_name("none.toml"))]) == 2
    assert "expected a TOML file" in capsys.readouterr().err


def test_the_operations_of_a_step_are_those_of_the_network() -> None:
    """An empty FLUX.1 in diffusers, its operations counted by torch at 512 pixels square."""
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    from torch.utils.flop_counter import FlopCounterMode

    tokens = 2 * 1024
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counted:
        diffusers.FluxTransformer2DModel(guidance_embeds=True)(
            hidden_states=torch.empty(1, tokens, 64),
            encoder_hidden_states=torch.empty(1, 512, 4096),
            pooled_projections=torch.empty(1, 768),
            timestep=torch.empty(1),
            guidance=torch.empty(1),
            txt_ids=torch.empty(512, 3),
            img_ids=torch.empty(tokens, 3),
        )
    assert step_operations(512 * 512) == pytest.approx(counted.get_total_flops(), rel=0.005)


def test_the_example_of_the_docs_is_what_the_command_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8").partition("## The plan on")[2]
    toml, shown = re.findall(r"```(?:toml)?\n(.*?)```", text, re.DOTALL)[:2]
    command, _, output = shown.partition("\n")
    asked = tmp_path / "full.toml"
    asked.write_text(toml, encoding="utf-8")
    words = command.removeprefix("$ e2r-bench ").replace("full.toml", str(asked)).split()
    assert main(words) == 0
    assert capsys.readouterr().out == output


def test_the_table_of_the_docs_is_the_arithmetic() -> None:
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    for gpu, peak in PEAKS.items():
        small, large = (estimated_seconds(gpu, 28, side * side) for side in (512, 1024))
        assert f"| {gpu} | {peak / 1e12:.0f} | {small:.2f} | {large:.2f} |" in text
    assert f"a step is {step_operations(1024 * 1024) / 1e12:.0f} TFLOP at 1024x1024" in text
    assert f"{REACHED:.0%} of the GPU's peak is reached is assumed" in text
