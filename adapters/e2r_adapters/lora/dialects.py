"""The dialects that trainers write adapters in.

Sources: loaders of diffusers and PEFT; kohya's, ai-toolkit's and ComfyUI's names.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from e2r_adapters.lora.header import (
    ADAPTER_FILE,
    DIFFUSERS_ENTRY,
    PART,
    Shapes,
    entry,
    half_of,
    read_header,
    split_key,
)
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text

if TYPE_CHECKING:
    import torch

Layout = Literal[
    "diffusers", "peft", "prefixed", "kohya", "comfyui", "xlabs", "bfl-control", "fal", "unknown"
]
"""Whose names: "prefixed" has diffusers' own behind ComfyUI's prefix or none, as trainers of
Qwen-Image write them, "comfyui" has the original model's behind that prefix."""
FOREIGN: frozenset[Layout] = frozenset({"kohya", "comfyui"})
"""Those whose Linears are other ones than diffusers': several may be fused into one."""

PEFT_FILE = "adapter_model.safetensors"
PEFT_SETTINGS = "adapter_config.json"
_PEFT_PREFIX = "base_model.model."
_COMFY_PREFIX = "diffusion_model."
_ORIGINAL = re.compile(r"(double|single)_blocks\.|final_layer\.|(time|vector|guidance)_in\.")
_BLOCKS = re.compile(r"^(diffusion_model\.)?(single_)?transformer_blocks\.")
# Marks of layouts that nobody here can read, in the order in which diffusers tests them.
_MARKS: Mapping[Layout, str] = {
    "xlabs": "processor",
    "bfl-control": "query_norm.scale",
    "fal": "base_model",
}


@dataclass(frozen=True)
class AdapterFile:
    """An adapter as it lies on disk.

    Attributes:
        path: the file with its tensors.
        layout: whose key names it has.
        shapes: by key; those that are diffusers' but for a prefix as it names them, the others as
            they are.
        dtypes: of its tensors, as safetensors names them.
        header: its header entries.
        settings: PEFT's, each under "transformer." or "text_encoder."; empty where none are told.
        alphas: (network, Linear) -> the alpha that a tensor of its own states.
    """

    path: Path
    layout: Layout
    shapes: Shapes
    dtypes: tuple[str, ...]
    header: Mapping[str, str]
    settings: Mapping[str, Any]
    alphas: Mapping[tuple[str, str], float]


def tensor_file(path: Path) -> Path:
    """Return the file with the tensors of an adapter: itself, or the one in its folder."""
    for name in (ADAPTER_FILE, PEFT_FILE):
        if (path / name).is_file():
            return path / name
    return path


def read_adapter(path: Path) -> AdapterFile:
    """Read what an adapter's file, or PEFT's folder of two, says without its matrices.

    Raises:
        UsageError: it is missing, no whole safetensors file, or its settings are no JSON object.
    """
    file = tensor_file(path)
    raw, dtypes, header = read_header(file)
    layout = layout_of(raw)
    shapes = {renamed(key, layout): shape for key, shape in raw.items()}
    settings = entry(file, header, DIFFUSERS_ENTRY) or {}
    if layout == "peft":
        settings = _peft_settings(file)
    return AdapterFile(file, layout, shapes, dtypes, header, settings, _alphas(file, raw, layout))


def layout_of(shapes: Shapes) -> Layout:
    """Return whose key names an adapter has."""
    if shapes and all(key.startswith(_PEFT_PREFIX) for key in shapes):
        plain = [key.removeprefix(_PEFT_PREFIX) for key in shapes]
        # fal's trainer puts PEFT's prefix before the names of the original model.
        if not any(map(_ORIGINAL.match, plain)):
            return "peft"
    if any(_BLOCKS.match(key) for key in shapes):
        return "prefixed"
    if any(key.startswith("lora_") for key in shapes):
        return "kohya"
    for layout, mark in _MARKS.items():
        if any(mark in key for key in shapes):
            return layout
    if any(key.startswith(_COMFY_PREFIX) and half_of(key) for key in shapes):
        return "comfyui"
    return "diffusers" if any(PART.match(key) for key in shapes) else "unknown"


def renamed(key: str, layout: Layout) -> str:
    """Return a key as diffusers names it, where no more than a prefix and halves' names differ."""
    if layout == "peft":
        return f"transformer.{key.removeprefix(_PEFT_PREFIX)}"
    if layout == "prefixed":
        name = f"transformer.{key.removeprefix(_COMFY_PREFIX)}"
        halves = {".lora_down.weight": ".lora_A.weight", ".lora_up.weight": ".lora_B.weight"}
        for theirs, ours in halves.items():
            name = name.replace(theirs, ours)
        return name
    return key


def _peft_settings(file: Path) -> dict[str, Any]:
    """Read the settings that PEFT writes beside its tensors; empty where they were left behind."""
    path = file.with_name(PEFT_SETTINGS)
    try:
        content: Any = json.loads(read_text(path))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: expected PEFT's settings in JSON, found: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected PEFT's settings as a JSON object")
    told: dict[str, Any] = content
    return {f"transformer.{key}": value for key, value in told.items()}


def _alphas(file: Path, raw: Shapes, layout: Layout) -> dict[tuple[str, str], float]:
    from safetensors import safe_open

    keys = [key for key in raw if key.endswith(".alpha")]
    found: dict[tuple[str, str], float] = {}
    # numpy knows no bfloat16.
    with safe_open(file, framework="pt") as opened:
        for key in keys:
            tensor: torch.Tensor = opened.get_tensor(key)
            if tensor.numel() != 1:
                raise UsageError(f"{file}: {key}: expected one number, found {tensor.numel()}")
            found[split_key(renamed(key, layout))] = float(tensor)
    return found
