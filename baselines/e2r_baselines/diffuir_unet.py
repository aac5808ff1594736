"""DiffUIR's network: a U-Net with linear attention that is told the time; names as in its files.

Written from a description of the tensors; the parts are those of Ho et al. (NeurIPS 2020) with
standardised weights (Qiao et al., 2019) and linear attention (Shen et al., WACV 2021).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_HEADS, _HEAD = 4, 32
_GROUPS = 8


@dataclass(frozen=True)
class DiffUIRConfig:
    """Width at full resolution, and the widths behind each of the four levels as multiples."""

    dim: int
    multiples: tuple[int, int, int, int]


SIZES: Mapping[str, DiffUIRConfig] = MappingProxyType(
    {
        "diffuir-t": DiffUIRConfig(32, (1, 1, 1, 1)),
        "diffuir-s": DiffUIRConfig(32, (1, 2, 2, 4)),
        "diffuir-b": DiffUIRConfig(64, (1, 2, 2, 4)),
        "diffuir-l": DiffUIRConfig(64, (1, 2, 4, 8)),
    }
)
"""886,435, 3,268,643, 12,406,851 and 36,261,187 parameters."""


def _eps(x: Tensor) -> float:
    return 1e-3 if x.dtype == torch.bfloat16 else 1e-5


class StandardisedConv(nn.Conv2d):
    """A 3x3 convolution whose filters have mean 0 and variance 1."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__(dim, out, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Map (B, dim, H, W) to (B, out, H, W)."""
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        weight = (self.weight - mean) * (variance + _eps(self.weight)).rsqrt()
        return F.conv2d(input, weight, self.bias, padding=1)


class PixelScale(nn.Module):
    """Normalise each pixel over its channels, and scale the channels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        variance, mean = torch.var_mean(x, 1, correction=0, keepdim=True)
        return (x - mean) * (variance + _eps(x)).rsqrt() * self.g


class Block(nn.Module):
    """Convolution, group norm, SiLU; in between the time may scale and shift."""

    def __init__(self, dim: int, out: int) -> None:
        super().__init__()
        self.proj, self.norm = StandardisedConv(dim, out), nn.GroupNorm(_GROUPS, out)

    def forward(
        self, x: Tensor, scale: Tensor | float = 0.0, shift: Tensor | float = 0.0
    ) -> Tensor:
        """Map (B, dim, H, W) to (B, out, H, W)."""
        return F.silu(self.norm(self.proj(x)) * (scale + 1) + shift)


class ResidualBlock(nn.Module):
    """Two blocks, the first told the time, around an identity or a 1x1 convolution."""

    def __init__(self, dim: int, out: int, time: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time, 2 * out))
        self.block1, self.block2 = Block(dim, out), Block(out, out)
        self.res_conv = nn.Identity() if dim == out else nn.Conv2d(dim, out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map (B, dim, H, W) and (B, time) to (B, out, H, W)."""
        scale, shift = self.mlp(time)[:, :, None, None].chunk(2, dim=1)
        return self.block2(self.block1(x, scale, shift)) + self.res_conv(x)


def _heads(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut (B, 3 x heads x C, H, W) into queries, keys, values of (B, heads, C, HW)."""
    query, key, value = x.flatten(2).unflatten(1, (3, _HEADS, _HEAD)).unbind(1)
    return query, key, value


class LinearAttention(nn.Module):
    """Attention through a channel x channel context per head: linear in the pixels."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.to_qkv = nn.Conv2d(dim, 3 * _HEADS * _HEAD, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(_HEADS * _HEAD, dim, 1), PixelScale(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        query, key, value = _heads(self.to_qkv(x))
        query = query.softmax(-2) / math.sqrt(_HEAD)
        context = key.softmax(-1) @ (value / value.shape[-1]).mT
        mixed = context.mT @ query
        return self.to_out(mixed.flatten(1, 2).unflatten(-1, x.shape[-2:]))


class FullAttention(nn.Module):
    """Attention of every pixel to every other: quadratic, and only at an eighth of the size."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.to_qkv = nn.Conv2d(dim, 3 * _HEADS * _HEAD, 1, bias=False)
        self.to_out = nn.Conv2d(_HEADS * _HEAD, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        query, key, value = (part.mT for part in _heads(self.to_qkv(x)))
        mixed = F.scaled_dot_product_attention(query, key, value).mT
        return self.to_out(mixed.flatten(1, 2).unflatten(-1, x.shape[-2:]))


class _Normed(nn.Module):
    """Normalise, then what is inside; under the names of the files."""

    def __init__(self, dim: int, inside: nn.Module) -> None:
        super().__init__()
        self.fn, self.norm = inside, PixelScale(dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x))


class Around(nn.Module):
    """What is inside, after a norm, around an identity."""

    def __init__(self, dim: int, inside: nn.Module) -> None:
        super().__init__()
        self.fn = _Normed(dim, inside)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        return self.fn(x) + x


class TimeWaves(nn.Module):
    """Sines and cosines of the time at frequencies from 1 down to 1/10,000, (B,) to (B, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.waves = dim // 2

    def forward(self, time: Tensor) -> Tensor:
        """See the class; float32 whatever the network's dtype."""
        steps = torch.arange(self.waves, device=time.device) / (self.waves - 1)
        waves = time[:, None] * torch.exp(-math.log(10_000) * steps)
        return torch.cat([waves.sin(), waves.cos()], -1)


class UNet(nn.Module):
    """Four levels, the lowest three at halved sizes, with two skips each."""

    def __init__(self, config: DiffUIRConfig) -> None:
        super().__init__()
        dim, time = config.dim, 4 * config.dim
        outs = [dim * multiple for multiple in config.multiples]
        ins = [dim, *outs[:-1]]
        self.init_conv = nn.Conv2d(6, dim, 7, padding=3)
        self.time_mlp = nn.Sequential(
            TimeWaves(dim), nn.Linear(dim, time), nn.GELU(), nn.Linear(time, time)
        )
        self.downs = nn.ModuleList(
            _level(ins[i], ins[i], time, _down(ins[i], outs[i], i < 3)) for i in range(4)
        )
        self.ups = nn.ModuleList(
            _level(outs[i] + ins[i], outs[i], time, _up(outs[i], ins[i], i > 0))
            for i in (3, 2, 1, 0)
        )
        self.mid_block1 = ResidualBlock(outs[-1], outs[-1], time)
        self.mid_attn = Around(outs[-1], FullAttention(outs[-1]))
        self.mid_block2 = ResidualBlock(outs[-1], outs[-1], time)
        self.final_res_block = ResidualBlock(2 * dim, dim, time)
        self.final_conv = nn.Conv2d(dim, 3, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map (B, 6, H, W), sides multiples of 8, and float32 times (B,) to (B, 3, H, W)."""
        waves, *layers = self.time_mlp
        told = waves(time).to(x.dtype)
        for layer in layers:
            told = layer(told)
        first = x = self.init_conv(x)
        skips: list[Tensor] = []
        for block1, block2, attention, resize in self.downs:  # pyright: ignore[reportGeneralTypeIssues]
            skips.append(x := block1(x, told))
            skips.append(x := attention(block2(x, told)))
            x = resize(x)
        x = self.mid_block2(self.mid_attn(self.mid_block1(x, told)), told)
        for block1, block2, attention, resize in self.ups:  # pyright: ignore[reportGeneralTypeIssues]
            x = block1(torch.cat([x, skips.pop()], 1), told)
            x = attention(block2(torch.cat([x, skips.pop()], 1), told))
            x = resize(x)
        return self.final_conv(self.final_res_block(torch.cat([x, first], 1), told))


def _level(dim: int, out: int, time: int, resize: nn.Module) -> nn.ModuleList:
    attention = Around(out, LinearAttention(out))
    return nn.ModuleList(
        [ResidualBlock(dim, out, time), ResidualBlock(dim, out, time), attention, resize]
    )


def _down(dim: int, out: int, halves: bool) -> nn.Conv2d:
    return (
        nn.Conv2d(dim, out, 4, stride=2, padding=1) if halves else nn.Conv2d(dim, out, 3, padding=1)
    )


def _up(dim: int, out: int, doubles: bool) -> nn.Module:
    conv = nn.Conv2d(dim, out, 3, padding=1)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), conv) if doubles else conv


class DiffUIR(nn.Module):
    """The U-Net under the name that it has in the files, with borders reflected to x16."""

    def __init__(self, config: DiffUIRConfig) -> None:
        super().__init__()
        self.unet0 = UNet(config)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Map (B, 6, H, W), sides of 9 or more, and times (B,) to the residual (B, 3, H, W)."""
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, -width % 16, 0, -height % 16), mode="reflect")
        return self.unet0(padded, time)[..., :height, :width]
