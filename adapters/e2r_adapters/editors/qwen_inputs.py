# Only the pipeline knows where offloading makes it run.
# pyright: reportPrivateUsage=false
"""What Qwen-Image-Edit's transformer is given beside the noisy target."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from e2r_adapters.editors.shared import TokenConditioning, column
from e2r_baselines.method import Pixels
from e2r_metrics.base.pictures import eight_bit

if TYPE_CHECKING:
    import torch
    from PIL import Image


@dataclass(frozen=True)
class QwenConditioning(TokenConditioning):
    """See `Conditioning`; B samples.

    Attributes:
        mask: (B, L) bool, which states count; None where all do.
        negative: (B, K, D) the states of the negative prompt; None where there is no guidance.
        negative_mask: (B, K) bool, as `mask`.
        guidance: (B,) scales of classifier-free guidance, float32.
    """

    mask: "torch.Tensor | None"
    negative: "torch.Tensor | None"
    negative_mask: "torch.Tensor | None"
    guidance: "torch.Tensor"


def looked_at(pipe: Any, pixels: Pixels) -> "Image.Image":
    """Return what the language model sees of a picture, in 8 bits as from a file.

    At about 384x384 pixels in the releases of 2509 and later, at the size of the condition in the
    first one.
    """
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus
    from PIL import Image

    picture = Image.fromarray(eight_bit(pixels))
    if not isinstance(pipe, plus.QwenImageEditPlusPipeline):
        return picture
    aspect = picture.width / picture.height
    width, height = plus.calculate_dimensions(plus.CONDITION_IMAGE_SIZE, aspect)
    return cast("Image.Image", pipe.image_processor.resize(picture, height, width))


def read_states(pipe: Any, text: str, picture: "Image.Image") -> "torch.Tensor":
    """Encode one text about a picture, as long as it is: (1, L, D) on the CPU."""
    import torch

    with torch.no_grad():
        states, _ = pipe.encode_prompt(text, picture, device=pipe._execution_device)
    return states.cpu()


def stacked(parts: Sequence[QwenConditioning], device: "torch.device") -> QwenConditioning:
    """Return one conditioning for several samples of one size, all guided or none."""
    states, mask = _padded([part.states for part in parts], device)
    negatives = [part.negative for part in parts if part.negative is not None]
    negative, negative_mask = _padded(negatives, device) if negatives else (None, None)
    return QwenConditioning(
        tokens=column([part.tokens for part in parts], device),
        shape=parts[0].shape,
        states=states,
        mask=mask,
        negative=negative,
        negative_mask=negative_mask,
        guidance=column([part.guidance for part in parts], device),
    )


def _padded(
    each: Sequence["torch.Tensor"], device: "torch.device"
) -> "tuple[torch.Tensor, torch.Tensor | None]":
    """Join (1, L, D) states, zeros behind the shorter ones, and say which are none of these."""
    import torch

    lengths = torch.tensor([one.shape[1] for one in each])
    longest = int(lengths.max())
    if int(lengths.min()) == longest:
        return column(each, device), None
    filled = [torch.nn.functional.pad(one, (0, 0, 0, longest - one.shape[1])) for one in each]
    return column(filled, device), (torch.arange(longest) < lengths[:, None]).to(device)
