"""FLUX.1 Fill's sizes as ICEdit uses it, and where its LoRA sits.

Source: the regular expression of targets in ICEdit's training settings; the text's side of the
double blocks is left out there, and so here.
"""

from dataclasses import replace
from types import MappingProxyType

from e2r_adapters.editors.editor import LoraPart
from e2r_adapters.editors.kontext_facts import LORA as KONTEXT_LORA

# Each half is 512 wide in the release; the height follows the picture.
PREFERRED = tuple((512, 16 * height) for height in range(16, 65))

_DOUBLE = ("norm1.linear", "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "ff.net.2")
_SINGLE = ("norm.linear", "proj_mlp", ".proj_out")
_KONTEXT = KONTEXT_LORA.parts["transformer"]

LORA = replace(
    KONTEXT_LORA,
    parts=MappingProxyType(
        {
            "transformer": LoraPart(
                MappingProxyType(
                    {
                        "full": ("x_embedder", *_DOUBLE, *_SINGLE),
                        "attention": _KONTEXT.targets["attention"],
                    }
                ),
                _KONTEXT.linear,
            ),
            "text_encoder": KONTEXT_LORA.parts["text_encoder"],
        }
    ),
)
