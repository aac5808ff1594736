"""MoCE-IR (Zamfir et al., CVPR 2025): a Restormer U-Net whose decoder picks one expert a block.

Written from a reading of the authors' Apache-2.0 architecture; the names of the modules are those
of their checkpoints. Kept as it is there, since weights were trained with it: noise is added to
the routing scores in evaluation too, so its seed is fixed here; the high-pass kernels are loaded,
not assumed.
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
    attend_channels,
    downsample,
    upsample,
)
from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Build, Compute
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


class CrossAttention(nn.Module):
    """Queries from one feature, keys and values from another, along channels."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.q, self.q_dwconv = _pointwise(dim, dim), _depthwise(dim, 3, bias=False)
        self.kv, self.kv_dwconv = _pointwise(dim, 2 * dim), _depthwise(2 * dim, 7, bias=False)
        self.project_out = _pointwise(dim, dim)

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        key, value = self.kv_dwconv(self.kv(other)).chunk(2, dim=1)
        query = self.q_dwconv(self.q(x))
        return self.project_out(attend_channels(query, key, value, self.temperature))


class FourierAttention(nn.Module):
    """Correlate queries with keys inside square patches by a product of their spectra."""

    def __init__(self, dim: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.q, self.q_dwconv = _pointwise(dim, dim), _depthwise(dim, 3, bias=True)
        self.kv, self.kv_dwconv = _pointwise(dim, 2 * dim), _depthwise(2 * dim, 7, bias=True)
        self.norm = ChannelNorm(dim)
        self.proj_out = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        key, value = self.kv_dwconv(self.kv(x)).chunk(2, dim=1)
        query = self.q_dwconv(self.q(x))
        product = torch.fft.rfft2(self._patches(query)) * torch.fft.rfft2(self._patches(key))
        mixed = torch.fft.irfft2(product, s=(self.patch, self.patch))
        return self.proj_out(self.norm(self._whole(mixed, x)) * value)

    def _patches(self, x: Tensor) -> Tensor:
        """Zero-pad (B, C, H, W) and cut it into (B, C, rows, columns, patch, patch) float32."""
        down, right = (-side % self.patch for side in x.shape[-2:])
        padded = F.pad(x.float(), (0, right, 0, down))
        return padded.unfold(2, self.patch, self.patch).unfold(3, self.patch, self.patch)

    def _whole(self, patches: Tensor, like: Tensor) -> Tensor:
        joined = patches.transpose(3, 4).flatten(4, 5).flatten(2, 3)
        return joined[..., : like.shape[-2], : like.shape[-1]].to(like.dtype)


class Expert(nn.Module):
    """Fourier attention in a few channels, gated by the shared branch, around an identity."""

    def __init__(self, dim: int, inner: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.ModuleList(
            [_pointwise(dim, inner), _pointwise(dim, inner), _pointwise(inner, dim)]
        )
        self.body = FourierAttention(inner, patch)

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        gated = self.body(self.proj[0](x)) * F.silu(self.proj[1](shared))
        return self.proj[2](gated) + x


class Routing(nn.Module):
    """Score the experts by the mean feature and the frequency embedding."""

    def __init__(self, dim: int, embedding: int, complexity: Tensor) -> None:
        super().__init__()
        experts = len(complexity)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(dim, experts, bias=False)
        )
        self.freq_gate = nn.Linear(embedding, experts, bias=False)
        self.register_buffer("complexity", complexity)

    def forward(
        self, x: Tensor, embedding: Tensor, noise: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Return each picture's best expert and its softmax score, (B,) each.

        All pictures of a batch get the same noise, of standard deviation one over the number of
        experts, so that a picture's route does not depend on its neighbours.
        """
        logits = self.gate(x) + self.freq_gate(embedding)
        drawn = torch.randn(1, logits.shape[1], generator=noise).to(logits)
        scores, chosen = (logits + drawn / logits.shape[1]).softmax(-1).max(-1)
        return chosen, scores


class Adapter(nn.Module):
    """The experts of one decoder block and what chooses among them."""

    def __init__(self, dim: int, embedding: int, experts: int) -> None:
        super().__init__()
        # Each expert stands in a list of its own: the checkpoint's names ask for it.
        self.experts = nn.ModuleList(
            nn.Sequential(Expert(dim, dim // 2 ** (experts - 1 - i), 2 ** (i + 2)))
            for i in range(experts)
        )
        self.proj_out = _pointwise(dim, dim)
        sizes = [float(sum(p.numel() for p in e.parameters())) for e in self.experts]
        self.routing = Routing(dim, embedding, torch.tensor(sizes) / max(sizes))

    def forward(
        self, x: Tensor, embedding: Tensor, shared: Tensor, noise: torch.Generator
    ) -> Tensor:
        """Map two (B, C, H, W) to one: each picture goes through its expert alone."""
        chosen, scores = self.routing(x, embedding, noise)
        parts = [
            self.experts[int(expert)][0](x[i : i + 1], shared[i : i + 1])  # pyright: ignore[reportIndexIssue]
            for i, expert in enumerate(chosen)
        ]
        return self.proj_out(torch.cat(parts) * scores[:, None, None, None])


class DecoderBlock(nn.Module):
    """A shared and a routed branch, joined by cross-attention; then a feed-forward part."""

    def __init__(self, dim: int, heads: int, embedding: int, config: MoCEIRConfig) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(dim), ChannelNorm(dim)])
        self.proj = nn.ModuleList([nn.Conv2d(dim, dim, 1), nn.Conv2d(dim, dim, 1)])
        self.shared = ChannelAttention(dim, heads)
        self.mixer = CrossAttention(dim, heads)
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


class FrequencyEmbedding(nn.Module):
    """Mean of what a (learned) high-pass leaves of the latent, through a small network."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.high_conv = nn.Sequential(_HighPass(dim), nn.GELU())
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C)."""
        return self.mlp(self.high_conv(x).mean((-2, -1)))


class _HighPass(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = _depthwise(dim, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def _pointwise(dim: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(dim, out, 1, bias=False)


def _depthwise(dim: int, size: int, bias: bool) -> nn.Conv2d:
    return nn.Conv2d(dim, dim, size, padding=size // 2, groups=dim, bias=bias)


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
                    _pointwise(dims[level + 1], dims[level]),
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
