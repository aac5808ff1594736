"""A whole SANA pipeline, tiny and hub-free."""

from typing import TYPE_CHECKING, Any

from tests.adapters.letters import chat_letters

if TYPE_CHECKING:
    import torch


def build_tiny_sana(seed: int = 0, released: bool = False, **kind: Any) -> Any:
    """Return a random pipeline with 4x4 pixels per token.

    Args:
        seed: of its weights.
        released: with the scheduler of the releases.
        kind: settings of the transformer.
    """
    import torch
    from diffusers import SanaPipeline, SanaTransformer2DModel

    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "in_channels": 4, "out_channels": 4, "num_layers": 2, "num_attention_heads": 2,
        "attention_head_dim": 8, "num_cross_attention_heads": 2, "cross_attention_head_dim": 8,
        "cross_attention_dim": 16, "caption_channels": 8, "sample_size": 16,
    }  # fmt: skip
    transformer = SanaTransformer2DModel(**settings | kind)
    parts = {
        "tokenizer": chat_letters(("<pad>", "<eos>", "<bos>", "<unk>"), 512),
        "text_encoder": _language_model(), "vae": _autoencoder(), "transformer": transformer,
        "scheduler": _scheduler(released),
    }  # fmt: skip
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipe = SanaPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _scheduler(released: bool) -> Any:
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler

    if not released:
        return FlowMatchEulerDiscreteScheduler(shift=3.0)
    return DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )


def _autoencoder() -> "torch.nn.Module":
    from diffusers import AutoencoderDC

    return AutoencoderDC(
        latent_channels=4, attention_head_dim=2, scaling_factor=0.41407,
        encoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(4, 8, 8), decoder_block_out_channels=(4, 8, 8),
        encoder_layers_per_block=(1, 1, 1), decoder_layers_per_block=(1, 1, 1),
        encoder_qkv_multiscales=((), (), (5,)), decoder_qkv_multiscales=((), (), (5,)),
    )  # fmt: skip


def _language_model() -> "torch.nn.Module":
    from transformers import Gemma2Config, Gemma2Model

    return Gemma2Model(
        Gemma2Config(
            vocab_size=128, hidden_size=8, intermediate_size=16, num_hidden_layers=1,
            num_attention_heads=2, num_key_value_heads=2, head_dim=4,
        )
    )  # fmt: skip
