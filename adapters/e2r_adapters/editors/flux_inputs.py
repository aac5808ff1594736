# Only the pipeline knows where offloading makes it run.
# pyright: reportPrivateUsage=false
"""What FLUX.1's transformers are given beside the noisy target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.shared import TokenConditioning, column

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class FluxConditioning(TokenConditioning):
    """See `Conditioning`; B samples, M condition tokens of C channels.

    Attributes:
        pooled: (B, P) CLIP vectors.
        clip: (B, 77) CLIP tokens, for a text encoder that is being trained.
        guidance: (B,) embedded guidance scales, float32.
    """

    pooled: "torch.Tensor"
    clip: "torch.Tensor"
    guidance: "torch.Tensor"


@dataclass(frozen=True)
class Text:
    """What the text encoders say about one text, each with a first axis of 1, on the CPU."""

    states: "torch.Tensor"
    pooled: "torch.Tensor"
    clip: "torch.Tensor"


def read_text(pipe: Any, text: str, length: int) -> Text:
    """Encode one text, padded or cut to `length` T5 tokens (at most 512) and 77 of CLIP's."""
    import torch

    with torch.no_grad():
        encoded = pipe.encode_prompt(
            text,
            None,
            device=pipe._execution_device,
            max_sequence_length=length,
        )
    states, pooled, _ = encoded
    clip = pipe.tokenizer(
        text,
        padding="max_length",
        max_length=pipe.tokenizer_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids
    return Text(states.cpu(), pooled.cpu(), clip)


def stacked(parts: Sequence[FluxConditioning], device: "torch.device") -> FluxConditioning:
    """Return one conditioning for several samples of one size."""

    def joined(name: str) -> "torch.Tensor":
        return column([getattr(part, name) for part in parts], device)

    names = ("states", "pooled", "clip", "guidance")
    return FluxConditioning(joined("tokens"), parts[0].shape, *(joined(name) for name in names))
