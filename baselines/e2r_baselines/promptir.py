"""PromptIR (Potlapalli et al., NeurIPS 2023): a Restormer U-Net with learned prompts, any width.

Written from a description of the tensors and their order, not from the authors' code. The names of
the modules are those of the official checkpoint, so that it loads strictly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.blocks import (
    ChannelAttention,
    ChannelNorm,
    GatedFeedForward,
    PatchEmbed,
    downsample,
    upsample,
)
from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Build, Compute
from e2r_baselines.network import NetworkRestorer, place
from e2r_metrics.base.checkpoints import read_tensors


@dataclass(frozen=True)
class PromptIRConfig:
    """Widths and depths; the defaults are the official network of 35,592,263 parameters.

    Attributes:
        dim: channels at full resolution; doubled at each of the three lower levels.
        blocks: transformer blocks per level, full resolution first, the latent last.
        refinement: blocks after the decoder, at full resolution and twice `dim` channels.
        heads: attention heads per level; `prompt_heads` those of the blocks that read a prompt.
        expansion: hidden channels of the feed-forward part, as a multiple of its input, floored.
        prompt_dims: channels of the three prompts, full resolution first.
        prompt_sizes: side of each learned prompt before it is resized to the features.
        prompts: how many prompts are mixed.
        spare: whether to hold the six convolutions that the official checkpoint carries and no
            forward pass reads.
    """

    dim: int = 48
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    refinement: int = 4
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    prompt_heads: int = 4
    expansion: float = 2.66
    prompt_dims: tuple[int, int, int] = (64, 128, 320)
    prompt_sizes: tuple[int, int, int] = (64, 32, 16)
    prompts: int = 5
    spare: bool = True


OFFICIAL = PromptIRConfig()
NANO = PromptIRConfig(
    dim=12,
    blocks=(1, 1, 2, 2),
    refinement=1,
    heads=(1, 2, 4, 4),
    expansion=2.0,
    prompt_dims=(8, 16, 32),
    prompt_sizes=(32, 16, 8),
    prompt_heads=4,
    spare=False,
)


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each after a norm and around an identity."""

    def __init__(self, dim: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(dim)
        self.attn = ChannelAttention(dim, heads)
        self.norm2 = ChannelNorm(dim)
        self.ffn = GatedFeedForward(dim, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class PromptGenerator(nn.Module):
    """Mix learned prompts by the mean of the features and resize the mixture to their size."""

    def __init__(self, channels: int, size: int, features: int, prompts: int) -> None:
        super().__init__()
        self.prompt_param = nn.Parameter(torch.rand(1, prompts, channels, size, size))
        self.linear_layer = nn.Linear(features, prompts)
        self.conv3x3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, features, H, W) to a prompt (B, channels, H, W)."""
        shares = self.linear_layer(x.mean((-2, -1))).softmax(-1)
        mixed = torch.einsum("bp,pchw->bchw", shares, self.prompt_param[0])
        return self.conv3x3(F.interpolate(mixed, x.shape[-2:], mode="bilinear"))


class PromptIR(nn.Module):
    """The whole network; see `PromptIRConfig`."""

    def __init__(self, config: PromptIRConfig = OFFICIAL) -> None:
        super().__init__()
        d1, d2, d3, d4 = (config.dim * 2**level for level in range(4))
        p1, p2, p3 = config.prompt_dims
        h1, h2, h3, h4 = config.heads
        n1, n2, n3, n4 = config.blocks

        def level(dim: int, heads: int, count: int) -> nn.Sequential:
            return nn.Sequential(
                *(TransformerBlock(dim, heads, config.expansion) for _ in range(count))
            )

        def prompt(index: int, features: int) -> PromptGenerator:
            channels, size = config.prompt_dims[index], config.prompt_sizes[index]
            return PromptGenerator(channels, size, features, config.prompts)

        def reader(dim: int) -> TransformerBlock:
            return TransformerBlock(dim, config.prompt_heads, config.expansion)

        self.patch_embed = PatchEmbed(d1)
        self.encoder_level1, self.down1_2 = level(d1, h1, n1), downsample(d1)
        self.encoder_level2, self.down2_3 = level(d2, h2, n2), downsample(d2)
        self.encoder_level3, self.down3_4 = level(d3, h3, n3), downsample(d3)
        self.latent = level(d4, h4, n4)
        self.prompt3, self.noise_level3 = prompt(2, d4), reader(d4 + p3)
        self.reduce_noise_level3, self.up4_3 = _mix(d4 + p3, d3), upsample(d3)
        self.reduce_chan_level3, self.decoder_level3 = _mix(d2 + d3, d3), level(d3, h3, n3)
        self.prompt2, self.noise_level2 = prompt(1, d3), reader(d3 + p2)
        self.reduce_noise_level2, self.up3_2 = _mix(d3 + p2, d3), upsample(d3)
        self.reduce_chan_level2, self.decoder_level2 = _mix(d2 + d2, d2), level(d2, h2, n2)
        self.prompt1, self.noise_level1 = prompt(0, d2), reader(d2 + p1)
        self.reduce_noise_level1, self.up2_1 = _mix(d2 + p1, d2), upsample(d2)
        self.decoder_level1 = level(d2, h1, n1)
        self.refinement = level(d2, h1, config.refinement)
        self.output = nn.Conv2d(d2, 3, 3, padding=1, bias=False)
        if config.spare:
            self.chnl_reduce1, self.chnl_reduce2 = _mix(p1, p1), _mix(p2, p2)
            self.chnl_reduce3 = _mix(p3, 256)
            self.reduce_noise_channel_1 = _mix(d1 + p1, d1)
            self.reduce_noise_channel_2 = _mix(d2 + p2, d2)
            self.reduce_noise_channel_3 = _mix(d3 + 256, d3)

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, 3, H, W) RGB; H and W multiples of 8. Not clamped."""
        enc1 = self.encoder_level1(self.patch_embed(x))
        enc2 = self.encoder_level2(self.down1_2(enc1))
        enc3 = self.encoder_level3(self.down2_3(enc2))
        y = self.latent(self.down3_4(enc3))

        y = self.reduce_noise_level3(self.noise_level3(torch.cat([y, self.prompt3(y)], 1)))
        y = self.reduce_chan_level3(torch.cat([self.up4_3(y), enc3], 1))
        y = self.decoder_level3(y)

        y = self.reduce_noise_level2(self.noise_level2(torch.cat([y, self.prompt2(y)], 1)))
        y = self.reduce_chan_level2(torch.cat([self.up3_2(y), enc2], 1))
        y = self.decoder_level2(y)

        y = self.reduce_noise_level1(self.noise_level1(torch.cat([y, self.prompt1(y)], 1)))
        y = self.decoder_level1(torch.cat([self.up2_1(y), enc1], 1))
        return self.output(self.refinement(y)) + x


def _mix(dim: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(dim, out, 1, bias=False)


def open_promptir(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load the official checkpoint, or the embedded `promptir-nano`; see `MethodSpec.open`."""
    (path,) = (files[name] for name in build.files)
    network = PromptIR(NANO if build.miniature else OFFICIAL)
    load_strict(network, read_tensors(path), path, build.name)
    network = place(network, compute)
    return NetworkRestorer(lambda images, _: network(images), compute, multiple=8)
