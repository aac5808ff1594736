# The pipeline has packing, positions and the device that it runs on only as protected methods.
# pyright: reportPrivateUsage=false
"""FLUX.1 Kontext: the condition joins the target on the sequence axis, guidance is embedded.

Source: Black Forest Labs, FLUX.1 Kontext, 2025; conventions of diffusers' FluxKontextPipeline.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.editors.editor import (
    Conditioning,
    Family,
    Instruction,
    LoraSource,
    Networks,
    Shift,
    Sizes,
)
from e2r_adapters.editors.flow_schedule import fresh, schedule_of
from e2r_adapters.editors.kontext_facts import LORA, PREFERRED
from e2r_adapters.editors.kontext_inputs import (
    KontextConditioning,
    Text,
    read_text,
    stacked,
)
from e2r_adapters.editors.shared import (
    given_to_diffusers,
    lora_shapes,
    pictures_of,
    pixels_of,
    save_lora,
)
from e2r_baselines.method import Photo, Pixels
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline


@dataclass(frozen=True)
class KontextEditor:
    """See `Editor`.

    Attributes:
        pipe: the pipeline; calling it is left to others, since that changes its scheduler.
        transformer: what velocities go through.
        clip: a text encoder that is run in every call; None where its vectors are kept.
    """

    pipe: "FluxKontextPipeline"
    transformer: "torch.nn.Module"
    clip: "torch.nn.Module | None" = None
    _texts: dict[tuple[str, int], Text] = field(default_factory=dict[tuple[str, int], Text])

    @property
    def family(self) -> Family:
        """See `Editor.family`."""
        return KONTEXT

    @property
    def sizes(self) -> Sizes:
        """See `Editor.sizes`: a token is the autoencoder's factor times the 2x2 packing."""
        token = 2 * self.pipe.vae_scale_factor
        return Sizes(token, 2 * token, PREFERRED)

    @property
    def networks(self) -> Networks:
        """See `Editor.networks`."""
        return {"transformer": self.pipe.transformer, "text_encoder": self.pipe.text_encoder}

    @property
    def device(self) -> "torch.device":
        """See `Editor.device`; only the pipeline knows where offloading makes it run."""
        return self.pipe._execution_device

    def encode(self, pictures: Sequence[Pixels], sources: Sequence[Pixels]) -> "torch.Tensor":
        """See `Editor.encode`: the mode of the latents; the source has no part in them."""
        import torch

        del sources
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

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[KontextConditioning, ...]:
        """See `Editor.condition`."""
        import torch

        latents = self.encode([photo.pixels], [photo.pixels])
        tokens = self.pack(latents).cpu()
        _, channels, height, width = latents.shape
        shape, given = (channels, height, width), list[KontextConditioning]()
        for said in instructions:
            text = self._text(said.text, said.length)
            guidance = torch.tensor([said.guidance], dtype=torch.float32)
            given.append(
                KontextConditioning(tokens, shape, text.states, text.pooled, text.clip, guidance)
            )
        return tuple(given)

    def _text(self, text: str, length: int) -> Text:
        if (text, length) not in self._texts:
            self._texts[text, length] = read_text(self.pipe, text, length)
        return self._texts[text, length]

    def together(self, parts: Sequence[Conditioning]) -> KontextConditioning:
        """See `Editor.together`."""
        return stacked(cast("Sequence[KontextConditioning]", parts), self.device)

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`: the target's tokens come first, then the condition's."""
        import torch

        given = cast("KontextConditioning", conditioning)
        dtype, target = given.dtype, self.pack(x)
        pooled = given.pooled if self.clip is None else self._pooled(self.clip, given)
        embeds = self.pipe.transformer.config.guidance_embeds
        predicted = self.transformer(
            hidden_states=torch.cat([target, given.tokens], dim=1).to(dtype),
            timestep=(1000 * sigma).to(dtype) / 1000,
            guidance=given.guidance if embeds else None,
            pooled_projections=pooled,
            encoder_hidden_states=given.states,
            txt_ids=torch.zeros(given.states.shape[1], 3, device=x.device, dtype=dtype),
            img_ids=self.positions(x),
            return_dict=False,
        )[0]
        factor = self.pipe.vae_scale_factor
        height, width = (side * factor for side in x.shape[2:])
        return self.pipe._unpack_latents(predicted[:, : target.shape[1]], height, width, factor)

    def _pooled(self, clip: Any, given: KontextConditioning) -> "torch.Tensor":
        import torch

        # In the precision of its weights, as where its vectors are kept.
        with torch.autocast(given.device.type, enabled=False):
            return clip(given.clip).pooler_output

    def pack(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Return (B, N, C) tokens of 2x2 patches."""
        return self.pipe._pack_latents(latents, *latents.shape)

    def positions(self, x: "torch.Tensor") -> "torch.Tensor":
        """Return (N + M, 3): 0 for the target and 1 for the condition, row, column."""
        import torch

        batch, _, height, width = x.shape
        grid = self.pipe._prepare_latent_image_ids(
            batch, height // 2, width // 2, x.device, x.dtype
        )
        copy = grid.clone()
        copy[..., 0] = 1
        return torch.cat([grid, copy])

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """See `Editor.schedule`: shifted by the target's tokens alone, whatever the steps."""
        del shift
        return schedule_of(self.pipe.scheduler, steps, (shape[1] // 2) * (shape[2] // 2))

    def training_levels(self) -> "torch.Tensor":
        """See `Editor.training_levels`: 1 to 0.001, before any shift by resolution."""
        return fresh(self.pipe.scheduler).sigmas

    def loss_mask(self, shape: tuple[int, int, int]) -> None:
        """See `Editor.loss_mask`: latents are the target's alone."""
        del shape

    def through(self, networks: Networks) -> "KontextEditor":
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
        self.pipe.text_encoder_2 = cast("Any", None)
        self.pipe.vae.to("cpu")

    def finish(self) -> None:
        """See `Editor.finish`."""
        self.pipe.maybe_free_model_hooks()

    def save_lora(
        self, folder: Path, layers: Mapping[str, Mapping[str, "torch.Tensor"]], trained: Networks
    ) -> None:
        """See `Editor.save_lora`."""
        save_lora(self.pipe, folder, layers, trained)

    def lora_shapes(self, source: LoraSource) -> Mapping[str, tuple[int, ...]]:
        """See `Editor.lora_shapes`."""
        return lora_shapes(self.pipe, source)

    def load_lora(self, source: LoraSource, name: str) -> None:
        """See `Editor.load_lora`."""
        self.pipe.load_lora_weights(given_to_diffusers(source), adapter_name=name)


def _open(pipe: Any) -> KontextEditor:
    config: Any = pipe.scheduler.config
    if config.get("stochastic_sampling"):
        raise UsageError("expected a scheduler without noise of its own, found stochastic_sampling")
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
