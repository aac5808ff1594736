"""How far a call travels: `python tests/structure/walks.py [TREE]` counts four named call paths.

Each path is one command of the command line on a small input, traced function by function. An edge
is one function calling another, counted the first time that it happens:

    stays     functions entered
    rooms     modules entered
    climbs    edges from a lower package of the tower up to a higher one
    returns   edges out of one module into another that had been entered before

TREE is a checkout, this one by default, so that two commits are counted by one script.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

TOWER = ("e2r_metrics", "e2r_baselines", "e2r_adapters", "e2r_bench")
ROOTS = (".", "metrics", "baselines", "adapters")

_SMALL = ("--limit", "3", "--device", "cpu", "--offline")
PATHS: Mapping[str, tuple[str, ...]] = {
    "run": ("run", "--methods", "kontext_lora", "--tasks", "denoise25", "--metrics", "psnr",
            "--steps", "2", *_SMALL, "--out", "{out}/run"),
    "train": ("train", "--tasks", "denoise25", "--pairs", "16", "--epochs", "1", "--device", "cpu",
              "--sample-every", "0", "--resolution", "32", "--out", "{out}/adapter"),
    "claims": ("claims", "--only", "C9", "--tasks", "denoise25", "--metrics", "psnr", "--epochs",
               "1", *_SMALL, "--out", "{out}/claims"),
    "score": ("score", "{out}/one", "{out}/two", "--metrics", "psnr"),
}  # fmt: skip


class Walk:
    """Counts edges as a profile function sees them."""

    def __init__(self) -> None:
        self.edges: dict[tuple[str, str], None] = {}

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """Note the first call of one function of ours by another."""
        del argument
        if event != "call" or not (here := _function(frame)):
            return
        before = frame.f_back
        while before is not None and not (caller := _function(before)):
            before = before.f_back
        if before is not None and caller != here:
            self.edges.setdefault((caller, here))

    def counts(self) -> dict[str, int]:
        """Return stays, rooms, climbs and returns."""
        entered: set[str] = set()
        climbs = returns = 0
        for caller, here in self.edges:
            one, two = _module(caller), _module(here)
            climbs += _floor(two) > _floor(one)
            returns += one != two and two in entered
            entered |= {one, two}
        stays = {here for _, here in self.edges}
        return {"stays": len(stays), "rooms": len(entered), "climbs": climbs, "returns": returns}


def _function(frame: FrameType) -> str:
    """Return module:function for a frame of ours, "" for others, lambdas and comprehensions."""
    module = str(frame.f_globals.get("__name__", ""))
    name = frame.f_code.co_qualname
    plain = not name.endswith(("<lambda>", "<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>"))
    return f"{module}:{name}" if module.split(".")[0] in TOWER and plain else ""


def _module(function: str) -> str:
    return function.partition(":")[0]


def _floor(module: str) -> int:
    return TOWER.index(module.split(".")[0])


def trace(path: str, out: Path) -> dict[str, int]:
    """Run one call path of the tree that is imported here and count it."""
    import numpy as np
    from PIL import Image

    from e2r_bench.cli import main

    for folder in ("one", "two"):
        (out / folder).mkdir(exist_ok=True)
        for k in range(3):
            pixels = np.random.default_rng(k).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(out / folder / f"{k}.png")
    walk = Walk()
    sys.setprofile(walk)
    try:
        code = main([part.format(out=out) for part in PATHS[path]])
    finally:
        sys.setprofile(None)
    if code:
        raise SystemExit(f"{path}: exit code {code}")
    return walk.counts()


def count(tree: Path, path: str) -> str:
    """Count one call path of a checkout in a process of its own; the line it prints."""
    roots = os.pathsep.join(str(tree / root) for root in ROOTS)
    environment = {**os.environ, "PYTHONPATH": roots, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as out:
        done = subprocess.run(
            [sys.executable, __file__, "--trace", path, out],
            env=environment, capture_output=True, text=True, check=False, cwd=out,
        )  # fmt: skip
    return done.stdout.strip().splitlines()[-1] if done.returncode == 0 else done.stderr.strip()


def main(arguments: Sequence[str]) -> None:
    """Count every path of a tree, or trace one in this process."""
    if arguments[:1] == ["--trace"]:
        counts = trace(arguments[1], Path(arguments[2]))
        print(" / ".join(f"{value} {name}" for name, value in counts.items()))
        return
    tree = Path(arguments[0] if arguments else Path(__file__).parents[2]).resolve()
    for path in PATHS:
        print(f"{path:8}{count(tree, path)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
