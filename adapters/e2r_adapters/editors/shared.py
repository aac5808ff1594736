# diffusers has the settings of a LoRA, and where a pipeline runs, only under protected names.
# pyright: reportPrivateUsage=false
"""What the families on diffusers' pipelines share: pixels and pictures, batches, adapters."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from e2r_adapters.editors.editor import LoraSource, Networks
from e2r_adapters.editors.flow_schedule import fresh
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


@dataclass(frozen=True)
class TokenConditioning:
    """The shared part of a `Conditioning`; B samples, M condition tokens of C channels.

    Attributes:
        tokens: (B, M, C) what stands for the degraded pictures, beside the target's tokens.
        shape: (c, h, w) of one sample's latents.
        states: (B, L, D) of the text.
    """

    tokens: "torch.Tensor"
    shape: tuple[int, int, int]
    states: "torch.Tensor"

    @property
    def dtype(self) -> "torch.dtype":
        """See `Conditioning.dtype`."""
        return self.states.dtype

    @property
    def device(self) -> "torch.device":
        """See `Conditioning.device`."""
        return self.tokens.device


@dataclass(frozen=True)
class PipelineEditor:
    """The part of an `Editor` that all pipelines share.

    Attributes:
        pipe: the pipeline; calling it is left to others, since that changes its scheduler.
        transformer: what velocities go through.
    """

    pipe: Any
    transformer: "torch.nn.Module"

    @property
    def token(self) -> int:
        """Pixels on the side of a token: the autoencoder's factor times the 2x2 packing."""
        return 2 * self.pipe.vae_scale_factor

    @property
    def device(self) -> "torch.device":
        """See `Editor.device`; only the pipeline knows where offloading makes it run."""
        return self.pipe._execution_device

    def training_levels(self) -> "torch.Tensor":
        """See `Editor.training_levels`: 1 to 0.001, before any shift by resolution."""
        return fresh(self.pipe.scheduler).sigmas

    def loss_mask(self, shape: tuple[int, int, int]) -> None:
        """See `Editor.loss_mask`: every latent counts."""
        del shape

    def finish(self) -> None:
        """See `Editor.finish`."""
        self.pipe.maybe_free_model_hooks()

    def save_lora(
        self, folder: Path, layers: Mapping[str, Mapping[str, "torch.Tensor"]], trained: Networks
    ) -> None:
        """See `Editor.save_lora`."""
        save_lora(self.pipe, folder, layers, trained)

    def lora_shapes(self, source: LoraSource) -> Mapping[str, tuple[int, ...]]:
        """See `Editor.lora_shapes`."""
        return lora_shapes(self.pipe, source)

    def load_lora(self, source: LoraSource, name: str) -> None:
        """See `Editor.load_lora`."""
        self.pipe.load_lora_weights(given_to_diffusers(source), adapter_name=name)


@dataclass(frozen=True)
class TransformerEditor(PipelineEditor):
    """The part of an `Editor` that families share whose text encoder carries no adapter."""

    @property
    def networks(self) -> Networks:
        """See `Editor.networks`: the transformer alone."""
        return {"transformer": self.pipe.transformer}

    def through(self, networks: Networks) -> Self:
        """See `Editor.through`."""
        return replace(self, transformer=networks.get("transformer", self.transformer))

    def forget(self) -> None:
        """See `Editor.forget`: no adapter changes a text."""

    def park(self) -> None:
        """See `Editor.park`: the language model is dropped, the autoencoder waits on the CPU."""
        self.pipe.text_encoder = None
        self.pipe.vae.to("cpu")

    @contextmanager
    def fetched_vae(self, device: "torch.device") -> Generator[Any]:
        """Lend the autoencoder on a device; one that is parked is put back."""
        parked = self.pipe.text_encoder is None
        if parked:
            self.pipe.vae.to(device)
        try:
            yield self.pipe.vae
        finally:
            if parked:
                self.pipe.vae.to("cpu")
