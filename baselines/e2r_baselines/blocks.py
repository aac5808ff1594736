"""Blocks that the Restormer family shares: PromptIR, MoCE-IR and AdaIR are built of them.

Source: Zamir et al., "Restormer" (CVPR 2022). Names are those of the checkpoints.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ChannelNorm(nn.Module):
    """Normalise each pixel over its channels: biased variance, eps 1e-5, affine with bias."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.body(x.movedim(1, -1)).movedim(-1, 1)


def attend_channels(query: Tensor, key: Tensor, value: Tensor, temperature: Tensor) -> Tensor:
    """Attend along channels, so that the map is channel x channel and its cost linear in pixels.

    Args:
        query: (B, C, H, W); heads are contiguous groups of channels.
        key: as `query`; both are L2-normalised along space.
        value: as `query`.
        temperature: (heads, 1, 1), multiplies the product before the softmax.

    Returns:
        (B, C, H, W).
    """
    heads, shape = temperature.shape[0], value.shape
    query, key, value = (
        part.reshape(shape[0], heads, shape[1] // heads, -1) for part in (query, key, value)
    )
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    weights = (query @ key.mT * temperature).softmax(-1)
    return (weights @ value).reshape(shape)


class ChannelAttention(nn.Module):
    """Self-attention along channels; see `attend_channels`."""

    def __init__(self, dim: int, heads: int, bias: bool = False) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(dim, 3 * dim, 1, bias=bias)
        self.qkv_dwconv = nn.Conv2d(3 * dim, 3 * dim, 3, padding=1, groups=3 * dim, bias=bias)
        self.project_out = nn.Conv2d(dim, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        query, key, value = self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1)
        return self.project_out(attend_channels(query, key, value, self.temperature))


class CrossAttention(nn.Module):
    """Queries from one feature, keys and values from another, along channels.

    `reach` is the side of the depthwise kernel that keys and values go through.
    """

    def __init__(self, dim: int, heads: int, reach: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q, self.q_dwconv = pointwise(dim, dim), depthwise(dim, 3, bias=False)
        self.kv, self.kv_dwconv = pointwise(dim, 2 * dim), depthwise(2 * dim, reach, bias=False)
        self.project_out = pointwise(dim, dim)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        key, value = self.kv_dwconv(self.kv(other)).chunk(2, dim=1)
        query = self.q_dwconv(self.q(x))
        return self.project_out(attend_channels(query, key, value, self.temperature))


def pointwise(dim: int, out: int) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return nn.Conv2d(dim, out, 1, bias=False)


def depthwise(dim: int, size: int, bias: bool) -> nn.Conv2d:
    """Return a convolution of odd `size` that keeps the channels apart and the shape."""
    return nn.Conv2d(dim, dim, size, padding=size // 2, groups=dim, bias=bias)


class GatedFeedForward(nn.Module):
    """1x1 up, depthwise 3x3, one half gated by the exact GELU of the other, 1x1 down."""

    def __init__(self, dim: int, expansion: float, bias: bool = False) -> None:
        super().__init__()
        hidden = int(dim * expansion)
        self.project_in = nn.Conv2d(dim, 2 * hidden, 1, bias=bias)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=bias)
        self.project_out = nn.Conv2d(hidden, dim, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        gate, value = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        return self.project_out(F.gelu(gate) * value)


class Resample(nn.Module):
    """3x3 convolution, then halve or double the resolution by moving pixels into channels."""

    def __init__(self, dim: int, out: int, shuffle: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(dim, out, 3, padding=1, bias=False), shuffle)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 2C, H/2, W/2) or (B, C/2, 2H, 2W)."""
        return self.body(x)


class PatchEmbed(nn.Module):
    """The first 3x3 convolution, under the name it has in the checkpoint."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, dim, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, 3, H, W) to (B, dim, H, W)."""
        return self.proj(x)


def downsample(dim: int) -> Resample:
    """Return what maps (B, dim, H, W) to (B, 2 dim, H/2, W/2)."""
    return Resample(dim, dim // 2, nn.PixelUnshuffle(2))


def upsample(dim: int) -> Resample:
    """Return what maps (B, dim, H, W) to (B, dim/2, 2H, 2W)."""
    return Resample(dim, 2 * dim, nn.PixelShuffle(2))
