"""One loader for every checkpoint: nothing but tensors is read, and nothing but a match is loaded.

Formats: safetensors, and torch files restricted to tensors (`weights_only`). What a training
framework wraps around the tensors is taken off: Lightning's `state_dict`, prefixes such as `net.`.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from e2r_baselines.method import MethodError

# In order of preference: where raw and averaged weights stand side by side, authors evaluate the
# averaged ones.
_WRAPPERS = ("params_ema", "ema", "state_dict", "params", "model_state_dict", "model", "net")
_PREFIXES = ("net.", "module.", "model.", "_orig_mod.", "ema_model.")
_SHOWN = 4

# A key that only this network has, the most specific first: PromptIR and AdaIR hold all of
# Restormer's keys, InstructIR all of NAFNet's.
_SIGNATURES = (
    ("PromptIR", "prompt1.prompt_param"),
    ("AdaIR", "fre1.para1"),
    ("BioIR", "encoder_level1.0.attn.l2h.conv.weight"),
    ("DiffUIR", "unet0.init_conv.weight"),
    ("LoRA-IR", "intro.lora_A_list"),
    ("LoRA-IR's router", "de_extractor.0.weight"),
    ("InstructIR (image network)", "enc_cond.0.fc.weight"),
    ("InstructIR (language head)", "fc2.weight"),
    ("MoCE-IR", "freq_embed.mlp.0.weight"),
    ("PReNet", "conv_i.0.weight"),
    ("AirNet", "E.E.encoder_q.E_pre.conv1.weight"),
    ("Restormer", "encoder_level1.0.attn.temperature"),
    ("NAFNet", "middle_blks.0.beta"),
    ("SwinIR", "layers.0.residual_group.blocks.0.norm1.weight"),
    ("SCUNet", "m_head.0.weight"),
    ("FFDNet", "intermediate_dncnn.itermediate_dncnn.0.weight"),
    ("DnCNN or another plain stack of convolutions", "model.0.weight"),
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors on the CPU, wrappers and prefixes taken off.

    Raises:
        MethodError: the file is missing, damaged, holds no tensors, or is a pickle with code.
    """
    content = _read(path)
    for wrapper in _WRAPPERS:
        if isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
            break
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise MethodError(
            f"{path}: expected a checkpoint with named tensors, found none (top level: "
            f"{', '.join(map(str, list(content)[:_SHOWN])) or 'empty'}); give the weights file"
        )
    return _without_prefix(tensors)


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise MethodError(f"{path}: expected a checkpoint, found no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MethodError(
            f"{path}: expected tensors only, found a pickle that asks to run code or is no pickle "
            f"({_first_line(error)}); refused: convert it to safetensors where you trust it"
        ) from error
    except Exception as error:  # a damaged file raises whatever the parser meets
        raise MethodError(
            f"{path}: expected a torch or safetensors checkpoint, found a file that cannot be "
            f"read ({_first_line(error)}); download it again"
        ) from error
    if not isinstance(content, Mapping):
        raise MethodError(
            f"{path}: expected a mapping of names to tensors, found {type(content).__name__}; "
            "save the state_dict, not the object"
        )
    return content


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    named = [line.strip() for line in lines if "GLOBAL" in line]
    return (named or lines or [type(error).__name__])[0][:200]


def _without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off prefixes until none is left; tensors beside a prefixed network are losses."""
    for prefix in _PREFIXES:
        inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        # DnCNN's own layers are called "model.0", so a prefix must leave a name behind.
        if inside and not any(key[:1].isdigit() for key in inside):
            return _without_prefix(inside)
    return dict(tensors)


def looks_like(tensors: Mapping[str, Tensor]) -> str:
    """Name the network a checkpoint belongs to, by a key that only that network has."""
    for name, key in _SIGNATURES:
        if key in tensors:
            return name
    if any("lora_A" in key or "lora_down" in key for key in tensors):
        return "a LoRA adapter"
    return "no network known here"


def load_strict(network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Copy a checkpoint into a network if all names and shapes agree.

    Args:
        network: receives the tensors, cast to its dtype.
        tensors: from `read_tensors`.
        path: the file they came from, for the message.
        name: what the network is called, for the message.

    Raises:
        MethodError: names the file, the network it looks like, and the first keys that differ.
    """
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    if expected != found:
        raise MethodError(
            f"{path}: expected {name} ({len(expected)} tensors), found {looks_like(tensors)} "
            f"({len(found)}); {_difference(expected, found)}"
        )
    network.load_state_dict(dict(tensors), strict=True)


def _difference(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> str:
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    shapes = [
        f"{key} {found[key]} instead of {expected[key]}"
        for key in expected
        if key in found and found[key] != expected[key]
    ]
    parts = {"missing": missing, "unexpected": extra, "of another shape": shapes}
    return "; ".join(
        f"{len(keys)} {what}: {', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''}"
        for what, keys in parts.items()
        if keys
    )
