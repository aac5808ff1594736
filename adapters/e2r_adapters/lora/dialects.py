"""The layouts that trainers write adapters in, and the scale that each Linear of one acts at.

Sources: loaders of diffusers and PEFT; kohya's and ai-toolkit's names; rsLoRA, Kalajdzievski 2023.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from e2r_adapters.editors.editor import LoraFacts
from e2r_adapters.editors.shared import lora_shapes
from e2r_adapters.lora.header import (
    ADAPTER_FILE,
    DIFFUSERS_ENTRY,
    PART,
    Shapes,
    entry,
    linears,
    read_header,
    split_key,
)
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text

if TYPE_CHECKING:
    import torch

Layout = Literal["diffusers", "peft", "kohya", "xlabs", "bfl-control", "fal", "unknown"]

PEFT_FILE = "adapter_model.safetensors"
PEFT_SETTINGS = "adapter_config.json"
_PEFT_PREFIX = "base_model.model."
# Marks of the foreign layouts, in the order in which diffusers tests them.
_MARKS: Mapping[Layout, str] = {
    "kohya": ".lora_down.weight",
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
        shapes: by key; PEFT's own keys as diffusers names them, the others as they are.
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
    shapes = {_renamed(key, layout): shape for key, shape in raw.items()}
    settings = entry(file, header, DIFFUSERS_ENTRY) or {}
    if layout == "peft":
        settings = _peft_settings(file)
    return AdapterFile(file, layout, shapes, dtypes, header, settings, _alphas(file, raw))


def layout_of(shapes: Shapes) -> Layout:
    """Return whose key names an adapter has."""
    if shapes and all(key.startswith(_PEFT_PREFIX) for key in shapes):
        plain = [key.removeprefix(_PEFT_PREFIX) for key in shapes]
        # fal's trainer puts PEFT's prefix before the names of the original model.
        if all("transformer_blocks." in key or "embedder" in key for key in plain):
            return "peft"
    for layout, mark in _MARKS.items():
        if any(mark in key for key in shapes):
            return layout
    return "diffusers" if any(PART.match(key) for key in shapes) else "unknown"


def _renamed(key: str, layout: Layout) -> str:
    if layout != "peft":
        return key
    return f"transformer.{key.removeprefix(_PEFT_PREFIX)}"


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


def _alphas(file: Path, raw: Shapes) -> dict[tuple[str, str], float]:
    from safetensors import safe_open

    keys = [key for key in raw if key.endswith(".alpha")]
    found: dict[tuple[str, str], float] = {}
    # numpy knows no bfloat16.
    with safe_open(file, framework="pt") as opened:
        for key in keys:
            tensor: torch.Tensor = opened.get_tensor(key)
            if tensor.numel() != 1:
                raise UsageError(f"{file}: {key}: expected one number, found {tensor.numel()}")
            found[split_key(key)] = float(tensor)
    return found


@dataclass(frozen=True)
class Scaling:
    """What multiplies B A in each Linear of one network.

    Attributes:
        scales: by Linear; 1 where nobody states an alpha, as diffusers takes it.
        alphas: the distinct alphas that are stated.
        unstated: how many Linears nobody states one for.
        problems: what cannot be used in the settings.
    """

    scales: Mapping[str, float]
    alphas: tuple[float, ...]
    unstated: int
    problems: tuple[str, ...]


def scaling_of(adapter: AdapterFile, part: str, alpha: float | None) -> Scaling:
    """Return the scales of one network's Linears.

    Args:
        adapter: see `read_adapter`.
        part: "transformer" or "text_encoder".
        alpha: what the user states for a file that states none.
    """
    prefix = f"{part}."
    own = {k.removeprefix(prefix): v for k, v in adapter.settings.items() if k.startswith(prefix)}
    problems = _setting_problems(own)
    scales: dict[str, float] = {}
    stated: list[float] = []
    for name, (a, _) in linears(adapter.shapes, part).items():
        rank = a[0]
        told = adapter.alphas.get((part, name))
        if told is None and not problems:
            told = _patterned(own.get("alpha_pattern"), name, own.get("lora_alpha"))
        told = alpha if told is None else told
        divisor = math.sqrt(rank) if own.get("use_rslora") else rank
        scales[name] = 1.0 if told is None or not rank else told / divisor
        stated += [] if told is None else [told]
    distinct = tuple(sorted(set(stated)))
    return Scaling(scales, distinct, len(scales) - len(stated), tuple(problems))


def _setting_problems(own: Mapping[str, Any]) -> list[str]:
    """Find settings of another kind than PEFT writes."""
    problems: list[str] = []
    for key in ("r", "lora_alpha"):
        value = own.get(key)
        if value is not None and not _positive(value):
            problems.append(f"expected a number above 0 as {key} in its settings, found {value!r}")
    for key in ("rank_pattern", "alpha_pattern"):
        value = own.get(key) or {}
        if not isinstance(value, Mapping) or not all(map(_positive, value.values())):
            problems.append(f"expected numbers by name as {key} in its settings, found {value!r}")
    return problems


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def _patterned(pattern: Mapping[str, Any] | None, name: str, default: Any) -> Any:
    """Return what PEFT takes for a Linear: the first pattern that its name ends in, or the rest."""
    for key, value in (pattern or {}).items():
        try:
            if re.match(rf"(.*\.)?({key})$", name):
                return value
        except re.error:
            continue
    return default


def stated_rank(settings: Mapping[str, Any], name: str) -> Any:
    """Return the rank that PEFT's settings state for a Linear; None where they do not."""
    return _patterned(settings.get("rank_pattern"), name, settings.get("r"))


def loadable(
    adapter: AdapterFile, scales: Mapping[str, Mapping[str, float]], alpha: float | None
) -> "Path | dict[str, torch.Tensor]":
    """Return what diffusers is handed: the file, or its tensors where it would misread it.

    PEFT's own folder and files without an alpha become tensors with an alpha for each Linear.
    """
    if adapter.layout != "peft" and alpha is None:
        return adapter.path
    import torch
    from safetensors.torch import load_file

    tensors = {_renamed(k, adapter.layout): v for k, v in load_file(adapter.path).items()}
    for key, tensor in list(tensors.items()):
        stem, half, _ = key.rpartition(".lora_A.weight" if "lora_A" in key else ".lora_down.weight")
        if half:
            part, name = split_key(key)
            scale = scales[part][name]
            tensors[f"{stem}.alpha"] = torch.tensor(scale * tensor.shape[0])
    return tensors


def converted(source: "Path | Mapping[str, torch.Tensor]", facts: LoraFacts) -> Shapes:
    """Return the shapes of an adapter's tensors after diffusers' own conversion for a family.

    Raises:
        Exception: whatever its converters meet in a file that is none of theirs.
    """
    from diffusers.loaders import lora_pipeline

    return lora_shapes(getattr(lora_pipeline, facts.loader), source)
