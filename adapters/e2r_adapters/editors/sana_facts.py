"""SANA's sizes, where its LoRA sits, and the file that stands beside it.

Source: diffusers' SanaTransformer2DModel; "qkv" is the list of its LoRA script for SANA. The
feed-forward parts are convolutions, and no LoRA of ours sits on these.
"""

from types import MappingProxyType

from e2r_adapters.editors.editor import LoraFacts, LoraPart

PREFERRED = (
    (768, 1344), (832, 1216), (896, 1152), (960, 1088), (1024, 1024), (1088, 960), (1152, 896),
    (1216, 832), (1344, 768),
)  # fmt: skip
"""Of its pipeline's bins for 1024x1024, those of the usual aspects."""
PROJECTION_FILE = "condition_projection.safetensors"
"""Beside an adapter's LoRA: how the condition joins the latents; see `editors.projection`."""
PROJECTION = "projection"
"""What an editor's networks call it."""

_QKV = ("to_q", "to_k", "to_v")

LORA = LoraFacts(
    parts=MappingProxyType(
        {
            "transformer": LoraPart(
                MappingProxyType({"full": (*_QKV, "to_out.0"), "qkv": _QKV}),
                r"transformer_blocks\.\d+\.attn[12]\.(to_[qkv]|to_out\.0)"
                r"|proj_out|caption_projection\.linear_[12]"
                r"|time_embed\.(linear|emb\.timestep_embedder\.linear_[12])",
            ),
        }
    ),
    foreign=(
        r"transformer_blocks_\d+_attn[12]_(to_[qkv]|to_out_0)"
        r"|proj_out|caption_projection_linear_[12]"
        r"|time_embed_(linear|emb_timestep_embedder_linear_[12])"
    ),
    marked="proj_out",
    width_of=("attn1.to_q", "attn1.to_out.0"),
    bases=MappingProxyType({1152: "SANA 0.6B size", 2240: "SANA 1.6B or 4.8B size"}),
    loader="SanaLoraLoaderMixin",
)
