# Only the pipeline knows where offloading makes it run.
# pyright: reportPrivateUsage=false
"""What SANA's transformer is given beside the noisy target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.shared import column
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Text:
    """What Gemma says of one text.

    Attributes:
        states: (1, L, D).
        mask: (1, L), 1 for the text and 0 for what pads it.
    """

    states: "torch.Tensor"
    mask: "torch.Tensor"


@dataclass(frozen=True)
class SanaConditioning:
    """See `Conditioning`; B samples.

    Attributes:
        latents: (B, c, h, w) of the degraded pictures.
        states: (B, L, D) of the text, in what the network computes in.
        mask: (B, L), which states count.
        negative, negative_mask: those of the empty prompt; None where there is no guidance.
        guidance: (B,) scales of classifier-free guidance, float32.
    """

    latents: "torch.Tensor"
    states: "torch.Tensor"
    mask: "torch.Tensor"
    negative: "torch.Tensor | None"
    negative_mask: "torch.Tensor | None"
    guidance: "torch.Tensor"

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `Conditioning.shape`: the target has that of the condition."""
        _, channels, height, width = self.latents.shape
        return channels, height, width

    @property
    def dtype(self) -> "torch.dtype":
        """See `Conditioning.dtype`: between steps the pipeline keeps float32."""
        import torch

        return torch.float32

    @property
    def device(self) -> "torch.device":
        """See `Conditioning.device`."""
        return self.latents.device


def read_text(pipe: Any, text: str, length: int) -> Text:
    """Encode one text as it is, padded or cut to `length` tokens, on the CPU.

    The pipeline's preamble, which has a language model rewrite prompts, is left out.
    """
    import torch

    with torch.no_grad():
        states, mask, _, _ = pipe.encode_prompt(
            text, False, device=pipe._execution_device, max_sequence_length=length
        )
    return Text(states.cpu(), mask.cpu())


def stacked(parts: Sequence[SanaConditioning], device: "torch.device") -> SanaConditioning:
    """Return one conditioning for several samples, all guided or none.

    Raises:
        UsageError: their pictures differ in size.
    """
    sizes = sorted({part.shape for part in parts})
    if len(sizes) > 1:
        found = " and ".join(f"{width}x{height}" for _, height, width in sizes)
        raise UsageError(
            f"expected condition pictures of one size in a batch, found latents of {found}; give "
            "them in batches of their own"
        )
    negatives = [part.negative for part in parts if part.negative is not None]
    masks = [part.negative_mask for part in parts if part.negative_mask is not None]
    return SanaConditioning(
        latents=column([part.latents for part in parts], device),
        states=column([part.states for part in parts], device),
        mask=column([part.mask for part in parts], device),
        negative=column(negatives, device) if negatives else None,
        negative_mask=column(masks, device) if masks else None,
        guidance=column([part.guidance for part in parts], device),
    )
