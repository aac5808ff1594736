"""Qwen-Image-Edit's sizes, and where its LoRA sits.

Source: diffusers' QwenImageTransformer2DModel, whose 60 blocks have two streams throughout.
"""

from types import MappingProxyType

from e2r_adapters.editors.editor import LoraFacts, LoraPart

PREFERRED = (
    (768, 1376), (832, 1248), (896, 1184), (1024, 1024), (1184, 896), (1248, 832), (1376, 768),
)  # fmt: skip
"""What the pipelines' rule, see `e2r_adapters.resize.megapixel`, makes of the usual aspects."""

_ATTENTION = tuple(f"attn.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0"))
_ADDED = tuple(f"attn.{name}" for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"))
_FEED = tuple(f"{stream}_mlp.net.{end}" for stream in ("img", "txt") for end in ("0.proj", "2"))

LORA = LoraFacts(
    parts=MappingProxyType(
        {
            "transformer": LoraPart(
                MappingProxyType({"full": _ATTENTION + _ADDED + _FEED, "attention": _ATTENTION}),
                r"transformer_blocks\.\d+\.(attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
                r"|(img|txt)_mlp\.net\.(0\.proj|2)|(img|txt)_mod\.1)"
                r"|img_in|txt_in|proj_out|norm_out\.linear"
                r"|time_text_embed\.timestep_embedder\.linear_[12]",
            ),
        }
    ),
    foreign=(
        r"transformer_blocks_\d+_(attn_(to_[qkv]|to_out_0|add_[qkv]_proj|to_add_out)"
        r"|(img|txt)_mlp_net_(0_proj|2)|(img|txt)_mod_1)"
        r"|img_in|txt_in|proj_out|norm_out_linear"
        r"|time_text_embed_timestep_embedder_linear_[12]"
    ),
    marked="proj_out",
    width_of=("attn.to_q", "attn.to_out.0"),
    bases=MappingProxyType(
        {3072: "Qwen-Image size (guess: Qwen-Image and all releases of Edit share these shapes)"}
    ),
    loader="QwenImageLoraLoaderMixin",
)
