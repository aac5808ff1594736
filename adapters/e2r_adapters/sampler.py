"""Kontext's sampler, with everything that seeds and step counts share computed once.

Source: FluxKontextPipeline of diffusers, whose pictures it reproduces for the same noise.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters.backbone import Backbone
from e2r_adapters.encode import PromptState
from e2r_metrics.base.draws import seed_for

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Guide:
    """What a batch is guided by; it does not depend on seed or steps.

    Attributes:
        condition: (B, c, h, w) latents of the pictures to restore.
        prompt: of the task, shared by the batch.
        guidance: the embedded guidance scale.
    """

    condition: "torch.Tensor"
    prompt: PromptState
    guidance: float


def noise_for(seed: int, image_id: str, latents: "torch.Tensor") -> "torch.Tensor":
    """Return standard normal noise like one picture's (1, c, h, w) latents.

    It is drawn on the CPU in float32 from (seed, image id) alone, whatever the device and dtype.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed_for(seed, image_id, "kontext"))
    drawn = torch.randn(latents.shape, generator=generator, dtype=torch.float32)
    return drawn.to(latents.device, latents.dtype)


def sample(backbone: Backbone, guide: Guide, noise: "torch.Tensor", steps: int) -> "torch.Tensor":
    """Integrate from noise to latents with the pipeline's own Euler steps.

    Args:
        backbone: the model.
        guide: conditions of the batch.
        noise: (B, c, h, w) standard normal draws, the size of the condition.
        steps: number of evaluations of the transformer.

    Returns:
        (B, c, h, w) latents.
    """
    import torch

    transformer = backbone.pipe.transformer
    dtype = guide.prompt.t5.dtype
    size, multiple = noise.shape[0], backbone.multiple
    height, width = (side // 2 * multiple for side in noise.shape[2:])
    prompt = guide.prompt.t5.expand(size, -1, -1)
    pooled = guide.prompt.pooled.expand(size, -1)
    ids = backbone.token_ids(noise.to(dtype), guide.condition.to(dtype))
    condition = backbone.pack(guide.condition).to(dtype)
    target = backbone.pack(noise).to(dtype)
    count = target.shape[1]
    scheduler: Any = backbone.schedule(steps, count)
    with torch.inference_mode():
        for timestep in scheduler.timesteps:
            velocity = backbone.predict(
                transformer,
                tokens=torch.cat([target, condition], dim=1),
                token_ids=ids,
                timestep=timestep.expand(size).to(target.device),
                prompt=prompt,
                pooled=pooled,
                guidance=guide.guidance,
            )[:, :count]
            target = scheduler.step(velocity, timestep, target, return_dict=False)[0]
        return backbone.unpack(target, height, width)
