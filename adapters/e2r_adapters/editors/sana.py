# The device that a pipeline runs on is a protected name.
# pyright: reportPrivateUsage=false
"""SANA with the condition as channels: a text-to-image model that paired training makes a restorer.

Source: Xie et al., SANA, ICLR 2025, and SANA-1.5, ICML 2025; conventions of diffusers' SanaPipeline
without its bins of sizes and its preamble to prompts. Steps are Euler's on the levels of the
folder's scheduler, whatever its order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, cast

from e2r_adapters.editors.editor import (
    Conditioning,
    Family,
    Instruction,
    Networks,
    Shift,
    Sizes,
)
from e2r_adapters.editors.flow_schedule import fresh
from e2r_adapters.editors.flux import check_scheduler
from e2r_adapters.editors.sana_facts import LORA, PREFERRED, PROJECTION
from e2r_adapters.editors.sana_inputs import SanaConditioning, Text, read_text, stacked
from e2r_adapters.editors.shared import TransformerEditor, pictures_of, pixels_of
from e2r_baselines.method import Photo, Pixels
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

TOKENS = 300
"""Text tokens of its pipeline; what pads a text is masked."""
_SCHEDULERS = ("FlowMatchEulerDiscreteScheduler", "DPMSolverMultistepScheduler")


@dataclass(frozen=True)
class SanaEditor(TransformerEditor):
    """See `Editor`; `pipe` is a SanaPipeline.

    Attributes:
        projection: joins latents and condition; see `e2r_adapters.editors.projection`.
    """

    projection: "torch.nn.Module"
    _texts: dict[tuple[str, int], Text] = field(default_factory=dict[tuple[str, int], Text])

    @property
    def family(self) -> Family:
        """See `Editor.family`."""
        return SANA_CONCAT

    @property
    def sizes(self) -> Sizes:
        """See `Editor.sizes`: a token is the autoencoder's factor times the patch, which is 1."""
        multiple = self.pipe.vae_scale_factor * self.pipe.transformer.config.patch_size
        return Sizes(multiple, 2 * multiple, PREFERRED)

    @property
    def networks(self) -> Networks:
        """See `Editor.networks`: the projection carries no LoRA, and is trained whole."""
        return {**super().networks, PROJECTION: self.projection}

    def through(self, networks: Networks) -> Self:
        """See `Editor.through`."""
        own = networks.get(PROJECTION, self.projection)
        return replace(super().through(networks), projection=own)

    def encode(self, pictures: Sequence[Pixels], sources: Sequence[Pixels]) -> "torch.Tensor":
        """See `Editor.encode`: DC-AE has one latent for a picture; the source has no part in it."""
        import torch

        del sources
        vae = self.pipe.vae
        with torch.no_grad():
            latents = vae.encode(pixels_of(pictures, self.device, vae.dtype)).latent
        return latents * vae.config.scaling_factor

    def decode(self, latents: "torch.Tensor") -> list[Pixels]:
        """See `Editor.decode`; a parked autoencoder is fetched and put back."""
        import torch

        with self.fetched_vae(latents.device) as vae, torch.no_grad():
            raw = latents.to(vae.dtype) / vae.config.scaling_factor
            return pictures_of(vae.decode(raw, return_dict=False)[0])

    def condition(
        self, photo: Photo, instructions: Sequence[Instruction]
    ) -> tuple[SanaConditioning, ...]:
        """See `Editor.condition`."""
        import torch

        latents = self.encode([photo.pixels], [photo.pixels]).cpu()
        given = list[SanaConditioning]()
        for said in instructions:
            text = self._text(said.text, said.length)
            guided = said.guidance > 1
            negative = self._text("", said.length) if guided else None
            scale = torch.tensor([said.guidance if guided else 1.0], dtype=torch.float32)
            without = (negative.states, negative.mask) if negative else (None, None)
            given.append(SanaConditioning(latents, text.states, text.mask, *without, scale))
        return tuple(given)

    def _text(self, text: str, length: int) -> Text:
        if (text, length) not in self._texts:
            self._texts[text, length] = read_text(self.pipe, text, length)
        return self._texts[text, length]

    def together(self, parts: Sequence[Conditioning]) -> SanaConditioning:
        """See `Editor.together`."""
        return stacked(cast("Sequence[SanaConditioning]", parts), self.device)

    def velocity(
        self, x: "torch.Tensor", sigma: "torch.Tensor", conditioning: Conditioning
    ) -> "torch.Tensor":
        """See `Editor.velocity`: with guidance both texts go through in one pass of 2 B samples."""
        import torch

        given = cast("SanaConditioning", conditioning)
        joined: torch.Tensor = self.projection(x, given.latents)
        if given.negative is None or given.negative_mask is None:
            return self._predict(joined, sigma, given.states, given.mask)
        without, predicted = self._predict(
            torch.cat([joined, joined]),
            torch.cat([sigma, sigma]),
            torch.cat([given.negative, given.states]),
            torch.cat([given.negative_mask, given.mask]),
        ).chunk(2)
        return without + given.guidance.view(-1, 1, 1, 1) * (predicted - without)

    def _predict(
        self,
        x: "torch.Tensor",
        sigma: "torch.Tensor",
        states: "torch.Tensor",
        mask: "torch.Tensor",
    ) -> "torch.Tensor":
        """Return what the transformer says of (B, c, h, w), in float32."""
        predicted = self.transformer(
            x.to(states.dtype),
            encoder_hidden_states=states,
            encoder_attention_mask=mask,
            timestep=1000 * sigma * self.pipe.transformer.config.timestep_scale,
            return_dict=False,
        )[0]
        # A network that learned its variance too has that behind the velocity.
        return predicted[:, : x.shape[1]].float()

    def schedule(
        self, steps: int, shape: tuple[int, int, int], shift: Shift = "own"
    ) -> "torch.Tensor":
        """See `Editor.schedule`: the shift is fixed; DPM-Solver's first level is a little under 1.

        Whatever the size of the picture and the number of steps.
        """
        del shape, shift
        made = fresh(self.pipe.scheduler)
        made.set_timesteps(steps)
        return made.sigmas

    def training_levels(self) -> "torch.Tensor":
        """See `Editor.training_levels`: unshifted, whatever shift inference has."""
        import torch

        count: int = self.pipe.scheduler.config.num_train_timesteps
        return torch.arange(count, 0, -1) / count


def _open(pipe: Any) -> SanaEditor:
    from e2r_adapters.editors.projection import Projection

    check_scheduler(pipe)
    _check(pipe.scheduler, pipe.transformer.config)
    projection = Projection(pipe.transformer.config.in_channels).to(pipe._execution_device)
    return SanaEditor(pipe, pipe.transformer, projection)


def _check(scheduler: Any, config: Any) -> None:
    """Stop at what is no flow with a fixed shift, or takes its guidance embedded."""
    name, told = type(scheduler).__name__, scheduler.config
    if name not in _SCHEDULERS:
        raise UsageError(f"expected a scheduler among {', '.join(_SCHEDULERS)}, found {name}")
    flow = name == _SCHEDULERS[0] or (
        told.use_flow_sigmas and told.prediction_type == "flow_prediction"
    )
    if not flow or told.get("use_dynamic_shifting"):
        raise UsageError(
            f"expected a {name} of a flow whose shift is fixed, as SANA's are, found another one"
        )
    if config.guidance_embeds:
        raise UsageError(
            "expected a transformer without embedded guidance, as SANA's and SANA-1.5's, found one "
            "with it"
        )


SANA_CONCAT = Family(
    name="sana-concat",
    pipeline="SanaPipeline",
    preferred=PREFERRED,
    full_width=1152,
    quantized=("transformer", "text_encoder"),
    lora=LORA,
    open=_open,
    # The empty prompt is never shown in training, so that nothing is known to guide away from.
    guidance=1.0,
    training_guidance=1.0,
)
