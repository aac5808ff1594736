# The pipelines have packing, positions and the device that they run on only as protected methods.
# pyright: reportPrivateUsage=false
"""What the editors on FLUX.1's transformer share: T5 and CLIP, packing, guidance, adapters.

Source: Black Forest Labs, FLUX.1, 2024; conventions of diffusers' pipelines.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, cast

from e2r_adapters.editors.editor import Conditioning, Networks, Shift
from e2r_adapters.editors.flow_schedule import schedule_of
from e2r_adapters.editors.flux_inputs import FluxConditioning, Text, read_text, stacked
from e2r_adapters.editors.shared import (
    PipelineEditor,
    pictures_of,
    pixels_of,
)
from e2r_baselines.method import Pixels
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FluxEditor(PipelineEditor):
    """The shared part of an `Editor`.

    Attributes:
        clip: a text encoder that is run in every call; None where its vectors are kept.
    """

    clip: "torch.nn.Module | None" = None
    _texts: dict[tuple[str, int], Text] = field(default_factory=dict[tuple[str, int], Text])

    @property
    def networks(self) -> Networks:
        """See `Editor.networks`."""
        return {"transformer": self.pipe.transformer, "text_encoder": self.pipe.text_encoder}

    def latents_of(self, pictures: Sequence[Pixels]) -> "torch.Tensor":
        """Return the mode of pictures' latents, (B, c, h, w), shifted and scaled."""
        import torch

        vae = self.pipe.vae
        pixels = pixels_of(pictures, self.device, vae.dtype)
        with torch.no_grad():
            mode = vae.encode(pixels).latent_dist.mode()
        return (mode - vae.config.shift_factor) * vae.config.scaling_factor

    def decode(self, latents: "torch.Tensor") -> list[Pixels]:
        """See `Editor.decode`; a parked autoencoder is fetched and put back."""
        import torch

        vae = self.pipe.vae
        parked = self.pipe.text_encoder_2 is None
        if parked:
            vae.to(latents.device)
        with torch.no_grad():
            raw = latents / vae.config.scaling_factor + vae.config.shift_factor
            pixels = vae.decode(raw.to(vae.dtype), return_dict=False)[0]
        if parked:
            vae.to("cpu")
        return pictures_of(pixels)

    def text(self, text: str, length: int) -> Text:
        """Return what the encoders say about a text, computed once."""
        if (text, length) not in self._texts:
            self._texts[text, length] = read_text(self.pipe, text, length)
        return self._texts[text, length]

    def together(self, parts: Sequence[Conditioning]) -> FluxConditioning:
        """See `Editor.together`."""
        return stacked(cast("Sequence[FluxConditioning]", parts), self.device)

    def predict(
        self,
        tokens: "torch.Tensor",
        sigma: "torch.Tensor",
        given: FluxConditioning,
        positions: "torch.Tensor",
    ) -> "torch.Tensor":
        """Return what the transformer says of tokens, (B, N, C), at noise levels (B,)."""
        import torch

        dtype = given.dtype
        pooled = given.pooled if self.clip is None else self._pooled(self.clip, given)
        length, embeds = given.states.shape[1], self.pipe.transformer.config.guidance_embeds
        return self.transformer(
            hidden_states=tokens.to(dtype),
            timestep=(1000 * sigma).to(dtype) / 1000,
            guidance=given.guidance if embeds else None,
            pooled_projections=pooled,
            encoder_hidden_states=given.states,
            txt_ids=torch.zeros(length, 3, device=tokens.device, dtype=dtype),
            img_ids=positions,
            return_dict=False,
        )[0]

    def _pooled(self, clip: Any, given: FluxConditioning) -> "torch.Tensor":
        import torch

        # In the precision of its weights, as where its vectors are kept.
        with torch.autocast(given.device.type, enabled=False):
            return clip(given.clip).pooler_output

    def pack(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Return (B, N, C) tokens of 2x2 patches."""
        return self.pipe._pack_latents(latents, *latents.shape)

    def unpack(self, tokens: "torch.Tensor", like: "torch.Tensor") -> "torch.Tensor":
        """Return tokens as latents of the shape of others."""
        factor = self.pipe.vae_scale_factor
        height, width = (side * factor for side in like.shape[2:])
        return self.pipe._unpack_latents(tokens, height, width, factor)

    def grid(self, x: "torch.Tensor") -> "torch.Tensor":
        """Return the (N, 3) positions of latents' tokens: 0, row, column."""
        batch, _, height, width = x.shape
        return self.pipe._prepare_latent_image_ids(
            batch, height // 2, width // 2, x.device, x.dtype
        )

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """See `Editor.schedule`: shifted by the target's tokens alone, whatever the steps."""
        del shift
        return schedule_of(self.pipe.scheduler, steps, (shape[1] // 2) * (shape[2] // 2))

    def through(self, networks: Networks) -> Self:
        """See `Editor.through`."""
        return replace(
            self,
            transformer=networks.get("transformer", self.transformer),
            clip=networks.get("text_encoder"),
        )

    def forget(self) -> None:
        """See `Editor.forget`."""
        self._texts.clear()

    def park(self) -> None:
        """See `Editor.park`: T5 is dropped, the autoencoder waits on the CPU."""
        self.pipe.text_encoder_2 = None
        self.pipe.vae.to("cpu")


def check_scheduler(pipe: Any) -> None:
    """Stop at a pipeline whose scheduler draws noise of its own; `UsageError`."""
    if pipe.scheduler.config.get("stochastic_sampling"):
        raise UsageError("expected a scheduler without noise of its own, found stochastic_sampling")
