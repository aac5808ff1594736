"""ICEdit: editing as the right half of a diptych that FLUX.1 Fill completes.

Source: Zhang et al., ICEdit, NeurIPS 2025 (arXiv 2504.20690); conventions of diffusers'
FluxFillPipeline at strength 1. Two things are otherwise than in its release, and said in the docs:
latents of the condition are the posterior's mode rather than a sample of it, and sides are
multiples of 16, where the release's 8 leaves black rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from e2r_adapters.editors.editor import Conditioning, Family, Instruction, Sizes
from e2r_adapters.editors.fill_facts import LORA, PREFERRED
from e2r_adapters.editors.flux import FluxEditor, check_scheduler
from e2r_adapters.editors.flux_inputs import FluxConditioning
from e2r_baselines.method import Photo, Pixels

if TYPE_CHECKING:
    import torch

PROMPT = (
    "A diptych with two side-by-side images of the same scene. On the right, the scene is exactly "
    "the same as on the left but {instruction}"
)
"""The release's words around an instruction."""


@dataclass(frozen=True)
class FillEditor(FluxEditor):
    """See `Editor`; `pipe` is a FluxFillPipeline, latents are those of the whole diptych."""

    @property
    def family(self) -> Family:
        """See `Editor.family`."""
        return FILL

    @property
    def sizes(self) -> Sizes:
        """See `Editor.sizes`: of one half, so that the halves meet between two tokens."""
        return Sizes(self.token, 2 * self.token, PREFERRED)

    def encode(self, pictures: Sequence[Pixels], sources: Sequence[Pixels]) -> "torch.Tensor":
        """See `Editor.encode`: each source on the left, its picture on the right."""
        both = zip(sources, pictures, strict=True)
        return self.latents_of([np.concatenate([left, right], axis=1) for left, right in both])

    def decode(self, latents: "torch.Tensor") -> list[Pixels]:
        """See `Editor.decode`: the right halves."""
        return [both[:, both.shape[1] // 2 :] for both in super().decode(latents)]

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[FluxConditioning, ...]:
        """See `Editor.condition`: the masked diptych's latents, and the mask."""
        import torch

        # The pipeline multiplies by the mask in [-1, 1], which leaves mid-grey.
        hidden = np.full_like(photo.pixels, 0.5)
        latents = self.latents_of([np.concatenate([photo.pixels, hidden], axis=1)])
        mask = self._mask(latents)
        tokens = torch.cat([self.pack(latents), mask], dim=2).cpu()
        _, channels, height, width = latents.shape
        shape, given = (channels, height, width), list[FluxConditioning]()
        for said in instructions:
            text = self.text(PROMPT.format(instruction=said.text), said.length)
            guidance = torch.tensor([said.guidance], dtype=torch.float32)
            given.append(
                FluxConditioning(tokens, shape, text.states, text.pooled, text.clip, guidance)
            )
        return tuple(given)

    def _mask(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Return the tokens of the mask: each pixel of a latent is a channel; 1 on the right."""
        batch, _, height, width = latents.shape
        mask = latents.new_zeros(batch, self.pipe.vae_scale_factor**2, height, width)
        mask[..., width // 2 :] = 1
        return self.pack(mask)

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`: the condition joins each token of the diptych as channels."""
        import torch

        given = cast("FluxConditioning", conditioning)
        tokens = torch.cat([self.pack(x).to(given.dtype), given.tokens.to(given.dtype)], dim=2)
        return self.unpack(self.predict(tokens, sigma, given, self.grid(x)), x)


def _open(pipe: Any) -> FillEditor:
    check_scheduler(pipe)
    return FillEditor(pipe, pipe.transformer)


FILL = Family(
    name="fill",
    pipeline="FluxFillPipeline",
    preferred=PREFERRED,
    full_width=3072,
    quantized=("transformer", "text_encoder_2"),
    lora=LORA,
    open=_open,
    guidance=50.0,
    training_guidance=1.0,
    least_length=48,
)
