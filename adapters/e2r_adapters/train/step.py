"""One training step of Edit2Restore: flow matching with the condition on the sequence axis.

Source: Edit2Restore's release; flow matching after Lipman et al., ICLR 2023, with the straight path
of Liu et al., ICLR 2023; Kontext's sequence layout after Black Forest Labs, 2025.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters.backbone import Backbone

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """What one step sees; B samples, latents with C channels.

    Attributes:
        clean: (B, C, h, w) latents z of the clean pictures.
        condition: (B, C, h, w) latents of the degraded pictures.
        prompt: (B, L, D) T5 states.
        pooled: (B, P) CLIP vectors.
        noise: (B, C, h, w) standard normal draws.
        u: (B,) uniform draws in [0, 1) that choose the noise levels.
    """

    clean: "torch.Tensor"
    condition: "torch.Tensor"
    prompt: "torch.Tensor"
    pooled: "torch.Tensor"
    noise: "torch.Tensor"
    u: "torch.Tensor"


@dataclass(frozen=True)
class NoiseLevels:
    """The noise levels that training draws from: Kontext's own, before any resolution shift.

    Attributes:
        sigmas: (1000,) float32, falling from 1 to 0.001.
        timesteps: (1000,) float32, 1000 times that.
    """

    sigmas: "torch.Tensor"
    timesteps: "torch.Tensor"


def noise_levels(backbone: Backbone, device: "torch.device") -> NoiseLevels:
    """Return the unshifted levels; from a fresh scheduler, since inference changes the pipe's."""
    scheduler: Any = backbone.fresh_scheduler()
    return NoiseLevels(scheduler.sigmas.to(device), scheduler.timesteps.to(device))


def flow_matching_loss(
    backbone: Backbone,
    transformer: "torch.nn.Module",
    batch: Batch,
    levels: NoiseLevels,
    guidance: float,
) -> "torch.Tensor":
    """Return the mean squared error of the predicted velocity, a float32 scalar.

    With z_t = (1 - s) z + s eps, the network is asked for eps - z. Every level weighs the same.

    Args:
        backbone: packs latents and names their positions.
        transformer: the network, as accelerate may have wrapped it.
        batch: see `Batch`.
        levels: see `noise_levels`.
        guidance: the embedded guidance scale, 3.5 in the paper.
    """
    import torch

    index = (batch.u * len(levels.sigmas)).long()
    sigma = levels.sigmas[index].view(-1, 1, 1, 1)
    noisy = (1 - sigma) * batch.clean + sigma * batch.noise
    target = backbone.pack(batch.noise - batch.clean)

    dtype = batch.prompt.dtype
    tokens = torch.cat([backbone.pack(noisy), backbone.pack(batch.condition)], dim=1).to(dtype)
    velocity = backbone.predict(
        transformer,
        tokens=tokens,
        token_ids=backbone.token_ids(noisy, batch.condition),
        timestep=levels.timesteps[index],
        prompt=batch.prompt,
        pooled=batch.pooled,
        guidance=guidance,
    )[:, : target.shape[1]]
    return (velocity.float() - target.float()).square().mean()
