"""Make the base of `kontext-nano`: a whole pipeline folder, with a model card and a log.

`python adapters/factory/make_kontext_nano.py --out FOLDER --log FOLDER` paints its training
pictures (dead leaves), fits the autoencoder, and trains the transformer on generic edits in two
stages; no photograph is ever seen, and no edit restores anything. Its adapters are then made by
`e2r-bench train --profile nano`.
"""

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from e2r_adapters.editors.kontext import KontextEditor
from e2r_baselines.tasks import PROMPTS
from nano_base import (
    BaseSettings,
    all_prompts,
    build_transformer,
    encode_edits,
    paint_canvases,
    train_base,
)
from nano_text import build_text
from nano_vae import build_vae, fit_linear, write_linear

if TYPE_CHECKING:
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline

SEED = 1
_CODE_STEPS = 4000
_CODE_CANVASES = 200


@dataclass(frozen=True)
class Stage:
    """One stage of the base's training.

    Attributes:
        canvases: pictures painted for it.
        varied: nearer to photographs; see `paint_canvases`.
        pairs: of edits, cut from them.
        settings: of the training.
    """

    canvases: int
    varied: bool
    pairs: int
    settings: BaseSettings


STAGES = (
    Stage(200, False, 6000, BaseSettings(steps=4500)),
    Stage(300, True, 12000, BaseSettings(steps=5000, rate=1.5e-3, decay=0.6, seed=2)),
)


def build_pipeline(linear_steps: int, canvases: int) -> "FluxKontextPipeline":
    """Return the pipeline with its autoencoder fitted and its transformer untrained."""
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

    plain = canvases * 3 // 10
    pictures = paint_canvases(plain, SEED, "leaf")
    pictures += paint_canvases(canvases - plain, SEED, "leaf-varied", varied=True)
    linear = fit_linear(pictures, linear_steps, seed=0)
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


def train_stage(editor: KontextEditor, stage: Stage, log: Path) -> None:
    """Paint, edit, and train the transformer in place."""
    purpose = "nano-base-varied" if stage.varied else "nano-base"
    canvases = paint_canvases(stage.canvases, SEED, purpose, stage.varied)
    pairs = encode_edits(editor, canvases, stage.pairs, stage.settings.seed)
    train_base(editor, pairs, stage.settings, log)


def card(folder: Path, stages: Sequence[Stage], seconds: float) -> dict[str, Any]:
    """Return what everyone should know about the weights in `folder`."""
    return {
        "name": "kontext-nano",
        "is": "a miniature of FLUX.1 Kontext: same classes and code path, 1.76 M parameters; its "
        "pictures say nothing about the full model's",
        "licence": "Apache-2.0",
        "data": "64x64 crops of dead-leaves pictures, painted by nano_base.py; no photograph",
        "edits": "generic, nano_edits.py; none restores",
        "seed": SEED,
        "stages": [asdict(stage) for stage in stages],
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
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="of all steps, pairs and pictures: for a try"
    )
    asked = parser.parse_args()
    began = time.perf_counter()
    stages = [_shortened(stage, asked.fraction) for stage in STAGES]
    steps, canvases = (_part(n, asked.fraction) for n in (_CODE_STEPS, _CODE_CANVASES))
    pipe = build_pipeline(steps, canvases)
    editor = KontextEditor(pipe, pipe.transformer)
    for stage in stages:
        train_stage(editor, stage, asked.log)
    save_pipeline(pipe, asked.out)
    told = card(asked.out, stages, time.perf_counter() - began)
    _write_json(asked.out / "card.json", told)


def _part(count: int, fraction: float) -> int:
    return max(4, round(count * fraction))


def _shortened(stage: Stage, fraction: float) -> Stage:
    return replace(
        stage,
        canvases=_part(stage.canvases, fraction),
        pairs=_part(stage.pairs, fraction),
        settings=replace(stage.settings, steps=_part(stage.settings.steps, fraction)),
    )


if __name__ == "__main__":
    main()
