# The pipeline has packing, positions and the device that it runs on only as protected methods.
# pyright: reportPrivateUsage=false
"""FLUX.2 klein: the condition joins the target on the sequence axis, guidance is classifier-free.

Source: Black Forest Labs, FLUX.2 klein, 2026; conventions of diffusers' Flux2KleinPipeline. Latents
are its packed ones: 2x2 patches of 32 channels, normalised by the autoencoder's batch statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.editors.editor import (
    Conditioning,
    Family,
    Instruction,
    Shift,
    Sizes,
)
from e2r_adapters.editors.flow_schedule import shifted
from e2r_adapters.editors.flux import check_scheduler
from e2r_adapters.editors.klein_facts import LORA, PREFERRED
from e2r_adapters.editors.klein_inputs import KleinConditioning, read_states, stacked
from e2r_adapters.editors.shared import (
    TransformerEditor,
    pictures_of,
    pixels_of,
)
from e2r_baselines.method import Photo, Pixels

if TYPE_CHECKING:
    import torch

FULL_STEPS = 50
"""Steps of the undistilled release, at which `Shift` "fixed" takes mu."""


@dataclass(frozen=True)
class KleinEditor(TransformerEditor):
    """See `Editor`; `pipe` is a Flux2KleinPipeline."""

    _texts: dict[tuple[str, int], Any] = field(default_factory=dict[tuple[str, int], Any])

    @property
    def family(self) -> Family:
        """See `Editor.family`."""
        return KLEIN

    @property
    def sizes(self) -> Sizes:
        """See `Editor.sizes`: a token is the autoencoder's factor times the 2x2 patch."""
        return Sizes(self.token, 2 * self.token, PREFERRED)

    def encode(self, pictures: Sequence[Pixels], sources: Sequence[Pixels]) -> "torch.Tensor":
        """See `Editor.encode`: the mode of the latents; the source has no part in them."""
        import torch

        del sources
        vae = self.pipe.vae
        pixels = pixels_of(pictures, self.device, vae.dtype)
        with torch.no_grad():
            return self.pipe._encode_vae_image(pixels, cast("Any", None))

    def decode(self, latents: "torch.Tensor") -> list[Pixels]:
        """See `Editor.decode`; a parked autoencoder is fetched and put back."""
        import torch

        with self.fetched_vae(latents.device) as vae, torch.no_grad():
            mean = vae.bn.running_mean.view(1, -1, 1, 1).to(latents)
            spread = (vae.bn.running_var + vae.config.batch_norm_eps).sqrt().view(1, -1, 1, 1)
            raw = self.pipe._unpatchify_latents(latents * spread.to(latents) + mean)
            pixels = vae.decode(raw.to(vae.dtype), return_dict=False)[0]
        return pictures_of(pixels)

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[KleinConditioning, ...]:
        """See `Editor.condition`."""
        import torch

        latents = self.encode([photo.pixels], [photo.pixels])
        _, channels, height, width = latents.shape
        tokens, given = self.pipe._pack_latents(latents).cpu(), list[KleinConditioning]()
        for said in instructions:
            guided = said.guidance > 1 and not self.distilled
            negative = self._text("", said.length) if guided else None
            scale = torch.tensor([said.guidance if guided else 1.0], dtype=torch.float32)
            states = self._text(said.text, said.length)
            shape = (channels, height, width)
            given.append(KleinConditioning(tokens, shape, states, negative, scale))
        return tuple(given)

    @property
    def distilled(self) -> bool:
        """Return whether it is a few-step release, which heeds no guidance."""
        config: Any = self.pipe.config
        return bool(config.is_distilled)

    def _text(self, text: str, length: int) -> "torch.Tensor":
        if (text, length) not in self._texts:
            self._texts[text, length] = read_states(self.pipe, text, length)
        return self._texts[text, length]

    def together(self, parts: Sequence[Conditioning]) -> KleinConditioning:
        """See `Editor.together`."""
        return stacked(cast("Sequence[KleinConditioning]", parts), self.device)

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`: the target's tokens come first, then the condition's."""
        given = cast("KleinConditioning", conditioning)
        predicted = self._predict(x, sigma, given, given.states)
        if given.negative is None:
            return predicted
        without = self._predict(x, sigma, given, given.negative)
        scale = given.guidance.to(predicted.dtype).view(-1, 1, 1, 1)
        return without + scale * (predicted - without)

    def _predict(
        self,
        x: "torch.Tensor",
        sigma: "torch.Tensor",
        given: KleinConditioning,
        states: "torch.Tensor",
    ) -> "torch.Tensor":
        import torch

        target = self.pipe._pack_latents(x)
        predicted = self.transformer(
            hidden_states=torch.cat([target, given.tokens], dim=1).to(given.dtype),
            timestep=(1000 * sigma).to(given.dtype) / 1000,
            guidance=None,
            encoder_hidden_states=states,
            txt_ids=self.pipe._prepare_text_ids(states).to(x.device),
            img_ids=self.positions(x),
            return_dict=False,
        )[0]
        tokens = predicted[:, : target.shape[1]]
        return tokens.permute(0, 2, 1).reshape(x.shape)

    def positions(self, x: "torch.Tensor") -> "torch.Tensor":
        """Return (B, N + M, 4): 0 for the target and 10 for the condition, row, column, 0."""
        import torch

        grid = self.pipe._prepare_latent_ids(x)
        copy = grid.clone()
        copy[..., 0] = 10
        return torch.cat([grid, copy], dim=1).to(x.device)

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """See `Editor.schedule`: shifted by the target's tokens and by the number of steps."""
        from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

        counted = FULL_STEPS if shift == "fixed" else steps
        mu = compute_empirical_mu(shape[1] * shape[2], counted)
        return shifted(self.pipe.scheduler, steps, mu)


def _open(pipe: Any) -> KleinEditor:
    check_scheduler(pipe)
    return KleinEditor(pipe, pipe.transformer)


KLEIN = Family(
    name="klein",
    pipeline="Flux2KleinPipeline",
    preferred=PREFERRED,
    full_width=3072,
    quantized=("transformer", "text_encoder"),
    lora=LORA,
    open=_open,
    guidance=4.0,
    training_guidance=1.0,
)
