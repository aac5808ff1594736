"""CLIP image embeddings for CMMD (Jayasumana et al., CVPR 2024)."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from e2r_metrics.clip_networks import MEAN, STD, load_clip

SIDE = 336


def prepare(image: npt.NDArray[np.uint8]) -> Tensor:
    """Return the network's input, float32 (1, 3, 336, 336).

    The centre square is cut, then brought to 336 by Pillow's bicubic filter, which rounds to 8
    bits: the order of the reference.

    Args:
        image: (H, W, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = Image.fromarray(image[top : top + side, left : left + side])
    resized = np.array(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    x = torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255
    return (x - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def open_extractor(
    identity: str, files: Mapping[str, Path], device: str
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Return the function from (H, W, 3) uint8 RGB to (768,) float32 of length 1.

    Raises:
        UsageError: the file holds another network.
    """
    network = load_clip("ViT-L-14-336-quickgelu", files[identity], device)

    @torch.inference_mode()
    def extract(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        embedding = network.encode_image(prepare(image).to(device), normalize=True)
        return embedding[0].float().cpu().numpy()

    return extract
