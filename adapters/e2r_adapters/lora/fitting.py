"""Whether an adapter fits the base at hand: shapes, the base's weights, the scales it loaded at."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.backbones import weight_fingerprint
from e2r_adapters.editors.editor import Editor
from e2r_adapters.lora.attach import layer_scales
from e2r_adapters.lora.header import Shapes, linears
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch


def fingerprint(editor: Editor) -> str:
    """Return what tells an editor's base from another of the same shape; see `fingerprint_of`.

    A LoRA on top of it is looked through.
    """
    return weight_fingerprint(_marked(editor).weight)


def _marked(editor: Editor) -> Any:
    layer = editor.networks["transformer"].get_submodule(editor.family.lora.marked)
    return getattr(layer, "base_layer", layer)


def check_shapes(model: "torch.nn.Module", part: str, shapes: Shapes, path: Path) -> None:
    """Compare every LoRA matrix with the Linear it is for; UsageError where they do not fit."""
    import torch

    modules = dict(model.named_modules())
    for name, (a, b) in linears(shapes, part).items():
        # transformers 5 dropped the level `text_model`, which files keep for older versions.
        target = modules.get(name, modules.get(name.removeprefix("text_model.")))
        linear = getattr(target, "base_layer", target)
        fits = isinstance(linear, torch.nn.Linear)
        if not fits or (linear.in_features, linear.out_features) != (a[1], b[0]):
            found = f"{linear.in_features} -> {linear.out_features}" if fits else "no such Linear"
            raise UsageError(
                f"{path}: an adapter for another base: {part}.{name} expects a Linear "
                f"{a[1]} -> {b[0]}, this base has {found}; choose its own backbone"
            )


def check_base(editor: Editor, record: Mapping[str, Any] | None, path: Path) -> None:
    """Compare the base that one of our own adapters was trained on with the one at hand.

    Raises:
        UsageError: another one.
    """
    import torch

    told = record or {}
    trained_on = told.get("base_fingerprint")
    quantized = not torch.is_floating_point(_marked(editor).weight)
    if trained_on is None or quantized or trained_on == fingerprint(editor):
        return
    raise UsageError(
        f"{path}: an adapter for another base: trained on {told.get('base')} with other weights "
        f"({trained_on[:12]}) than this one; train it again or choose its backbone"
    )


def check_scales(
    network: "torch.nn.Module", expected: Mapping[str, float], what: str, name: str
) -> None:
    """Compare the scale that each layer of an adapter loaded at with what its file says."""
    found = layer_scales(network, name)
    # transformers 5 dropped the level `text_model`, which files keep for older versions.
    wanted = {_known_name(key, found): scale for key, scale in expected.items()}
    for layer in sorted(wanted.keys() | found.keys()):
        says, acts = wanted.get(layer), found.get(layer)
        if says is None or acts is None or not math.isclose(says, acts, rel_tol=1e-6):
            raise UsageError(
                f"{what}.{layer}: expected scale {says}, loaded at {acts}; the installed diffusers "
                "misreads this file"
            )


def _known_name(key: str, found: Mapping[str, float]) -> str:
    return key if key in found else key.removeprefix("text_model.")
