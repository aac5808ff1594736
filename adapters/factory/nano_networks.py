"""The untrained networks of the miniatures: real classes, a few blocks of 4 heads x 32."""

from typing import TYPE_CHECKING, Any

import torch

from nano_text import WIDTH

if TYPE_CHECKING:
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

TOKEN = 64
"""Channels of a token: 2x2 patches of 16 channels."""
_GUIDANCE = "time_text_embed.guidance_embedder.linear_2"


def build_transformer(seed: int, condition: int = 0) -> "FluxTransformer2DModel":
    """Return FLUX.1's: 1 double and 4 single blocks; `condition` channels join each token."""
    from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return FluxTransformer2DModel(
            patch_size=1,
            in_channels=TOKEN + condition,
            out_channels=TOKEN if condition else None,
            num_layers=1,
            num_single_layers=4,
            attention_head_dim=32,
            num_attention_heads=4,
            joint_attention_dim=WIDTH,
            pooled_projection_dim=WIDTH,
            guidance_embeds=True,
            axes_dims_rope=(8, 12, 12),
        )


@torch.no_grad()
def widened(plain: "FluxTransformer2DModel", condition: int) -> "FluxTransformer2DModel":
    """Return a trained transformer that takes `condition` channels more, and heeds none yet.

    At every guidance it says what the plain one says at 2.5, which was not shown large ones.
    """
    wide = build_transformer(0, condition)
    weights = plain.state_dict()
    first = torch.zeros_like(wide.x_embedder.weight)
    first[:, :TOKEN] = weights["x_embedder.weight"]
    embed: Any = plain.time_text_embed
    at = embed.guidance_embedder(embed.time_proj(torch.tensor([2500.0])))[0]
    last = f"{_GUIDANCE}.weight"
    held = {last: torch.zeros_like(weights[last]), f"{_GUIDANCE}.bias": at}
    wide.load_state_dict(weights | {"x_embedder.weight": first} | held)
    return wide


def build_transformer_2(seed: int) -> "Flux2Transformer2DModel":
    """Return FLUX.2's: 1 double and 4 single blocks, text of three states side by side."""
    from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Flux2Transformer2DModel(
            patch_size=1,
            in_channels=TOKEN,
            num_layers=1,
            num_single_layers=4,
            attention_head_dim=32,
            num_attention_heads=4,
            joint_attention_dim=3 * WIDTH,
            timestep_guidance_channels=256,
            mlp_ratio=3.0,
            axes_dims_rope=(4, 12, 12, 4),
            rope_theta=2000,
            guidance_embeds=False,
        )
