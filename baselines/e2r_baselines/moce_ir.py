"""MoCE-IR (Zamfir et al., CVPR 2025): a Restormer U-Net whose decoder picks one expert a block.

Written from a reading of the authors' Apache-2.0 architecture; the names of the modules are those
of their checkpoints. Their routing adds noise to its scores in evaluation too, so its seed is fixed
here; see `moce_experts`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from e2r_baselines.blocks import (
    ChannelAttention,
    ChannelNorm,
    CrossAttention,
    GatedFeedForward,
    PatchEmbed,
    downsample,
    pointwise,
    upsample,
)
from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Build, Compute
from e2r_baselines.moce_experts import Adapter, FrequencyEmbedding
from e2r_baselines.network import NetworkRestorer, place
from e2r_metrics.base.checkpoints import read_tensors

ROUTING_SEED = 0


@dataclass(frozen=True)
class MoCEIRConfig:
    """Widths and depths; the defaults are the full network, `dim=32` is MoCE-IR-S.

    Attributes:
        dim: channels at full resolution; doubled at each of the three lower levels.
        blocks: encoder blocks per level, the latent last.
        decoder_blocks: decoder blocks per level, full resolution first.
        refinement: blocks after the decoder.
        heads: attention heads per level, full resolution first.
        expansion: hidden channels of the feed-forward part, as a multiple of its input.
        experts: per decoder block; expert i has dim / 2^(experts - 1 - i) inner channels and
            correlates patches of 2^(i + 2) pixels.
    """

    dim: int = 48
    blocks: tuple[int, int, int, int] = (4, 6, 6, 8)
    decoder_blocks: tuple[int, int, int] = (2, 4, 4)
    refinement: int = 4
    heads: tuple[int, int, int, int] = (1, 2, 4, 8)
    expansion: float = 2.0
    experts: int = 4


FULL = MoCEIRConfig()
SMALL = MoCEIRConfig(dim=32)


class EncoderBlock(nn.Module):
    """Attention and feed-forward with biases, each after a norm and around an identity."""

    def __init__(self, dim: int, heads: int, expansion: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(dim), ChannelNorm(dim)])
        self.mixer = ChannelAttention(dim, heads, bias=True)
        self.ffn = GatedFeedForward(dim, expansion, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = x + self.mixer(self.norms[0](x))
        return x + self.ffn(self.norms[1](x))


class DecoderBlock(nn.Module):
    """A shared and a routed branch, joined by cross-attention; then a feed-forward part."""

    def __init__(self, dim: int, heads: int, embedding: int, config: MoCEIRConfig) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(dim), ChannelNorm(dim)])
        self.proj = nn.ModuleList([nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, dim, 1)])
        self.shared = ChannelAttention(dim, heads)
        self.mixer = CrossAttention(dim, heads, reach=7)
        self.ffn = GatedFeedForward(dim, config.expansion)
        self.adapter = Adapter(dim, embedding, config.experts)

    def forward(self, x: Tensor, embedding: Tensor, noise: torch.Generator) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = self.norms[0](x)
        shared = self.shared(self.proj[0](y))
        routed = self.adapter(self.proj[1](y), embedding, shared, noise)
        x = self.mixer(routed, shared) + x
        return x + self.ffn(self.norms[1](x))


class Level(nn.Module):
    """Blocks in a row, under the name `layers`."""

    def __init__(self, blocks: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(blocks)

    def forward(self, x: Tensor, *more: Tensor | torch.Generator) -> Tensor:
        """Map (B, C, H, W) to the same shape; `more` goes to every block."""
        for layer in self.layers:
            x = layer(x, *more)
        return x


class MoCEIR(nn.Module):
    """The whole network; see `MoCEIRConfig`."""

    def __init__(self, config: MoCEIRConfig = FULL) -> None:
        super().__init__()
        dims = [config.dim * 2**level for level in range(4)]

        def encoder(level: int, count: int) -> Level:
            return Level(
                [
                    EncoderBlock(dims[level], config.heads[level], config.expansion)
                    for _ in range(count)
                ]
            )

        def decoder(level: int) -> Level:
            return Level(
                [
                    DecoderBlock(dims[level], config.heads[level], dims[3], config)
                    for _ in range(config.decoder_blocks[level])
                ]
            )

        self.patch_embed = PatchEmbed(config.dim)
        self.freq_embed = FrequencyEmbedding(dims[3])
        self.enc = nn.ModuleList(
            nn.ModuleList([encoder(level, config.blocks[level]), downsample(dims[level])])
            for level in range(3)
        )
        self.latent = encoder(3, config.blocks[3])
        self.dec = nn.ModuleList(
            nn.ModuleList(
                [
                    upsample(dims[level + 1]),
                    pointwise(dims[level + 1], dims[level]),
                    decoder(level),
                ]
            )
            for level in (2, 1, 0)
        )
        self.refinement = encoder(0, config.refinement)
        self.output = nn.Conv2d(config.dim, 3, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, 3, H, W) RGB; H and W multiples of 8. Not clamped."""
        noise = torch.Generator().manual_seed(ROUTING_SEED)
        y, skips = self.patch_embed(x), list[Tensor]()
        for block, down in self.enc:  # pyright: ignore[reportGeneralTypeIssues]
            y = block(y)
            skips.append(y)
            y = down(y)
        y = self.latent(y)
        embedding = self.freq_embed(y)
        for up, fuse, block in self.dec:  # pyright: ignore[reportGeneralTypeIssues]
            y = block(fuse(torch.cat([up(y), skips.pop()], 1)), embedding, noise)
        return self.output(self.refinement(y)) + x


def open_moce_ir(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load the user's checkpoint of MoCE-IR or MoCE-IR-S; see `MethodSpec.open`."""
    (path,) = (files[name] for name in build.files)
    network = MoCEIR(SMALL if build.name == "moce-ir-s" else FULL)
    load_strict(network, read_tensors(path), path, build.name)
    network = place(network, compute)
    return NetworkRestorer(lambda images, _: network(images), compute, multiple=8)
