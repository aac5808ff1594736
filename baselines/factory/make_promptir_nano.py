"""Make `promptir-nano`: `python baselines/factory/make_promptir_nano.py --out FOLDER --steps N`.

`--card` writes the card of the weights that lie in the folder, finished or stopped on the way. The
script lies outside the package, since nobody who runs the network needs it. One blind network for
noise, rain and haze, trained on dead-leaves pictures alone, so that no photograph's licence is
owed; photographs are only measured on. Every draw is a function of the seed and the step: the same
command gives the same weights on the same machine and library.
"""

import argparse
import copy
import math
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from e2r_baselines.degrade import Depth, Pixels, degrade
from e2r_baselines.procedural import dead_leaves
from e2r_baselines.promptir import NANO, PromptIR
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.files import write_bytes, write_json
from promptir_nano_card import TRAINED_ON, gain, stacked, write_card

_SIDE = 256
_HELD_OUT = 6
_REPORT_EVERY = 250


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights.

    Attributes:
        steps: optimizer steps.
        seed: of the initial weights and of every batch.
        batch: crops per step.
        crop: side of a crop in pixels.
        rate: peak learning rate of AdamW; cosine decay to 1% of it.
        average: decay of the exponential moving average that is kept.
        pictures: how many dead-leaves pictures are painted, spread over the run.
    """

    steps: int
    seed: int = 0
    batch: int = 4
    crop: int = 64
    rate: float = 2e-3
    average: float = 0.998
    pictures: int = 500


@lru_cache(maxsize=512)
def _picture(seed: int, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """Paint picture `index`, kept small in memory: 8-bit colours, half-precision depth."""
    colours, depth = dead_leaves(rng_for(seed, f"leaves{index}", "promptir-nano"), _SIDE)
    return np.rint(colours * 255).astype(np.uint8), depth.astype(np.float16)


def _crop(seed: int, index: int, side: int, rng: np.random.Generator) -> tuple[Pixels, Depth]:
    """Cut, flip, turn and recolour one crop."""
    colours, depth = _picture(seed, index)
    top, left = rng.integers(0, _SIDE - side + 1, 2)
    box = (slice(top, top + side), slice(left, left + side))
    clean = colours[box].astype(np.float32) / 255
    turns, order = int(rng.integers(4)), rng.permutation(3)
    turned = np.rot90(clean[..., order], turns), np.rot90(depth[box], turns)
    return np.ascontiguousarray(turned[0], np.float32), np.ascontiguousarray(turned[1], np.float32)


def _pair(clean: Pixels, depth: Depth, task: str, rng: np.random.Generator) -> Pixels:
    """Degrade, then store in 8 bit as files are; one in four keeps its unclipped floats."""
    degraded = degrade(TASKS[task], clean, depth, rng)
    if rng.random() < 0.25:
        return degraded
    return (np.rint(np.clip(degraded, 0, 1) * 255) / 255).astype(np.float32)


def _batch(recipe: Recipe, step: int) -> tuple[Tensor, Tensor]:
    """Return degraded and clean crops of one step, (B, 3, S, S) each."""
    rng = rng_for(recipe.seed, f"step{step}", "promptir-nano")
    painted = 40 + (recipe.pictures - 40) * step // recipe.steps
    degraded, clean = [], []
    for _ in range(recipe.batch):
        index = int(rng.integers(painted))
        target, depth = _crop(recipe.seed, index, recipe.crop, rng)
        task = TRAINED_ON[int(rng.integers(len(TRAINED_ON)))]
        clean.append(target)
        degraded.append(_pair(target, depth, task, rng))
    return stacked(degraded), stacked(clean)


def initial(seed: int) -> PromptIR:
    """Return an untrained network that starts as the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PromptIR(NANO)
    nn.init.zeros_(network.output.weight)
    return network


def train(recipe: Recipe, out: Path) -> PromptIR:
    """Train, writing the averaged weights to `out` every few minutes; return them."""
    network = initial(recipe.seed)
    averaged = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-4)
    started = time.monotonic()
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * _schedule(step, recipe.steps)
        degraded, clean = _batch(recipe, step)
        loss = (network(degraded) - clean).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
        _average(averaged, network, min(recipe.average, (step + 1) / (step + 10)))
        if (step + 1) % _REPORT_EVERY == 0 or step + 1 == recipe.steps:
            minutes = (time.monotonic() - started) / 60
            save(averaged, recipe, step + 1, minutes, out)
            _say(f"step {step + 1}, {minutes:.1f} min, {held_out(averaged, recipe.seed)}")
    return averaged


def _schedule(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / 200)
    return warm * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)


@torch.no_grad()
def _average(averaged: nn.Module, network: nn.Module, decay: float) -> None:
    for kept, new in zip(averaged.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def held_out(network: nn.Module, seed: int) -> dict[str, tuple[float, float]]:
    """Return mean PSNR (degraded, restored) in dB per task on pictures never trained on."""
    result: dict[str, tuple[float, float]] = {}
    for task in TRAINED_ON:
        rows: list[tuple[float, float]] = []
        for index in range(_HELD_OUT):
            rng = rng_for(seed, f"held-out{index}", f"promptir-nano {task}")
            clean, depth = dead_leaves(rng, 128)
            rows.append(gain(network, clean, _pair(clean, depth, task, rng)))
        before, after = np.mean(rows, axis=0)
        result[task] = (round(float(before), 2), round(float(after), 2))
    return result


def save(network: nn.Module, recipe: Recipe, steps: int, minutes: float, out: Path) -> None:
    """Write the weights in half precision and what is known about them, each in one move."""
    from safetensors.torch import save as as_bytes

    # Half precision halves the file; the card's numbers are measured on what is stored.
    tensors = {k: v.detach().half().contiguous() for k, v in network.state_dict().items()}
    write_bytes(out / "model.safetensors", as_bytes(tensors))
    write_json(out / "training.json", _record(network, recipe, steps, minutes))


def _record(network: nn.Module, recipe: Recipe, steps: int, minutes: float) -> Mapping[str, Any]:
    return {
        "recipe": asdict(recipe),
        "network": asdict(NANO),
        "parameters": sum(p.numel() for p in network.parameters()),
        "steps_done": steps,
        "minutes": round(minutes, 1),
        "tasks": TRAINED_ON,
        "hardware": f"{platform.machine()} CPU, {torch.get_num_threads()} thread(s)",
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main() -> None:
    """Train and write the weights and their card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--card", action="store_true", help="only write the card")
    arguments = parser.parse_args()
    if not arguments.card:
        train(Recipe(arguments.steps, arguments.seed), arguments.out)
    write_card(arguments.out)


if __name__ == "__main__":
    main()
