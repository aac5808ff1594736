"""Make `promptir-nano`: `python -m e2r_baselines.make_promptir_nano --out FOLDER --steps N`.

`--card` writes the card of the weights that lie in the folder, finished or stopped on the way. One
blind network for noise, rain and haze, trained on dead-leaves pictures alone, so that no
photograph's licence is owed; photographs are only measured on. Every draw is a function of the
seed and the step: the same command gives the same weights on the same machine and library.
"""

import argparse
import copy
import hashlib
import json
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from e2r_baselines.degrade import Depth, degrade
from e2r_baselines.method import Pixels
from e2r_baselines.procedural import dead_leaves
from e2r_baselines.promptir import NANO, PromptIR
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.draws import rng_for

TRAINED_ON = ("denoise15", "denoise25", "denoise50", "derain", "dehaze")
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
    return _tensor(degraded), _tensor(clean)


def _tensor(pictures: Sequence[Pixels]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).movedim(-1, 1).contiguous()


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


def gain(network: nn.Module, clean: Pixels, degraded: Pixels) -> tuple[float, float]:
    """Return the PSNR in dB of a degraded picture and of what the network makes of it."""
    with torch.inference_mode():
        restored = network(_tensor([degraded]))[0].movedim(0, -1).numpy()
    return _psnr(clean, degraded), _psnr(clean, restored)


def _psnr(clean: Pixels, other: Pixels) -> float:
    error = np.mean((np.clip(other, 0, 1).astype(np.float64) - clean) ** 2)
    return float(-10 * np.log10(error))


def save(network: nn.Module, recipe: Recipe, steps: int, minutes: float, out: Path) -> None:
    """Write the weights in half precision and what is known about them, each in one move."""
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    # Half precision halves the file; the card's numbers are measured on what is stored.
    tensors = {k: v.detach().half().contiguous() for k, v in network.state_dict().items()}
    temporary = out / "model.safetensors.part"
    save_file(tensors, temporary)
    os.replace(temporary, out / "model.safetensors")
    _write_json(out / "training.json", _record(network, recipe, steps, minutes))


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


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def photographs() -> Mapping[str, Pixels]:
    """Return 192x192 crops of scikit-image's photographs: measured on, never trained on."""
    from skimage import data

    named = {"astronaut": data.astronaut(), "coffee": data.coffee(), "chelsea": data.chelsea()}
    box = (slice(40, 232), slice(120, 312))
    return {name: (pixels[box] / 255).astype(np.float32) for name, pixels in named.items()}


def measure(network: nn.Module) -> dict[str, dict[str, float]]:
    """Return mean PSNR in dB of degraded and restored photographs, per task."""
    depth = np.linspace(1, 0, 192, dtype=np.float32)[:, None].repeat(192, 1)
    result: dict[str, dict[str, float]] = {}
    for task in TRAINED_ON:
        rows: list[tuple[float, float]] = []
        for name, clean in photographs().items():
            bad = degrade(TASKS[task], clean, depth, rng_for(0, name, f"card {task}"))
            stored = np.rint(np.clip(bad, 0, 1) * 255).astype(np.float32) / np.float32(255)
            rows.append(gain(network, clean, stored))
        before, after = np.mean(rows, axis=0)
        result[task] = {"degraded": round(float(before), 2), "restored": round(float(after), 2)}
    return result


def write_card(out: Path) -> None:
    """Measure the weights in `out` and write `card.json` and `README.md` beside them."""
    from safetensors.torch import load_file

    weights = out / "model.safetensors"
    network = PromptIR(NANO).eval()
    network.load_state_dict({k: v.float() for k, v in load_file(weights).items()})
    training = json.loads((out / "training.json").read_text(encoding="utf-8"))
    card = {
        "name": "promptir-nano",
        "what": "Our own miniature of PromptIR: the same class at small width. It is not PromptIR",
        "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "licence": "Apache-2.0",
        "trained_on": "procedural dead-leaves pictures (e2r_baselines.procedural) alone",
        "never_trained_on": "any photograph; scikit-image's are for the numbers below",
        "seed": training["recipe"]["seed"],
        **training,
        "psnr_on_photographs": measure(network),
        "photographs": sorted(photographs()),
    }
    _write_json(out / "card.json", card)
    (out / "README.md").write_text(_prose(card), encoding="utf-8")


def _prose(card: Mapping[str, Any]) -> str:
    rows = "".join(
        f"| {task} | {row['degraded']:.2f} | {row['restored']:.2f} |\n"
        for task, row in card["psnr_on_photographs"].items()
    )
    recipe = card["recipe"]
    return (
        f"# {card['name']}\n\n"
        f"{card['what']}. {card['parameters']:,} parameters, stored in half "
        f"precision, {card['licence']}.\n\n"
        f"- Data: {card['trained_on']}. Never trained on {card['never_trained_on']}.\n"
        f"- Training: {card['steps_done']} of {recipe['steps']} steps of {recipe['batch']} crops "
        f"of {recipe['crop']} pixels, seed {card['seed']}, {card['minutes']} minutes on "
        f"{card['hardware']}, shared; torch {card['torch']}.\n"
        f"- sha256 {card['sha256']}\n"
        "- Made by `python -m e2r_baselines.make_promptir_nano`.\n\n"
        f"Mean PSNR in dB on 192x192 crops of {', '.join(card['photographs'])} (n = "
        f"{len(card['photographs'])}, one noise draw, 8-bit inputs; three pictures are an "
        "illustration, not an evaluation):\n\n"
        f"| task | degraded | restored |\n|---|---|---|\n{rows}"
    )


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
