"""BioIR (Cui et al., NeurIPS 2025): two branches that steer each other, as two visual pathways do.

Written from a description of the tensors and their order; the names of the modules are those of
the authors' checkpoints for three and for five tasks (MIT). The context of 16x16 means is taken
over all of what the network is given, so a tile is answered otherwise than its place in the whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.blocks import ChannelNorm, GatedFeedForward, PatchEmbed
from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Build, Compute
from e2r_baselines.network import NetworkRestorer, place
from e2r_metrics.base.checkpoints import read_tensors

_CONTEXT = 16
_NEAR, _WIDE = 3, 5


@dataclass(frozen=True)
class BioIRConfig:
    """Widths and depths; the defaults are the authors' network of 15,847,328 parameters.

    Attributes:
        dim: channels at full resolution; doubled at each of the two lower levels.
        blocks: per level, full resolution first, in the encoder and in the decoder each.
        refinement: blocks after the decoder.
        expansion: hidden channels of the feed-forward part, as a multiple of its input.
    """

    dim: int = 48
    blocks: tuple[int, int, int] = (6, 6, 14)
    refinement: int = 4
    expansion: float = 3.0


def weighed_neighbours(x: Tensor, weights: Tensor) -> Tensor:
    """Sum each pixel's neighbourhood of the mean channel with weights of its own.

    Args:
        x: (B, C, H, W); its borders are reflected.
        weights: (B, k * k, H, W), row by row over the k x k neighbours.

    Returns:
        (B, 1, H, W).
    """
    side = round(weights.shape[1] ** 0.5)
    padded = F.pad(x.mean(1, keepdim=True), (side // 2,) * 4, mode="reflect")
    neighbours = F.unfold(padded, side).reshape(weights.shape)
    return (neighbours * weights).sum(1, keepdim=True)


class LowToHigh(nn.Module):
    """Detail scaled by how alike each pixel and the 256 means of the context are."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(_CONTEXT**2, _NEAR**2, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        context = F.adaptive_avg_pool2d(low, _CONTEXT).flatten(2)
        likeness = torch.einsum("bchw,bcs->bshw", high, context)
        return high * (1 + weighed_neighbours(high, self.conv(likeness)))


class HighToLow(nn.Module):
    """Context scaled by detail, and a weighed neighbourhood of it added."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dw = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.cv2 = nn.Conv2d(dim, _WIDE**2, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        detail = self.dw(high)
        low = low * (detail + 1)
        return low + weighed_neighbours(low, self.cv2(detail))


class Mixer(nn.Module):
    """Two branches of the same features, each steered by the other, multiplied."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, 2 * dim, 1, bias=False)
        self.dw = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, groups=2 * dim, bias=False)
        self.l2h, self.h2l = LowToHigh(), HighToLow(dim)
        self.project_out = nn.Conv2d(dim, dim, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        low, high = self.dw(self.conv(x)).chunk(2, dim=1)
        return self.project_out(self.h2l(low, high) * self.l2h(low, high))


class BioIRBlock(nn.Module):
    """Mixer and feed-forward, each after a norm and around an identity."""

    def __init__(self, dim: int, expansion: float) -> None:
        super().__init__()
        self.norm1, self.attn = ChannelNorm(dim), Mixer(dim)
        self.norm2, self.ffn = ChannelNorm(dim), GatedFeedForward(dim, expansion)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class Rescale(nn.Module):
    """Bilinear resizing, then a 3x3 convolution."""

    def __init__(self, factor: float, dim: int, out: int) -> None:
        super().__init__()
        resize = nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=False)
        self.body = nn.Sequential(resize, nn.Conv2d(dim, out, 3, padding=1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, dim, H, W) to (B, out, factor H, factor W)."""
        return self.body(x)


class Fuse(nn.Module):
    """Join the decoder's features with those that the encoder had at the same size."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * dim, dim, 1)

    def forward(self, decoded: Tensor, encoded: Tensor) -> Tensor:
        """Map two (B, C, H, W) to one."""
        return self.conv(torch.cat([decoded, encoded], 1))


class BioIR(nn.Module):
    """The whole network; see `BioIRConfig`."""

    def __init__(self, config: BioIRConfig = BioIRConfig()) -> None:
        super().__init__()
        d1, d2, d3 = (config.dim * 2**level for level in range(3))
        n1, n2, n3 = config.blocks

        def level(dim: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(BioIRBlock(dim, config.expansion) for _ in range(count)))

        self.patch_embed = PatchEmbed(d1)
        self.encoder_level1, self.down1_2 = level(d1, n1), Rescale(0.5, d1, d2)
        self.encoder_level2, self.down2_3 = level(d2, n2), Rescale(0.5, d2, d3)
        self.encoder_level3, self.decoder_level3 = level(d3, n3), level(d3, n3)
        self.up3_2 = Rescale(2, d3, d2)
        # In the checkpoints, and no forward pass reads it.
        self.reduce_chan_level2 = nn.Conv2d(d3, d2, 1, bias=False)
        self.decoder_level2, self.up2_1 = level(d2, n2), Rescale(2, d2, d1)
        self.decoder_level1, self.refinement = level(d1, n1), level(d1, config.refinement)
        self.fuse2, self.fuse1 = Fuse(d2), Fuse(d1)
        self.output = nn.Conv2d(d1, 3, 3, padding=1, bias=False)

    def forward(self, image: Tensor) -> Tensor:
        """Restore (B, 3, H, W) RGB; H and W multiples of 4, at least 12. Not clamped."""
        enc1 = self.encoder_level1(self.patch_embed(image))
        enc2 = self.encoder_level2(self.down1_2(enc1))
        y = self.decoder_level3(self.encoder_level3(self.down2_3(enc2)))
        y = self.decoder_level2(self.fuse2(self.up3_2(y), enc2))
        y = self.decoder_level1(self.fuse1(self.up2_1(y), enc1))
        return self.output(self.refinement(y)) + image


def open_bioir(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load the user's checkpoint, of three or of five tasks; see `MethodSpec.open`."""
    (path,) = (files[name] for name in build.files)
    network = BioIR()
    load_strict(network, read_tensors(path), path, build.name)
    network = place(network, compute)
    return NetworkRestorer(lambda images, _: network(images), compute, multiple=4, smallest=12)
