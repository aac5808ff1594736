# diffusers has the settings of a LoRA only by a protected function.
# pyright: reportPrivateUsage=false
"""What the families on diffusers' pipelines share: pixels and pictures, batches, adapters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_adapters.editors.editor import LoraSource, Networks
from e2r_baselines.method import Pixels

if TYPE_CHECKING:
    import torch


def pixels_of(
    pictures: Sequence[Pixels], device: "torch.device", dtype: "torch.dtype"
) -> "torch.Tensor":
    """Return pictures of one size, nominally [0, 1], as autoencoders take them: (B, 3, H, W)."""
    import torch

    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    return (2 * pixels - 1).to(device, dtype)


def pictures_of(pixels: "torch.Tensor") -> list[Pixels]:
    """Return (B, 3, H, W), nominally [-1, 1], as pictures clipped to [0, 1]."""
    return list((pixels.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy())


def column(each: Sequence["torch.Tensor"], device: "torch.device") -> "torch.Tensor":
    """Join one input of several samples, each with a first axis of 1, on a device."""
    import torch

    if all(one is each[0] for one in each):
        # One text for all: not copied, as the pipelines do not.
        return each[0].to(device).expand(len(each), *each[0].shape[1:])
    return torch.cat(list(each)).to(device)


def given_to_diffusers(source: LoraSource) -> Any:
    """Return an adapter as its loaders take it, which remove tensors from what they are handed."""
    return str(source) if isinstance(source, Path) else dict(source)


def save_lora(
    pipe: Any,
    folder: Path,
    layers: Mapping[str, Mapping[str, "torch.Tensor"]],
    trained: Networks,
) -> None:
    """Write LoRA tensors by network, with the settings of the trained ones, as diffusers."""
    from diffusers.training_utils import _collate_lora_metadata

    named: dict[str, Any] = {f"{name}_lora_layers": part for name, part in layers.items()}
    pipe.save_lora_weights(folder, **named, **_collate_lora_metadata(dict(trained)))


def lora_shapes(pipe: Any, source: LoraSource) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of an adapter's tensors, converted to the names of a pipeline's family."""
    tensors: Any = pipe.lora_state_dict(given_to_diffusers(source))
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}
