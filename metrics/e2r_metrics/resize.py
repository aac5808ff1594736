"""The ways libraries bring a picture to a network's size; they are why FIDs differ."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image

Pixels = npt.NDArray[np.float32]


def pillow_bicubic(image: npt.NDArray[np.uint8], side: int) -> Pixels:
    """Resize to (side, side, 3) in float32, channel by channel, with antialias, and clip.

    The "clean" resize of Parmar et al., CVPR 2022: no rounding to 8 bits after it.
    """
    channels = [
        np.asarray(
            Image.fromarray(image[..., c].astype(np.float32)).resize(
                (side, side), Image.Resampling.BICUBIC
            )
        )
        for c in range(3)
    ]
    return np.clip(np.stack(channels, axis=-1), 0, 255)


def tensorflow_bilinear(images: torch.Tensor, side: int) -> torch.Tensor:
    """Resize (B, 3, H, W) bilinearly as TensorFlow 1 does: no antialias, corners at the origin."""
    height, width = images.shape[2:]
    top, bottom, down = _neighbours(height, side)
    left, right, across = _neighbours(width, side)
    rows_top, rows_bottom = images[:, :, top], images[:, :, bottom]
    across = across.to(images)
    upper = rows_top[..., left] + (rows_top[..., right] - rows_top[..., left]) * across
    lower = rows_bottom[..., left] + (rows_bottom[..., right] - rows_bottom[..., left]) * across
    return upper + (lower - upper) * down.to(images)[:, None]


def _neighbours(length: int, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    at = torch.arange(side, dtype=torch.float32) * (length / side)
    low = at.floor().long()
    return low, (low + 1).clamp(max=length - 1), at - low


def torch_bilinear(images: torch.Tensor, side: int, antialias: bool) -> torch.Tensor:
    """Resize (B, 3, H, W) bilinearly with half-pixel centres."""
    return F.interpolate(
        images, (side, side), mode="bilinear", align_corners=False, antialias=antialias
    )
