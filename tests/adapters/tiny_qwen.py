"""A whole Qwen-Image-Edit pipeline, tiny and hub-free."""

from typing import TYPE_CHECKING, Any

from tests.adapters.letters import chat_letters

if TYPE_CHECKING:
    import torch

SPECIAL = (
    "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
    "<|video_pad|>", "<pad>", "<unk>",
)  # fmt: skip


def build_tiny_qwen(seed: int = 0, first: bool = False, zero_cond_t: bool = False) -> Any:
    """Return a random pipeline with 4x4 pixels per token, of the first release's class or later."""
    import torch
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        QwenImageEditPipeline,
        QwenImageEditPlusPipeline,
        QwenImageTransformer2DModel,
    )
    from transformers import Qwen2VLImageProcessor, Qwen2VLProcessor, Qwen2VLVideoProcessor

    torch.manual_seed(seed)
    transformer = QwenImageTransformer2DModel(
        patch_size=2, in_channels=16, out_channels=4, num_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=16, axes_dims_rope=(4, 6, 6),
        zero_cond_t=zero_cond_t,
    )  # fmt: skip
    letters = chat_letters(SPECIAL, 4096)
    looking = Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=84 * 84)
    # The release's own schedule, whose last level is 0.02.
    scheduler = FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, base_shift=0.5, max_shift=0.9, base_image_seq_len=256,
        max_image_seq_len=8192, shift_terminal=0.02,
    )  # fmt: skip
    parts = {
        "scheduler": scheduler, "vae": _autoencoder(), "text_encoder": _language_model(),
        "tokenizer": letters, "transformer": transformer,
        "processor": Qwen2VLProcessor(looking, letters, Qwen2VLVideoProcessor()),
    }  # fmt: skip
    for part in parts.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipe = (QwenImageEditPipeline if first else QwenImageEditPlusPipeline)(**parts)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _autoencoder() -> "torch.nn.Module":
    from diffusers import AutoencoderKLQwenImage

    return AutoencoderKLQwenImage(
        base_dim=8, z_dim=4, dim_mult=[1, 2], num_res_blocks=1, temperal_downsample=[False],
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.5, 0.7, 1.0, 2.0],
    )  # fmt: skip


def _language_model() -> "torch.nn.Module":
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    said = {
        "vocab_size": 128, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 2, "bos_token_id": 0, "eos_token_id": 1,
        "rope_scaling": {"rope_type": "default", "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    seen = {
        "depth": 1, "hidden_size": 16, "intermediate_size": 24, "num_heads": 2,
        "out_hidden_size": 16, "patch_size": 14, "fullatt_block_indexes": [0], "window_size": 56,
    }  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config=said, vision_config=seen, image_token_id=SPECIAL.index("<|image_pad|>"),
            video_token_id=SPECIAL.index("<|video_pad|>"),
            vision_start_token_id=SPECIAL.index("<|vision_start|>"),
            vision_end_token_id=SPECIAL.index("<|vision_end|>"),
        )
    )  # fmt: skip
