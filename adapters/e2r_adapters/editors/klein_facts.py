"""FLUX.2 klein's sizes, and where its LoRA sits.

Source: diffusers' Flux2Transformer2DModel; the lists of targets are those of diffusers' script for
klein ("attention" with the fused blocks) and of the community's trainers ("common").
"""

from types import MappingProxyType

from e2r_adapters.editors.editor import LoraFacts, LoraPart
from e2r_adapters.editors.kontext_facts import PREFERRED

__all__ = ["LORA", "PREFERRED"]

# In the double blocks each stream has its own; a single block fuses q, k, v and the MLP.
_ATTENTION = tuple(f"attn.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0"))
_ADDED = tuple(f"attn.{name}" for name in ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"))
_FEED = ("ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out")
_FUSED = ("attn.to_qkv_mlp_proj",)

LORA = LoraFacts(
    parts=MappingProxyType(
        {
            "transformer": LoraPart(
                MappingProxyType(
                    {
                        # "attn.to_out" is a Linear in a single block and a list in a double one.
                        "full": (*_ATTENTION, *_ADDED, *_FEED, *_FUSED, "attn.to_out"),
                        "common": (*_ATTENTION, *_ADDED, *_FEED, *_FUSED),
                        "attention": (*_ATTENTION, *_FUSED),
                    }
                ),
                r"transformer_blocks\.\d+\.(attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
                r"|ff(_context)?\.linear_(in|out))"
                r"|single_transformer_blocks\.\d+\.attn\.(to_qkv_mlp_proj|to_out)"
                r"|x_embedder|context_embedder|proj_out|norm_out\.linear"
                r"|(double_stream_modulation_(img|txt)|single_stream_modulation)\.linear"
                r"|time_guidance_embed\.(timestep|guidance)_embedder\.linear_[12]",
            ),
        }
    ),
    foreign=(
        r"double_blocks_\d+_(img|txt)_(attn_(qkv|proj)|mlp_[02])"
        r"|single_blocks_\d+_linear[12]"
        r"|(double_stream_modulation_(img|txt)|single_stream_modulation)_lin"
        r"|(img|txt|time|guidance)_in(_(in|out)_layer)?|final_layer_(linear|adaLN_.*)"
    ),
    marked="proj_out",
    width_of=("attn.to_q", "attn.to_out.0", "attn.to_qkv_mlp_proj"),
    bases=MappingProxyType({3072: "FLUX.2 klein 4B size", 4096: "FLUX.2 klein 9B size"}),
    loader="Flux2LoraLoaderMixin",
)
