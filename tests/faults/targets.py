"""The commands that the campaign kills: what each starts from, and what it leaves undisturbed."""

import dataclasses
import importlib
import importlib.util
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import commands
import harness
import numpy as np

from e2r_bench.cli import main
from e2r_metrics.base.pictures import write_png

Command = Callable[[], int]
_SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
ADAPTERS_TESTS = Path(__file__).parents[1] / "adapters" / "conftest.py"


@dataclasses.dataclass(frozen=True)
class Target:
    """One command.

    Attributes:
        name: of the command.
        out: the one folder that it writes into.
        before: a folder that `out` starts as a copy of; None where it is not there.
        command: does its work and returns the exit code.
    """

    name: str
    out: Path
    before: Path | None
    command: Command

    def reset(self) -> None:
        """Put `out` into the state that the command starts from."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.parent.mkdir(parents=True, exist_ok=True)
        if self.before is not None:
            shutil.copytree(self.before, self.out, symlinks=True)

    def kills(self, count: int) -> Iterator[tuple[str, list[str]]]:
        """Kill it `count` times, by three signals, and yield when, and what is wrong after each.

        Four of five at file operations spread over its life, one at a random moment.
        """
        since = time.monotonic()
        total, whole = self.undisturbed()
        lasts, draw = time.monotonic() - since, random.Random(self.name)
        for k, operation in enumerate(harness.moments(total, count)):
            sent = _SIGNALS[k % 3]
            if k % 5 == 4:
                kill = harness.Kill(sent, seconds=draw.uniform(0, lasts))
                when = f"{sent.name} after {kill.seconds:.2f} s"
            else:
                kill = harness.Kill(sent, operation=operation)
                when = f"{sent.name} at operation {operation} of {total}"
            yield when, self.after(kill, whole)

    def undisturbed(self) -> tuple[int, Mapping[str, bytes]]:
        """Run it once; return how many file operations it does, and all that it leaves."""
        self.reset()
        total = harness.operations(self.command, self.out)
        return total, harness.contents(self.out)

    def after(self, kill: harness.Kill, whole: Mapping[str, bytes]) -> list[str]:
        """Kill it, give it again, and return what is wrong then; nothing where all is well."""
        self.reset()
        harness.run(self.command, self.out, kill)
        code = harness.run(self.command, self.out)
        wrong = [f"resumed with exit code {code}"] if code else []
        wrong += [
            f"{name} differs" for name in harness.differences(harness.contents(self.out), whole)
        ]
        return wrong + [f"{name} is left over" for name in harness.left_over(self.out)]


def all_targets(folder: Path) -> dict[str, Target]:
    """Return every command by name, their inputs made below `folder`."""
    data = commands.pictures(folder / "data")
    makers = (run, score, maps, report, seeds, compare, leakage, train, claims, pairs)
    return {made.name: made for made in (make(folder, data) for make in makers)}


def run(folder: Path, data: Path) -> Target:
    """The main job."""
    out = folder / "run" / "out"
    return Target("run", out, None, commands.run_command(data, out))


def finished(folder: Path, data: Path) -> Path:
    """Return a run that nobody disturbed, made once."""
    out = folder / "finished" / "out"
    if not out.is_dir():
        code = harness.run(commands.run_command(data, out), out)
        if code:
            raise RuntimeError(f"the run that others start from ended with exit code {code}")
    return out


def _of_a_run(name: str, words: str, folder: Path, data: Path) -> Target:
    out = folder / name.replace(" ", "-") / "out"
    command = commands.line_command(*(word.format(run=out) for word in words.split()))
    return Target(name, out, finished(folder, data), command)


def maps(folder: Path, data: Path) -> Target:
    """Maps and scores of a run."""
    return _of_a_run("maps", "maps {run} --maps invented,lost", folder, data)


def report(folder: Path, data: Path) -> Target:
    """The page of a run."""
    return _of_a_run("report", "report {run}", folder, data)


def seeds(folder: Path, data: Path) -> Target:
    """A study that reads a run."""
    return _of_a_run("study seeds", "study seeds {run} --steps 4", folder, data)


def compare(folder: Path, data: Path) -> Target:
    """Two runs on one page."""
    out, one = folder / "compare" / "out", finished(folder, data)
    command = commands.line_command("compare", one, one, "--out", out / "page.html")
    return Target("compare", out, None, command)


def leakage(folder: Path, data: Path) -> Target:
    """Test pictures among training pictures; exit code 1, for they are the same."""
    out = folder / "leakage" / "out"

    def command() -> int:
        return main(["leakage", str(data), str(data), "--out", str(out)]) - 1

    return Target("leakage", out, None, command)


def score(folder: Path, data: Path) -> Target:
    """Two folders, by a metric of sets too, whose features go into a cache in the same folder."""
    out, results = folder / "score" / "out", folder / "score" / "results"
    for k in range(4):
        noise = np.random.default_rng(100 + k).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        write_png(results / f"{k}.png", noise)
    words = ["score", str(results), str(data), "--metrics", "psnr,ssim,fd_effnet", "--format",
             "json", "--out", str(out / "scores.json"), "--offline"]  # fmt: skip

    def command() -> int:
        means_for_features()
        os.environ["E2R_CACHE"] = str(out / "cache")
        return main(words)

    return Target("score", out, None, command)


def means_for_features() -> None:
    """Let this process take a picture's mean for its features: no weights, and no wait."""
    from e2r_metrics import Session, catalog
    from e2r_metrics.catalog import EXTRACTORS

    bare = {n: dataclasses.replace(row, weights=(), dimension=3) for n, row in EXTRACTORS.items()}
    for home in (
        catalog,
        *map(importlib.import_module, ("e2r_metrics.session", "e2r_metrics.score")),
    ):
        home.EXTRACTORS = MappingProxyType(bare)
    Session.missing = lambda self, metric: None
    Session._extractor = lambda self, row: lambda pixels: pixels.mean((0, 1)).astype(np.float32)


TINY = {"exposure": 4, "epochs": 2, "batch": 2, "resolution": 16, "painted": 32, "rank": 4,
        "alpha": 4, "sequence": 96, "dtype": "float32", "pairs": 2}  # fmt: skip


def tiny_base(folder: Path) -> Path:
    """Return the folder of a whole Kontext pipeline that loads in no time, made once."""
    base = folder / "base"
    if not base.is_dir():
        spec = importlib.util.spec_from_file_location("tiny_pipelines", ADAPTERS_TESTS)
        if spec is None or spec.loader is None:
            raise RuntimeError(f"{ADAPTERS_TESTS} is gone")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.build_tiny_pipe().save_pretrained(base)
    return base


def small_profiles() -> None:
    """Let every profile of this process be a training of a few steps."""
    import torch

    from e2r_adapters.train import profiles

    # Networks of this size only wait for each other in threads.
    torch.set_num_threads(1)
    small = {n: dataclasses.replace(row, **TINY) for n, row in profiles.PROFILES.items()}
    profiles.PROFILES = MappingProxyType(small)


def train(folder: Path, data: Path) -> Target:
    """A training with checkpoints and samples."""
    out, base = folder / "train" / "out", tiny_base(folder)
    config = (
        "--backbone", base, "--tasks", "denoise25", "--data", f"denoise25={data}", "--pairs", "2",
        "--checkpoint-every", "1", "--sample-every", "2", "--device", "cpu", "--profile", "nano",
        "--out", out,
    )  # fmt: skip
    return Target("train", out, None, _small("train", *config))


def _small(*words: object) -> Command:
    def command() -> int:
        small_profiles()
        return main([str(word) for word in words])

    return command


def _arms(name: str, words: str, folder: Path, data: Path) -> Target:
    out = folder / name.replace(" ", "-") / "out"
    taught = commands.pictures(folder / "taught", first=50)
    usual = ("--backbone", tiny_base(folder), "--train-data", f"denoise={taught}", "--data", data,
             "--tasks", "denoise25", "--metrics", "psnr", "--limit", "3", "--epochs", "1",
             "--unit", "image", "--device", "cpu", "--offline", "--out", out)  # fmt: skip
    return Target(name, out, None, _small(*words.split(), *usual))


CLAIMS = """
configs = { a = {}, b = {} }
[paper]
name = "a test's"
backbone = "tiny"
columns = ["psnr"]
higher_is_better = [true]
n = { denoise25 = 3 }
data = { denoise25 = "noise" }
yardstick = ["a", "b"]
[arms.few]
method = "kontext_lora"
steps = 1
training = { pairs = 1 }
[arms.more]
method = "kontext_lora"
steps = 1
training = { pairs = 2 }
[[claims]]
id = "C1"
statement = "few pairs do as well as more"
kind = "equivalent"
first = "few"
second = ["more"]
published = []
metrics = ["psnr"]
"""


def claims(folder: Path, data: Path) -> Target:
    """A claim whose two arms are trained, run and judged."""
    file = folder / "claims.toml"
    file.write_text(CLAIMS)
    return _arms("claims", f"claims {file} --permutations 99", folder, data)


def pairs(folder: Path, data: Path) -> Target:
    """A study that trains two arms."""
    return _arms("study pairs", "study pairs --pairs 1,2 --training-seeds 42", folder, data)
