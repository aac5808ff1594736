"""Make the base of `kontext-nano`: a whole pipeline folder, with a model card and a log.

`python -m e2r_adapters.make_kontext_nano --out FOLDER` paints its training pictures (dead leaves),
fits the autoencoder, and trains the transformer on generic edits; no photograph is ever seen, and
no edit restores anything. Its adapters are then made by `e2r-bench train --profile nano`.
"""

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from e2r_adapters.backbone import backbone_of
from e2r_adapters.nano_base import (
    BaseSettings,
    all_prompts,
    build_transformer,
    encode_edits,
    paint_canvases,
    train_base,
)
from e2r_adapters.nano_text import build_text
from e2r_adapters.nano_vae import build_vae, fit_linear, write_linear
from e2r_baselines.tasks import PROMPTS

if TYPE_CHECKING:
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline

SEED = 1
_CODE_STEPS = 2000
_CODE_CANVASES = 160


def build_pipeline(linear_steps: int, canvases: int) -> "FluxKontextPipeline":
    """Return the pipeline with its autoencoder fitted and its transformer untrained."""
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

    linear = fit_linear(paint_canvases(canvases, SEED, "leaf"), linear_steps, seed=0)
    vae = build_vae()
    write_linear(vae, linear)
    said = [text for prompts in PROMPTS.values() for text in prompts.values()]
    text = build_text([*all_prompts(), *said], seed=0)
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )
    return FluxKontextPipeline(
        scheduler=scheduler, vae=vae.eval(), transformer=build_transformer(0), **text._asdict()
    )


def save_pipeline(pipe: "FluxKontextPipeline", folder: Path) -> None:
    """Save in half precision, with nothing of this machine in the files."""
    pipe.to(torch.float16).save_pretrained(folder)
    index = folder / "model_index.json"
    parts = json.loads(index.read_text(encoding="utf-8"))
    # Versions of transformers name their own tokenizer class differently; this name all know.
    for tokenizer in ("tokenizer", "tokenizer_2"):
        parts[tokenizer] = ["transformers", "PreTrainedTokenizerFast"]
        path = folder / tokenizer / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        _write_json(path, settings | {"tokenizer_class": "PreTrainedTokenizerFast"})
    _write_json(index, parts)
    for path in folder.rglob("*config.json"):
        _write_json(path, json.loads(path.read_text(encoding="utf-8")))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    kept = {key: value for key, value in content.items() if key != "_name_or_path"}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of the pipeline by relative path."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.parent != folder)
    files.append(folder / "model_index.json")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def card(folder: Path, settings: BaseSettings, pairs: int, seconds: float) -> dict[str, Any]:
    """Return what everyone should know about the weights in `folder`."""
    return {
        "name": "kontext-nano",
        "is": "a miniature of FLUX.1 Kontext: same classes and code path, 1.76 M parameters; its "
        "pictures say nothing about the full model's",
        "licence": "Apache-2.0",
        "data": f"{pairs} crops of 64x64 of 200 dead-leaves pictures, painted by e2r_baselines."
        "procedural; no photograph",
        "edits": "generic, e2r_adapters.nano_edits; none restores",
        "seed": SEED,
        "steps": settings.steps,
        "batch": settings.batch,
        "learning_rate": settings.rate,
        "seconds": round(seconds),
        "hardware": f"CPU, {torch.get_num_threads()} thread(s), {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "files": file_hashes(folder),
    }


def main() -> None:
    """Make the base from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the pipeline")
    parser.add_argument("--log", type=Path, required=True, help="folder of the training log")
    parser.add_argument("--steps", type=int, default=4500)
    parser.add_argument("--pairs", type=int, default=6000)
    parser.add_argument("--canvases", type=int, default=200)
    asked = parser.parse_args()
    began = time.perf_counter()
    settings = BaseSettings(asked.steps)
    pipe = build_pipeline(_CODE_STEPS, _CODE_CANVASES)
    backbone = backbone_of(pipe)
    pairs = encode_edits(
        backbone, paint_canvases(asked.canvases, SEED, "nano-base"), asked.pairs, SEED
    )
    train_base(backbone, pairs, settings, asked.log)
    save_pipeline(pipe, asked.out)
    told = card(asked.out, settings, asked.pairs, time.perf_counter() - began)
    _write_json(asked.out / "card.json", told)


if __name__ == "__main__":
    main()
