"""What `promptir-nano` reaches, and the card that says so beside its weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from e2r_baselines.degrade import Pixels, degrade
from e2r_baselines.promptir import NANO, PromptIR
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.files import write_json, write_text

TRAINED_ON = ("denoise15", "denoise25", "denoise50", "derain", "dehaze")


def stacked(pictures: Sequence[Pixels]) -> Tensor:
    """Return pictures of one size as (B, 3, H, W)."""
    return torch.from_numpy(np.stack(pictures)).movedim(-1, 1).contiguous()


def gain(network: nn.Module, clean: Pixels, degraded: Pixels) -> tuple[float, float]:
    """Return the PSNR in dB of a degraded picture and of what the network makes of it."""
    with torch.inference_mode():
        restored = network(stacked([degraded]))[0].movedim(0, -1).numpy()
    return _psnr(clean, degraded), _psnr(clean, restored)


def _psnr(clean: Pixels, other: Pixels) -> float:
    error = np.mean((np.clip(other, 0, 1).astype(np.float64) - clean) ** 2)
    return float(-10 * np.log10(error))


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
        "sha256": sha256_of(weights),
        "licence": "Apache-2.0",
        "trained_on": "procedural dead-leaves pictures (e2r_baselines.procedural) alone",
        "never_trained_on": "any photograph; scikit-image's are for the numbers below",
        "seed": training["recipe"]["seed"],
        **training,
        "psnr_on_photographs": measure(network),
        "photographs": sorted(photographs()),
    }
    write_json(out / "card.json", card)
    write_text(out / "README.md", _prose(card))


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
        "- Made by `python baselines/factory/make_promptir_nano.py`.\n\n"
        f"Mean PSNR in dB on 192x192 crops of {', '.join(card['photographs'])} (n = "
        f"{len(card['photographs'])}, one noise draw, 8-bit inputs; three pictures are an "
        "illustration, not an evaluation):\n\n"
        f"| task | degraded | restored |\n|---|---|---|\n{rows}"
    )
