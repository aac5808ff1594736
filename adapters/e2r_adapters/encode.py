# Only the pipeline knows where offloading makes it run.
# pyright: reportPrivateUsage=false
"""Pictures and prompts to what the transformer reads, and latents back to pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from e2r_baselines.method import Pixels

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline


@dataclass(frozen=True)
class PromptState:
    """What the text encoders say about one prompt.

    Attributes:
        t5: (1, L, D) states.
        pooled: (1, P) CLIP vector.
        txt_ids: (L, 3) positions, all zero.
    """

    t5: "torch.Tensor"
    pooled: "torch.Tensor"
    txt_ids: "torch.Tensor"


def encode_prompt(pipe: "FluxKontextPipeline", text: str, max_sequence_length: int) -> PromptState:
    """Encode one prompt, padded or cut to `max_sequence_length` T5 tokens (at most 512)."""
    import torch

    with torch.no_grad():
        states: Any = pipe.encode_prompt(
            text, None, device=pipe._execution_device, max_sequence_length=max_sequence_length
        )
    return PromptState(*states)


def encode_images(pipe: "FluxKontextPipeline", images: Sequence[Pixels]) -> "torch.Tensor":
    """Encode pictures of one size to the mode of their latents.

    Args:
        pipe: its autoencoder's shift and scale are applied.
        images: (H, W, 3) float32 RGB, nominally [0, 1]; values outside pass through.

    Returns:
        (B, c, H / factor, W / factor) in the autoencoder's dtype, on the pipe's device.
    """
    import torch

    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    vae = pipe.vae
    with torch.no_grad():
        ready = (2 * pixels - 1).to(pipe._execution_device, vae.dtype)
        mode = vae.encode(ready).latent_dist.mode()
    return (mode - vae.config.shift_factor) * vae.config.scaling_factor


def decode_latents(pipe: "FluxKontextPipeline", latents: "torch.Tensor") -> list[Pixels]:
    """Decode (B, c, h, w) latents to pictures, (H, W, 3) float32, clipped to [0, 1]."""
    import torch

    vae = pipe.vae
    with torch.no_grad():
        raw = latents / vae.config.scaling_factor + vae.config.shift_factor
        pixels = vae.decode(raw.to(vae.dtype), return_dict=False)[0]
    pictures = (pixels.float() / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
    return list(pictures)
