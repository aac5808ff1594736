"""FLUX.1 Kontext's sizes, and where its LoRA sits; the release's lists are Edit2Restore's."""

from types import MappingProxyType

from e2r_adapters.editors.editor import LoraFacts, LoraPart

# Widths and heights that the model was trained at (Black Forest Labs, 2025).
PREFERRED = (
    (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184),
    (944, 1104), (1024, 1024), (1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752),
    (1456, 720), (1504, 688), (1568, 672),
)  # fmt: skip

_ATTENTION = tuple(f"attn.{name}" for name in ("to_k", "to_q", "to_v", "to_out.0"))
_ADDED = tuple(f"attn.{name}" for name in ("add_k_proj", "add_q_proj", "add_v_proj", "to_add_out"))
_FEED = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp")
# Every attention projection of CLIP-L; T5 stays frozen.
_CLIP = ("q_proj", "k_proj", "v_proj", "out_proj")

# Edit2Restore's release trains the full list; its paper's text names the four of attention.
LORA = LoraFacts(
    parts=MappingProxyType(
        {
            "transformer": LoraPart(
                MappingProxyType({"full": _ATTENTION + _ADDED + _FEED, "attention": _ATTENTION}),
                r"transformer_blocks\.\d+\.(attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
                r"|ff(_context)?\.net\.(0\.proj|2)|norm1(_context)?\.linear)"
                r"|single_transformer_blocks\.\d+\.(attn\.to_[qkv]|proj_mlp|proj_out|norm\.linear)"
                r"|x_embedder|context_embedder|proj_out|norm_out\.linear"
                r"|time_text_embed\.(timestep|guidance|text)_embedder\.linear_[12]",
            ),
            "text_encoder": LoraPart(
                MappingProxyType({"full": _CLIP, "attention": _CLIP}),
                r"(text_model\.)?encoder\.layers\.\d+\.(self_attn\.(q|k|v|out)_proj|mlp\.fc[12])",
            ),
        }
    ),
    foreign=(
        r"double_blocks_\d+_(img|txt)_(attn_(qkv|proj)|mlp_[02]|mod_lin)"
        r"|single_blocks_\d+_(linear[12]|modulation_lin)"
        r"|(img|txt|time|vector|guidance)_in(_(in|out)_layer)?|final_layer_(linear|adaLN_.*)"
    ),
    marked="proj_out",
    width_of=("attn.to_q", "attn.to_out.0"),
    bases=MappingProxyType(
        {3072: "FLUX.1 [dev] size (guess: dev, Kontext, Fill and schnell share these shapes)"}
    ),
    loader="FluxLoraLoaderMixin",
)
