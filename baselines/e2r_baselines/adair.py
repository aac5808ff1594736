"""AdaIR (Cui et al., ICLR 2025): PromptIR's U-Net, with the frequencies of the input mined thrice.

Written from a description of the tensors and their order; the names of the modules are those of
the authors' checkpoints for three and for five tasks (MIT).

What they call the low frequencies is a window whose half sides are floor(side / 128) times a share
below 1, so it is empty until both sides of a feature map reach 256 pixels. The patches of 128
pixels that the network was trained on never had one. On pictures whose sides, filled up to a
multiple of 8, reach 512 pixels it switches on, untrained. That is what the weights do, so it is
kept: `--tile 504` keeps it off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.blocks import CrossAttention, PatchEmbed, downsample, upsample
from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Build, Compute
from e2r_baselines.network import NetworkRestorer, place
from e2r_baselines.promptir import TransformerBlock
from e2r_metrics.base.checkpoints import read_tensors

WINDOW = 128  # pixels of a feature map per step of the window's half side


@dataclass(frozen=True)
class AdaIRConfig:
    """Widths and depths; the defaults are the authors' network of 28,784,824 parameters.

    Attributes:
        dim: channels at full resolution; doubled at each of the three lower levels.
        blocks: transformer blocks per level, full resolution first, the latent last.
        refinement: blocks after the decoder, at full resolution and twice `dim` channels.
        heads: attention heads per level; `mining_heads` those of the three frequency blocks.
        expansion: hidden channels of the feed-forward part, as a multiple of its input, floored.
    """

    dim: int = 48
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    refinement: int = 4
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    mining_heads: int = 4
    expansion: float = 2.66


class SpatialGate(nn.Module):
    """A share per pixel, from the largest and the mean channel."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to shares (B, 1, H, W) in (0, 1)."""
        both = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return self.spatial(both).sigmoid()


class ChannelGate(nn.Module):
    """A share per channel, from its mean and its largest pixel."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Conv2d(dim, dim // 16, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(dim // 16, dim, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to shares (B, C, 1, 1) in (0, 1)."""
        mean, largest = x.mean((-2, -1), keepdim=True), x.amax((-2, -1), keepdim=True)
        return (self.mlp(mean) + self.mlp(largest)).sigmoid()


class FrequencyGates(nn.Module):
    """High frequencies weighed by what is low, and low ones by where it is high."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.SpatialGate, self.ChannelGate = SpatialGate(), ChannelGate(dim)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        return self.proj(high * self.ChannelGate(low) + low * self.SpatialGate(high))


def split_frequencies(x: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Cut the spectrum into a window around zero and the rest.

    Args:
        x: (B, C, H, W).
        shares: (B, 2) in (0, 1); the window's half height and half width are
            floor(side // 128 x share) frequencies, and it leaves out the positive end.

    Returns:
        Low and high: magnitudes of what the inverse transform gives of each, (B, C, H, W).
    """
    spectrum = torch.fft.fft2(x.to(torch.promote_types(x.dtype, torch.float32)))
    rows, columns = (
        _around_zero(side, (side // WINDOW * shares[:, axis]).int())
        for axis, side in enumerate(x.shape[-2:])
    )
    window = (rows[:, :, None] & columns[:, None, :])[:, None]
    parts = torch.fft.ifft2(spectrum * window), torch.fft.ifft2(spectrum * ~window)
    return parts[0].abs().to(x.dtype), parts[1].abs().to(x.dtype)


def _around_zero(side: int, reach: Tensor) -> Tensor:
    """Return which of `side` frequencies, 0 first, lie in [-reach, reach), (B, side)."""
    frequency = torch.arange(side, device=reach.device)
    signed = (frequency + side // 2) % side - side // 2
    return (signed >= -reach[:, None]) & (signed < reach[:, None])


class FrequencyMining(nn.Module):
    """Ask the input's high and low frequencies about the features, and the features about both."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        # `conv` and `score_gen` are in the checkpoints, and no forward pass reads them.
        self.para1 = nn.Parameter(torch.zeros(dim, 1, 1))
        self.para2 = nn.Parameter(torch.ones(dim, 1, 1))
        self.conv, self.conv1 = (nn.Conv2d(3, dim, 3, padding=1, bias=False) for _ in range(2))
        self.score_gen = nn.Conv2d(2, 2, 7, padding=3)
        self.channel_cross_l = CrossAttention(dim, heads, reach=3)
        self.channel_cross_h = CrossAttention(dim, heads, reach=3)
        self.channel_cross_agg = CrossAttention(dim, heads, reach=3)
        self.frequency_refine = FrequencyGates(dim)
        self.rate_conv = nn.Sequential(
            nn.Conv2d(dim, dim // 8, 1, bias=False),
            nn.GELU(),
            nn.Conv2d(dim // 8, 2, 1, bias=False),
        )

    def forward(self, image: Tensor, y: Tensor) -> Tensor:
        """Map the input (B, 3, H', W') and features (B, C, H, W) to features."""
        x = self.conv1(F.interpolate(image, y.shape[-2:], mode="bilinear"))
        shares = self.rate_conv(x.mean((-2, -1), keepdim=True)).sigmoid()
        low, high = split_frequencies(x, shares[:, :, 0, 0])
        high, low = self.channel_cross_l(high, y), self.channel_cross_h(low, y)
        mined = self.channel_cross_agg(y, self.frequency_refine(low, high))
        return mined * self.para1 + y * self.para2


class AdaIR(nn.Module):
    """The whole network; see `AdaIRConfig`."""

    def __init__(self, config: AdaIRConfig = AdaIRConfig()) -> None:
        super().__init__()
        d1, d2, d3, d4 = (config.dim * 2**level for level in range(4))
        h1, h2, h3, h4 = config.heads
        n1, n2, n3, n4 = config.blocks

        def level(dim: int, heads: int, count: int) -> nn.Sequential:
            return nn.Sequential(
                *(TransformerBlock(dim, heads, config.expansion) for _ in range(count))
            )

        self.patch_embed = PatchEmbed(d1)
        self.fre1, self.fre2, self.fre3 = (
            FrequencyMining(dim, config.mining_heads) for dim in (d4, d3, d2)
        )
        self.encoder_level1, self.down1_2 = level(d1, h1, n1), downsample(d1)
        self.encoder_level2, self.down2_3 = level(d2, h2, n2), downsample(d2)
        self.encoder_level3, self.down3_4 = level(d3, h3, n3), downsample(d3)
        self.latent, self.up4_3 = level(d4, h4, n4), upsample(d4)
        self.reduce_chan_level3 = nn.Conv2d(d4, d3, 1, bias=False)
        self.decoder_level3, self.up3_2 = level(d3, h3, n3), upsample(d3)
        self.reduce_chan_level2 = nn.Conv2d(d3, d2, 1, bias=False)
        self.decoder_level2, self.up2_1 = level(d2, h2, n2), upsample(d2)
        self.decoder_level1 = level(d2, h1, n1)
        self.refinement = level(d2, h1, config.refinement)
        self.output = nn.Conv2d(d2, 3, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Restore (B, 3, H, W) RGB; H and W multiples of 8. Not clamped."""
        enc1 = self.encoder_level1(self.patch_embed(image))
        enc2 = self.encoder_level2(self.down1_2(enc1))
        enc3 = self.encoder_level3(self.down2_3(enc2))
        y = self.fre1(image, self.latent(self.down3_4(enc3)))
        y = self.reduce_chan_level3(torch.cat([self.up4_3(y), enc3], 1))
        y = self.fre2(image, self.decoder_level3(y))
        y = self.reduce_chan_level2(torch.cat([self.up3_2(y), enc2], 1))
        y = self.fre3(image, self.decoder_level2(y))
        y = self.decoder_level1(torch.cat([self.up2_1(y), enc1], 1))
        return self.output(self.refinement(y)) + image


def open_adair(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load the user's checkpoint, of three or of five tasks; see `MethodSpec.open`."""
    (path,) = (files[name] for name in build.files)
    network = AdaIR()
    load_strict(network, read_tensors(path), path, build.name)
    network = place(network, compute)
    return NetworkRestorer(lambda images, _: network(images), compute, multiple=8)
