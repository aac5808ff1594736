# Only the pipeline knows where offloading makes it run.
# pyright: reportPrivateUsage=false
"""What FLUX.2 klein's transformer is given beside the noisy target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.shared import TokenConditioning, column

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.flux2.pipeline_flux2_klein import Flux2KleinPipeline


@dataclass(frozen=True)
class KleinConditioning(TokenConditioning):
    """See `Conditioning`; B samples, M condition tokens of C channels.

    Attributes:
        negative: (B, L, D) those of the empty prompt; None where there is no guidance.
        guidance: (B,) scales of classifier-free guidance, float32.
    """

    negative: "torch.Tensor | None"
    guidance: "torch.Tensor"


def read_states(pipe: "Flux2KleinPipeline", text: str, length: int) -> "torch.Tensor":
    """Encode one text, padded or cut to `length` tokens: (1, L, D) on the CPU."""
    import torch

    config: Any = pipe.text_encoder.config
    layers: Any = text_layers(config.num_hidden_layers)
    with torch.no_grad():
        states, _ = pipe.encode_prompt(
            text,
            device=pipe._execution_device,
            max_sequence_length=length,
            text_encoder_out_layers=layers,
        )
    return states.cpu()


def text_layers(count: int) -> tuple[int, int, int]:
    """Return which hidden states make up a text: 9, 18 and 27 of 36, the same parts of others."""
    return count // 4, count // 2, 3 * count // 4


def stacked(parts: Sequence[KleinConditioning], device: "torch.device") -> KleinConditioning:
    """Return one conditioning for several samples of one size, all guided or none."""
    negatives = [part.negative for part in parts if part.negative is not None]
    return KleinConditioning(
        tokens=column([part.tokens for part in parts], device),
        shape=parts[0].shape,
        states=column([part.states for part in parts], device),
        negative=column(negatives, device) if negatives else None,
        guidance=column([part.guidance for part in parts], device),
    )
