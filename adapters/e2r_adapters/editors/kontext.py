"""FLUX.1 Kontext: the condition joins the target on the sequence axis, guidance is embedded.

Source: Black Forest Labs, FLUX.1 Kontext, 2025; conventions of diffusers' FluxKontextPipeline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.editors.editor import Conditioning, Family, Instruction, Sizes
from e2r_adapters.editors.flux import FluxEditor, check_scheduler
from e2r_adapters.editors.flux_inputs import FluxConditioning
from e2r_adapters.editors.kontext_facts import LORA, PREFERRED
from e2r_baselines.method import Photo, Pixels

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class KontextEditor(FluxEditor):
    """See `Editor`; `pipe` is a FluxKontextPipeline."""

    @property
    def family(self) -> Family:
        """See `Editor.family`."""
        return KONTEXT

    @property
    def sizes(self) -> Sizes:
        """See `Editor.sizes`."""
        return Sizes(self.token, 2 * self.token, PREFERRED)

    def encode(self, pictures: Sequence[Pixels], sources: Sequence[Pixels]) -> "torch.Tensor":
        """See `Editor.encode`: the mode of the latents; the source has no part in them."""
        del sources
        return self.latents_of(pictures)

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[FluxConditioning, ...]:
        """See `Editor.condition`."""
        import torch

        latents = self.latents_of([photo.pixels])
        tokens = self.pack(latents).cpu()
        _, channels, height, width = latents.shape
        shape, given = (channels, height, width), list[FluxConditioning]()
        for said in instructions:
            text = self.text(said.text, said.length)
            guidance = torch.tensor([said.guidance], dtype=torch.float32)
            given.append(
                FluxConditioning(tokens, shape, text.states, text.pooled, text.clip, guidance)
            )
        return tuple(given)

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`: the target's tokens come first, then the condition's."""
        import torch

        given, target = cast("FluxConditioning", conditioning), self.pack(x)
        tokens = torch.cat([target, given.tokens], dim=1)
        predicted = self.predict(tokens, sigma, given, self.positions(x))
        return self.unpack(predicted[:, : target.shape[1]], x)

    def positions(self, x: "torch.Tensor") -> "torch.Tensor":
        """Return (N + M, 3): 0 for the target and 1 for the condition, row, column."""
        import torch

        grid = self.grid(x)
        copy = grid.clone()
        copy[..., 0] = 1
        return torch.cat([grid, copy])


def _open(pipe: Any) -> KontextEditor:
    check_scheduler(pipe)
    return KontextEditor(pipe, pipe.transformer)


KONTEXT = Family(
    name="kontext",
    pipeline="FluxKontextPipeline",
    preferred=PREFERRED,
    full_width=3072,
    quantized=("transformer", "text_encoder_2"),
    lora=LORA,
    open=_open,
    guidance=2.5,  # the paper's inference
)
