# The pipelines have packing and the encoding of pictures only as protected methods.
# pyright: reportPrivateUsage=false
"""Qwen-Image-Edit: the text is read with the picture in view, guidance keeps each token's norm.

Source: Wu et al., Qwen-Image Technical Report, 2025 (arXiv 2508.02324); conventions of diffusers'
QwenImageEditPlusPipeline (2509, 2511) and QwenImageEditPipeline (the first release). Their rule of
sizes is no part of this: `e2r_adapters.resize.fit` has it by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.editors.editor import (
    Conditioning,
    Family,
    Instruction,
    Shift,
    Sizes,
)
from e2r_adapters.editors.flow_schedule import schedule_of
from e2r_adapters.editors.flux import check_scheduler
from e2r_adapters.editors.qwen_facts import LORA, PREFERRED
from e2r_adapters.editors.qwen_inputs import QwenConditioning, looked_at, read_states, stacked
from e2r_adapters.editors.shared import (
    TransformerEditor,
    pictures_of,
    pixels_of,
)
from e2r_baselines.method import Photo, Pixels
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

NEGATIVE = " "
"""The negative prompt of the release's own example; without one the pipelines guide nothing."""
FIRST_PIPELINE = "QwenImageEditPipeline"
"""The class of the first release, which later ones share their transformer with."""


@dataclass(frozen=True)
class QwenEditor(TransformerEditor):
    """See `Editor`; `pipe` is a QwenImageEditPlusPipeline or a QwenImageEditPipeline."""

    @property
    def family(self) -> Family:
        """See `Editor.family`."""
        return QWEN_EDIT

    @property
    def sizes(self) -> Sizes:
        """See `Editor.sizes`: two tokens, as its pipelines round to 32 pixels."""
        return Sizes(2 * self.token, 2 * self.token, PREFERRED)

    def encode(self, pictures: Sequence[Pixels], sources: Sequence[Pixels]) -> "torch.Tensor":
        """See `Editor.encode`: the mode of the latents; the source has no part in them."""
        import torch

        del sources
        # Its autoencoder is a video's: pictures are films of one frame.
        frames = pixels_of(pictures, self.device, self.pipe.vae.dtype).unsqueeze(2)
        with torch.no_grad():
            return self.pipe._encode_vae_image(frames, cast("Any", None)).squeeze(2)

    def decode(self, latents: "torch.Tensor") -> list[Pixels]:
        """See `Editor.decode`; a parked autoencoder is fetched and put back."""
        import torch

        with self.fetched_vae(latents.device) as vae, torch.no_grad():
            wide = latents.unsqueeze(2).to(vae.dtype)
            mean = wide.new_tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
            # As the pipelines divide, by the inverse: bitwise their picture.
            inverse = 1.0 / wide.new_tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
            pixels = vae.decode(wide / inverse + mean, return_dict=False)[0].squeeze(2)
        return pictures_of(pixels)

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[QwenConditioning, ...]:
        """See `Editor.condition`: each text is encoded for each picture, and cut to no length."""
        import torch

        latents = self.encode([photo.pixels], [photo.pixels])
        tokens, seen = self.pack(latents).cpu(), looked_at(self.pipe, photo.pixels)
        _, channels, height, width = latents.shape
        shape, given = (channels, height, width), list[QwenConditioning]()
        for said in instructions:
            guided = said.guidance > 1
            negative = read_states(self.pipe, NEGATIVE, seen) if guided else None
            scale = torch.tensor([said.guidance if guided else 1.0], dtype=torch.float32)
            states = read_states(self.pipe, said.text, seen)
            given.append(QwenConditioning(tokens, shape, states, None, negative, None, scale))
        return tuple(given)

    def together(self, parts: Sequence[Conditioning]) -> QwenConditioning:
        """See `Editor.together`."""
        return stacked(cast("Sequence[QwenConditioning]", parts), self.device)

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`: what guidance makes of a token is as long as it was without."""
        given = cast("QwenConditioning", conditioning)
        predicted = self._predict(x, sigma, given, given.states, given.mask)
        if given.negative is not None:
            without = self._predict(x, sigma, given, given.negative, given.negative_mask)
            scale = given.guidance.to(predicted.dtype).view(-1, 1, 1)
            guided = without + scale * (predicted - without)
            length, found = (one.norm(dim=-1, keepdim=True) for one in (predicted, guided))
            predicted = guided * (length / found)
        factor = self.pipe.vae_scale_factor
        height, width = (side * factor for side in x.shape[2:])
        return self.pipe._unpack_latents(predicted, height, width, factor).squeeze(2)

    def _predict(
        self,
        x: "torch.Tensor",
        sigma: "torch.Tensor",
        given: QwenConditioning,
        states: "torch.Tensor",
        mask: "torch.Tensor | None",
    ) -> "torch.Tensor":
        """Return what the transformer says of the target's tokens, (B, N, C)."""
        import torch

        target = self.pack(x)
        grid = (1, x.shape[2] // 2, x.shape[3] // 2)
        predicted = self.transformer(
            hidden_states=torch.cat([target, given.tokens], dim=1).to(given.dtype),
            timestep=(1000 * sigma).to(given.dtype) / 1000,
            guidance=None,
            encoder_hidden_states=states,
            encoder_hidden_states_mask=mask,
            # The target is frame 0 of a film, its condition frame 1.
            img_shapes=[[grid, grid]] * len(x),
            return_dict=False,
        )[0]
        return predicted[:, : target.shape[1]]

    def pack(self, latents: "torch.Tensor") -> "torch.Tensor":
        """Return (B, N, C) tokens of 2x2 patches."""
        return self.pipe._pack_latents(latents, *latents.shape)

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """See `Editor.schedule`: shifted by the target's tokens alone, whatever the steps."""
        del shift
        return schedule_of(self.pipe.scheduler, steps, (shape[1] // 2) * (shape[2] // 2))


def _open(pipe: Any) -> QwenEditor:
    check_scheduler(pipe)
    if pipe.transformer.config.guidance_embeds:
        raise UsageError(
            "expected a transformer without embedded guidance, as released, found one with it"
        )
    return QwenEditor(pipe, pipe.transformer)


QWEN_EDIT = Family(
    name="qwen-edit",
    pipeline="QwenImageEditPlusPipeline",
    preferred=PREFERRED,
    full_width=3072,
    quantized=("transformer", "text_encoder"),
    lora=LORA,
    open=_open,
    guidance=4.0,
    training_guidance=1.0,
)
