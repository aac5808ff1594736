# The pipeline has packing and positions only as protected methods.
# pyright: reportPrivateUsage=false
"""FLUX.1 Kontext behind the `Backbone` seam.

Source: Black Forest Labs, FLUX.1 Kontext, 2025; conventions of diffusers' FluxKontextPipeline.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

PARTS = ("text_encoder", "text_encoder_2", "transformer", "vae")


@dataclass(frozen=True)
class FluxKontext:
    """See `Backbone`."""

    pipe: "FluxKontextPipeline"

    @property
    def multiple(self) -> int:
        """See `Backbone.multiple`: the autoencoder's factor times the 2x2 packing."""
        return 2 * self.pipe.vae_scale_factor

    def pack(self, latents: "torch.Tensor") -> "torch.Tensor":
        """See `Backbone.pack`."""
        return self.pipe._pack_latents(latents, *latents.shape)

    def unpack(self, tokens: "torch.Tensor", height: int, width: int) -> "torch.Tensor":
        """See `Backbone.unpack`."""
        return self.pipe._unpack_latents(tokens, height, width, self.pipe.vae_scale_factor)

    def token_ids(self, target: "torch.Tensor", condition: "torch.Tensor") -> "torch.Tensor":
        """See `Backbone.token_ids`: the first number is 0 for the target, 1 for the condition."""
        import torch

        ids, copy = self._grid(target), self._grid(condition)
        copy[..., 0] = 1
        return torch.cat([ids, copy])

    def _grid(self, latents: "torch.Tensor") -> "torch.Tensor":
        batch, _, height, width = latents.shape
        return self.pipe._prepare_latent_image_ids(
            batch, height // 2, width // 2, latents.device, latents.dtype
        )

    def fresh_scheduler(self) -> "FlowMatchEulerDiscreteScheduler":
        """See `Backbone.fresh_scheduler`."""
        scheduler = self.pipe.scheduler
        return type(scheduler).from_config(scheduler.config)

    def schedule(self, steps: int, target_tokens: int) -> "FlowMatchEulerDiscreteScheduler":
        """See `Backbone.schedule`; the condition's tokens do not count."""
        import numpy as np
        from diffusers.pipelines.flux.pipeline_flux_kontext import calculate_shift

        scheduler = self.fresh_scheduler()
        config: Any = scheduler.config
        shift = calculate_shift(
            target_tokens,
            config.base_image_seq_len,
            config.max_image_seq_len,
            config.base_shift,
            config.max_shift,
        )
        scheduler.set_timesteps(sigmas=list(np.linspace(1.0, 1 / steps, steps)), mu=shift)
        scheduler.set_begin_index(0)
        return scheduler

    def predict(
        self,
        transformer: "torch.nn.Module",
        *,
        tokens: "torch.Tensor",
        token_ids: "torch.Tensor",
        timestep: "torch.Tensor",
        prompt: "torch.Tensor",
        pooled: "torch.Tensor",
        guidance: float,
    ) -> "torch.Tensor":
        """See `Backbone.predict`."""
        import torch

        scale = None
        if self.pipe.transformer.config.guidance_embeds:
            scale = torch.full((tokens.shape[0],), guidance, device=tokens.device)
        return transformer(
            hidden_states=tokens,
            timestep=timestep.to(tokens.dtype) / 1000,
            guidance=scale,
            pooled_projections=pooled,
            encoder_hidden_states=prompt,
            txt_ids=torch.zeros(prompt.shape[1], 3, device=prompt.device, dtype=prompt.dtype),
            img_ids=token_ids,
            return_dict=False,
        )[0]
