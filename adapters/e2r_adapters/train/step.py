"""One training step of Edit2Restore: flow matching on whatever velocity a model predicts.

Source: Edit2Restore's release; flow matching after Lipman et al., ICLR 2023, with the straight path
of Liu et al., ICLR 2023.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_adapters.editors.editor import Conditioning
from e2r_adapters.sampling import Velocity

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Batch:
    """What one step sees; B samples, latents with C channels.

    Attributes:
        clean: (B, C, h, w) latents z of the clean pictures.
        conditioning: of the degraded pictures.
        noise: (B, C, h, w) standard normal draws.
        u: (B,) uniform draws in [0, 1) that choose the noise levels.
    """

    clean: "torch.Tensor"
    conditioning: Conditioning
    noise: "torch.Tensor"
    u: "torch.Tensor"


def flow_matching_loss(
    velocity: Velocity,
    batch: Batch,
    levels: "torch.Tensor",
    mask: "torch.Tensor | None" = None,
) -> "torch.Tensor":
    """Return the mean squared error of the predicted velocity, a float32 scalar.

    With z_t = (1 - s) z + s eps, the network is asked for eps - z. Every level weighs the same.

    Args:
        velocity: of the batch's conditioning.
        batch: see `Batch`.
        levels: (L,) float32 noise levels; see `Editor.training_levels`.
        mask: (C, h, w) weights of the latents; None where all count the same.
    """
    sigma = levels[(batch.u * len(levels)).long()]
    s = sigma.view(-1, 1, 1, 1)
    noisy = (1 - s) * batch.clean + s * batch.noise
    error = velocity(noisy, sigma).float() - (batch.noise - batch.clean).float()
    if mask is None:
        return error.square().mean()
    return (mask * error.square()).sum() / (mask.sum() * len(error))
