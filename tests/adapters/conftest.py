"""A whole Kontext pipeline, tiny and hub-free, that every test of the adapters runs on."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.adapters.letters import chat_letters
from tests.adapters.tiny_qwen import build_tiny_qwen
from tests.adapters.tiny_sana import build_tiny_sana

if TYPE_CHECKING:
    from diffusers import Flux2KleinPipeline, FluxFillPipeline, FluxKontextPipeline
    from transformers import PreTrainedTokenizerFast

    from e2r_adapters.train import TrainConfig


def build_tiny_pipe(seed: int = 0) -> "FluxKontextPipeline":
    """Return a random pipeline with 4x4 pixels per token and 78,544 transformer parameters."""
    from diffusers import FluxKontextPipeline

    return _quiet(FluxKontextPipeline(**_flux_parts(seed, 16)))


def build_tiny_fill(seed: int = 0) -> "FluxFillPipeline":
    """Return a random FLUX.1 Fill pipeline with 4x4 pixels per token."""
    from diffusers import FluxFillPipeline

    return _quiet(FluxFillPipeline(**_flux_parts(seed, 16 + 16 + 16)))


def _quiet(pipe: Any) -> Any:
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _flux_parts(seed: int, channels: int) -> dict[str, Any]:
    import torch
    from diffusers import (
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
        FluxTransformer2DModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(seed)
    transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=channels, out_channels=16, num_layers=1, num_single_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32,
        pooled_projection_dim=32, guidance_embeds=True, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    vae = AutoencoderKL(
        sample_size=32, block_out_channels=(8, 8), layers_per_block=1, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=1, use_quant_conv=False, use_post_quant_conv=False,
        shift_factor=0.0609, scaling_factor=1.5035,
    )  # fmt: skip
    clip = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=1000, hidden_size=32, intermediate_size=37, num_hidden_layers=2,
            num_attention_heads=4, projection_dim=32, bos_token_id=0, eos_token_id=2,
        )
    )  # fmt: skip
    t5 = T5EncoderModel(
        T5Config(vocab_size=1000, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    )
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0, use_dynamic_shifting=True, base_shift=0.5, max_shift=1.15,
        base_image_seq_len=256, max_image_seq_len=4096,
    )  # fmt: skip
    for part in (transformer, vae, clip, t5):
        part.eval()
    return {
        "scheduler": scheduler, "vae": vae, "transformer": transformer,
        "text_encoder": clip, "tokenizer": _letters(77),
        "text_encoder_2": t5, "tokenizer_2": _letters(512),
    }  # fmt: skip


def _letters(longest: int) -> "PreTrainedTokenizerFast":
    """Return a tokenizer of single characters."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ("<s>", "<pad>", "</s>", "<unk>")
    letters = (*special, *(chr(code) for code in range(32, 127)))
    vocabulary = {letter: index for index, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>",
        unk_token="<unk>", model_max_length=longest,
    )  # fmt: skip


@pytest.fixture
def tiny_pipe() -> "FluxKontextPipeline":
    """A fresh pipeline for each test: adapters and schedulers leave traces."""
    return build_tiny_pipe()


@pytest.fixture
def make_tiny_pipe() -> "Callable[..., FluxKontextPipeline]":
    """Builds the same pipeline as `tiny_pipe`, as often as a test needs one."""
    return build_tiny_pipe


@pytest.fixture
def base(tiny_pipe, tmp_path: Path) -> str:
    """The folder of a saved tiny pipeline."""
    tiny_pipe.save_pretrained(tmp_path / "base")
    return str(tmp_path / "base")


@pytest.fixture
def config(base: str, tmp_path: Path) -> "TrainConfig":
    """A training of 8 steps."""
    from e2r_adapters.train import TrainConfig
    from e2r_adapters.train.profiles import PROFILES

    profile = dataclasses.replace(
        PROFILES["nano"], name="tiny", exposure=8, epochs=2, resolution=16, painted=32,
        schedule="constant", rank=4, alpha=4, sequence=96,
    )  # fmt: skip
    return TrainConfig(
        out=tmp_path / "out", profile=profile, tasks=("denoise", "derain"), pairs=4, backbone=base,
        device="cpu", checkpoint_every=2, sample_every=0,
    )  # fmt: skip


_TEMPLATE = (
    "{% for m in messages %}<im>{{ m['content'] }}</im>{% endfor %}"
    "{% if add_generation_prompt %}<im>{% endif %}"
)


def build_tiny_klein(seed: int = 0, distilled: bool = False) -> "Flux2KleinPipeline":
    """Return a random FLUX.2 klein pipeline with 4x4 pixels per token."""
    import torch
    from diffusers import (
        AutoencoderKLFlux2,
        FlowMatchEulerDiscreteScheduler,
        Flux2KleinPipeline,
        Flux2Transformer2DModel,
    )
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    transformer = Flux2Transformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=3 * 32, timestep_guidance_channels=32,
        mlp_ratio=2.0, axes_dims_rope=(4, 4, 4, 4), rope_theta=2000, guidance_embeds=False,
    )  # fmt: skip
    vae = AutoencoderKLFlux2(
        block_out_channels=(8, 8), layers_per_block=1, latent_channels=4, norm_num_groups=1,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    with torch.no_grad():
        vae.bn.running_mean.normal_()
        vae.bn.running_var.uniform_(0.5, 2)
    text = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=128, hidden_size=32, intermediate_size=37, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        )
    )  # fmt: skip
    letters = chat_letters(("<im>", "</im>", "<pad>", "<unk>"), 512)
    letters.chat_template = _TEMPLATE
    pipe = Flux2KleinPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=vae, text_encoder=text, tokenizer=letters, transformer=transformer,
        is_distilled=distilled,
    )  # fmt: skip
    for part in (transformer, vae, text):
        part.eval()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def make_klein() -> "Callable[..., Flux2KleinPipeline]":
    """Builds the tiny klein pipeline, as often as a test needs one."""
    return build_tiny_klein


@pytest.fixture
def make_fill() -> "Callable[..., FluxFillPipeline]":
    """Builds the tiny Fill pipeline, as often as a test needs one."""
    return build_tiny_fill


@pytest.fixture
def make_qwen() -> "Callable[..., Any]":
    """Builds the tiny Qwen-Image-Edit pipeline, as often as a test needs one."""
    return build_tiny_qwen


@pytest.fixture
def make_sana() -> "Callable[..., Any]":
    """Builds the tiny SANA pipeline, as often as a test needs one."""
    return build_tiny_sana
