"""Make the base of a miniature: a whole pipeline folder, with a model card and a log.

`python adapters/factory/make_nano.py kontext-nano --out FOLDER --log FOLDER` paints its training
pictures (dead leaves), builds the pipeline, and trains the transformer on generic edits; no
photograph is ever seen, and no edit restores anything. `fill-nano` and `klein-nano` start from the
embedded kontext-nano: see `nano_recipes`. Their adapters are then made by
`e2r-bench train --profile nano`.
"""

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from e2r_adapters.editors.editor import Editor
from e2r_adapters.editors.families import family_of
from nano_base import EditSettings, encode_edits, train_base
from nano_pictures import paint_canvases
from nano_recipes import RECIPES, SEED, Recipe, Stage

_CODE_STEPS = 4000
_CODE_CANVASES = 200


def save_pipeline(pipe: Any, folder: Path) -> None:
    """Save in half precision, with nothing of this machine in the files."""
    pipe.to(torch.float16).save_pretrained(folder)
    index = folder / "model_index.json"
    parts = json.loads(index.read_text(encoding="utf-8"))
    # Versions of transformers name their own tokenizer class differently; this name all know.
    for tokenizer in (name for name in parts if name.startswith("tokenizer")):
        parts[tokenizer] = ["transformers", "PreTrainedTokenizerFast"]
        path = folder / tokenizer / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8"))
        _write_json(path, settings | {"tokenizer_class": "PreTrainedTokenizerFast"})
    _write_json(index, parts)
    for path in folder.rglob("*config.json"):
        _write_json(path, json.loads(path.read_text(encoding="utf-8")))
    if type(pipe.text_encoder).__name__ == "CLIPTextModel":
        _name_as_released(folder / "text_encoder" / "model.safetensors")


def _name_as_released(path: Path) -> None:
    """Give CLIP's tensors the level that releases have, which every version of transformers reads.

    Newer ones write them without it, and older ones then start from random weights, in silence.
    """
    level = "text_model."
    tensors = {f"{level}{key.removeprefix(level)}": one for key, one in load_file(path).items()}
    save_file(tensors, path, {"format": "pt"})


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


def train_stage(editor: Editor, shown: EditSettings, stage: Stage, log: Path) -> None:
    """Paint, edit, and train the transformer in place."""
    purpose = "nano-base-varied" if stage.varied else "nano-base"
    canvases = paint_canvases(stage.canvases, SEED, purpose, stage.varied)
    pairs = encode_edits(editor, canvases, stage.pairs, stage.settings.seed, shown)
    train_base(editor, pairs, stage.settings, log)


def card(name: str, recipe: Recipe, editor: Editor, folder: Path, seconds: float) -> dict[str, Any]:
    """Return what everyone should know about the weights in `folder`."""
    count = sum(value.numel() for value in editor.networks["transformer"].parameters())
    return {
        "name": name,
        "is": f"a miniature of {recipe.of}: same classes and code path, {count} parameters; its "
        "pictures say nothing about the full model's",
        "licence": "Apache-2.0",
        "data": "crops of dead-leaves pictures, painted by nano_pictures.py; no photograph",
        "edits": "generic, nano_edits.py; none restores",
        "shown": asdict(recipe.shown),
        "seed": SEED,
        "stages": [asdict(stage) for stage in recipe.stages],
        "seconds": round(seconds),
        "hardware": f"CPU, {torch.get_num_threads()} thread(s), {platform.machine()}",
        "versions": {name: version(name) for name in ("torch", "diffusers", "transformers")},
        "files": file_hashes(folder),
    }


def main() -> None:
    """Make the base from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(RECIPES))
    parser.add_argument("--out", type=Path, required=True, help="folder of the pipeline")
    parser.add_argument("--log", type=Path, required=True, help="folder of the training log")
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="of all steps, pairs and pictures: for a try"
    )
    asked = parser.parse_args()
    began = time.perf_counter()
    recipe = _shortened(RECIPES[asked.name], asked.fraction)
    pipe = recipe.build(*(_part(n, asked.fraction) for n in (_CODE_STEPS, _CODE_CANVASES)))
    editor = family_of(type(pipe).__name__, asked.name).open(pipe)
    for stage in recipe.stages:
        train_stage(editor, recipe.shown, stage, asked.log)
    save_pipeline(pipe, asked.out)
    told = card(asked.name, recipe, editor, asked.out, time.perf_counter() - began)
    _write_json(asked.out / "card.json", told)


def _part(count: int, fraction: float) -> int:
    return max(4, round(count * fraction))


def _shortened(recipe: Recipe, fraction: float) -> Recipe:
    return replace(recipe, stages=tuple(_short(stage, fraction) for stage in recipe.stages))


def _short(stage: Stage, fraction: float) -> Stage:
    return replace(
        stage,
        canvases=_part(stage.canvases, fraction),
        pairs=_part(stage.pairs, fraction),
        settings=replace(stage.settings, steps=_part(stage.settings.steps, fraction)),
    )


if __name__ == "__main__":
    main()
