"""How each miniature is built, and what its base is trained on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from e2r_adapters.editors.fill import FILL, PROMPT
from e2r_adapters.editors.loading import open_editor
from e2r_adapters.editors.releases import LENGTH, NANO
from e2r_baselines.tasks import PROMPTS
from nano_base import BaseSettings, EditSettings, all_prompts
from nano_decoder import write_decoder
from nano_networks import TOKEN, build_transformer, build_transformer_2, widened
from nano_pictures import paint_canvases
from nano_text import build_chat, build_text
from nano_vae import build_vae, fit_linear, normalised, write_linear

if TYPE_CHECKING:
    from diffusers.pipelines.flux.pipeline_flux_fill import FluxFillPipeline
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

SEED = 1


@dataclass(frozen=True)
class Stage:
    """One stage of a base's training.

    Attributes:
        canvases: pictures painted for it.
        varied: nearer to photographs; see `paint_canvases`.
        pairs: of edits, cut from them.
        settings: of the training.
    """

    canvases: int
    varied: bool
    pairs: int
    settings: BaseSettings


@dataclass(frozen=True)
class Recipe:
    """One miniature.

    Attributes:
        of: the model that it is a miniature of.
        build: (steps of the autoencoder's fit, pictures) -> pipeline with an untrained transformer.
        shown: how its edits are shown.
        stages: of its base, one after the other.
    """

    of: str
    build: Callable[[int, int], Any]
    shown: EditSettings
    stages: tuple[Stage, ...]


def phrases() -> list[str]:
    """Return every text that a miniature is asked to read."""
    return [*all_prompts(), *(text for said in PROMPTS.values() for text in said.values())]


def painted(canvases: int) -> list[Any]:
    """Return pictures for an autoencoder: three tenths plain, the others nearer to photographs."""
    plain = canvases * 3 // 10
    pictures = paint_canvases(plain, SEED, "leaf")
    return pictures + paint_canvases(canvases - plain, SEED, "leaf-varied", varied=True)


def _scheduler() -> "FlowMatchEulerDiscreteScheduler":
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
        FlowMatchEulerDiscreteScheduler,
    )

    return FlowMatchEulerDiscreteScheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )


def build_kontext(linear_steps: int, canvases: int) -> "FluxKontextPipeline":
    """Return Kontext's pipeline with its code fitted and its transformer untrained.

    Its decoder is the linear one, until `make_decoder.py` has trained it.
    """
    from diffusers.pipelines.flux.pipeline_flux_kontext import FluxKontextPipeline

    vae = build_vae()
    code = fit_linear(painted(canvases), linear_steps, seed=0)
    write_linear(vae, code)
    write_decoder(vae.decoder, code)
    text = build_text(phrases(), seed=0)
    return FluxKontextPipeline(
        scheduler=_scheduler(), vae=vae.eval(), transformer=build_transformer(0), **text._asdict()
    )


def build_fill(linear_steps: int, canvases: int) -> "FluxFillPipeline":
    """Return Fill's pipeline on kontext-nano's networks; nothing is fitted.

    The tokenizers are its own: ICEdit's words around an instruction would be 80 tokens else.
    """
    from diffusers.pipelines.flux.pipeline_flux_fill import FluxFillPipeline

    del linear_steps, canvases
    kontext: Any = open_editor(NANO, torch.float32, "cpu")
    text = build_text([PROMPT.format(instruction=said) for said in phrases()], seed=0)
    mask = 4 * kontext.pipe.vae_scale_factor**2
    return FluxFillPipeline(
        scheduler=_scheduler(),
        vae=kontext.pipe.vae,
        transformer=widened(kontext.pipe.transformer, TOKEN + mask),
        **text._asdict(),
    )


def build_klein(linear_steps: int, canvases: int) -> "Flux2KleinPipeline":
    """Return klein's pipeline on kontext-nano's autoencoder, its transformer untrained."""
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline

    del linear_steps
    kontext: Any = open_editor(NANO, torch.float32, "cpu")
    qwen, tokenizer = build_chat(phrases(), seed=0)
    return Flux2KleinPipeline(
        scheduler=_scheduler(),
        vae=normalised(kontext.pipe.vae, painted(canvases)).eval(),
        text_encoder=qwen,
        tokenizer=tokenizer,
        transformer=build_transformer_2(0),
        is_distilled=False,
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "kontext-nano": Recipe(
            "FLUX.1 Kontext",
            build_kontext,
            EditSettings(64, LENGTH, guidance=(1.0, 5.0)),
            (
                Stage(200, False, 6000, BaseSettings(steps=4500)),
                Stage(300, True, 12000, BaseSettings(steps=5000, rate=1.5e-3, decay=0.6, seed=2)),
            ),
        ),
        "fill-nano": Recipe(
            "FLUX.1 Fill",
            build_fill,
            # The halves of a diptych find each other by their distance, which must be the tested.
            EditSettings(128, FILL.least_length, guidance=(1.0, 64.0)),
            (
                Stage(
                    200, True, 2000, BaseSettings(steps=1500, batch=4, rate=1e-3, decay=0.6, seed=3)
                ),
            ),
        ),
        "klein-nano": Recipe(
            "FLUX.2 klein",
            build_klein,
            EditSettings(64, LENGTH, silent=0.1),
            (Stage(200, True, 5000, BaseSettings(steps=2200, decay=0.5, seed=4)),),
        ),
    }
)
