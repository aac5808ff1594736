"""Sampling a flow: from noise along a velocity, whatever model computes it.

Source: Lipman et al., ICLR 2023, with the straight path of Liu et al., ICLR 2023; the steps are
those of diffusers' FlowMatchEulerDiscreteScheduler, whose pictures come out for the same noise.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from e2r_adapters.editors.editor import Conditioning, Shift
from e2r_metrics.base.draws import seed_for

if TYPE_CHECKING:
    import torch

Velocity = Callable[["torch.Tensor", "torch.Tensor"], "torch.Tensor"]
"""(x (B, c, h, w), sigma (B,)) -> predicted eps - z, (B, c, h, w)."""
Correction = Callable[["torch.Tensor"], "torch.Tensor"]
"""Where a sampler expects to end, (B, c, h, w) float32 -> what is added to that."""


class Flow(Protocol):
    """What sampling needs of an `Editor`."""

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`."""
        ...

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """See `Editor.schedule`."""
        ...


def noise_for(
    seed: int, image_id: str, shape: tuple[int, int, int], purpose: str
) -> "torch.Tensor":
    """Return one sample's standard normal noise, (1, c, h, w) float32 on the CPU.

    It is drawn from (seed, image id, purpose) alone, whatever the device and dtype of the model.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed_for(seed, image_id, purpose))
    return torch.randn((1, *shape), generator=generator, dtype=torch.float32)


def euler(velocity: Velocity, x: "torch.Tensor", sigmas: "torch.Tensor") -> "torch.Tensor":
    """Integrate dx = v(x, sigma) d sigma by Euler's method.

    Args:
        velocity: see `Velocity`.
        x: (B, c, h, w) noise at the first level.
        sigmas: (steps + 1,) float32 levels, falling to 0.

    Returns:
        (B, c, h, w) latents in the dtype of the velocity.
    """
    for here, there in pairwise(sigmas):
        v = velocity(x, here.expand(x.shape[0]).to(x.device))
        # Summed in float32, as the steps are small beside x.
        x = (x.float() + (there - here) * v).to(v.dtype)
    return x


def sample(
    editor: Flow,
    conditioning: Conditioning,
    noise: "torch.Tensor",
    steps: int,
    shift: Shift = "own",
    correct: Correction | None = None,
) -> "torch.Tensor":
    """Return the latents of a batch, (B, c, h, w).

    Args:
        editor: the model.
        conditioning: of the batch; see `Editor.together`.
        noise: (B, c, h, w) standard normal draws, of whole pictures.
        steps: number of noise levels, at each of which the velocity is asked for once.
        shift: see `Shift`.
        correct: applied to where each step but the last expects to end; the last one's end is the
            result, which the caller corrects as a picture.
    """
    import torch

    levels = editor.schedule(steps, conditioning.shape, shift)

    def velocity(x: "torch.Tensor", sigma: "torch.Tensor") -> "torch.Tensor":
        v = editor.velocity(x, sigma, conditioning)
        if correct is None or float(sigma[0]) <= float(levels[-2]):
            return v
        return corrected(v, x, sigma, correct)

    x = noise.to(conditioning.device, conditioning.dtype)
    with torch.inference_mode():
        return euler(velocity, x, levels)


def corrected(
    v: "torch.Tensor", x: "torch.Tensor", sigma: "torch.Tensor", correct: Correction
) -> "torch.Tensor":
    """Return the velocity that leads from x to the corrected end: z = x - sigma v, then moved."""
    level = sigma.to(x.device).view(-1, 1, 1, 1)
    return (v.float() - correct(x.float() - level * v.float()) / level).to(v.dtype)
