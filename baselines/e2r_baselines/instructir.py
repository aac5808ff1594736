"""InstructIR-7D (Conde, Geigle and Timofte, ECCV 2024): a NAFNet steered by a sentence.

Written from a description of the tensors; names are those of the released files. The sentences of
our tasks are fixed, so their 256-d embeddings are kept in a cache and a run with the cache needs no
text encoder.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.checkpoints import load_strict
from e2r_baselines.instructir_text import Embedder
from e2r_baselines.method import Build, Compute
from e2r_baselines.network import NetworkRestorer, place
from e2r_baselines.tasks import Task
from e2r_metrics.base.checkpoints import read_tensors

TEXT_DIM = 256


@dataclass(frozen=True)
class InstructIRConfig:
    """Widths and depths; the defaults are the released network of 15,843,363 parameters."""

    width: int = 32
    encoder: tuple[int, ...] = (2, 2, 4, 8)
    middle: int = 4
    decoder: tuple[int, ...] = (2, 2, 2, 2)
    text: int = TEXT_DIM


class NAFBlock(nn.Module):
    """Gated depthwise convolution with channel attention, then a gated pointwise part.

    `pool` is what the attention sees of a feature, its mean over the whole picture by default.
    """

    def __init__(self, dim: int, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.norm1, self.norm2 = PixelNorm(dim), PixelNorm(dim)
        self.conv1 = nn.Conv2d(dim, 2 * dim, 1)
        self.conv2 = nn.Conv2d(2 * dim, 2 * dim, 3, padding=1, groups=2 * dim)
        self.conv3 = nn.Conv2d(dim, dim, 1)
        pool = nn.AdaptiveAvgPool2d(1) if pool is None else pool
        self.sca = nn.Sequential(pool, nn.Conv2d(dim, dim, 1))
        self.conv4 = nn.Conv2d(dim, 2 * dim, 1)
        self.conv5 = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        y = _gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.beta * self.conv3(y * self.sca(y))
        return x + self.gamma * self.conv5(_gate(self.conv4(self.norm2(x))))


def _gate(x: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=1)
    return first * second


class PixelNorm(nn.Module):
    """Normalise each pixel over its channels: biased variance, eps 1e-6, affine."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        last = x.movedim(1, -1)
        normed = F.layer_norm(last, last.shape[-1:], self.weight, self.bias, eps=1e-6)
        return normed.movedim(-1, 1)


class InstructionBlock(nn.Module):
    """Weigh the channels by what the sentence asks for, then one more block; around an identity."""

    def __init__(self, dim: int, text: int) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, dim, 1, 1))
        self.fc = nn.Linear(text, dim)
        self.block = NAFBlock(dim)

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Map (B, C, H, W) and (B, text) to (B, C, H, W)."""
        share = torch.sigmoid(self.fc(text))[:, :, None, None]
        return self.block((x * self.gamma + self.beta) * share) + x


class InstructIR(nn.Module):
    """The image network; see `InstructIRConfig`."""

    def __init__(self, config: InstructIRConfig = InstructIRConfig()) -> None:
        super().__init__()
        dims = [config.width * 2**level for level in range(len(config.encoder))]
        self.intro = nn.Conv2d(3, config.width, 3, padding=1)
        self.ending = nn.Conv2d(config.width, 3, 3, padding=1)
        self.encoders = nn.ModuleList(map(_row, dims, config.encoder))
        self.enc_cond = nn.ModuleList(InstructionBlock(dim, config.text) for dim in dims)
        self.downs = nn.ModuleList(nn.Conv2d(dim, 2 * dim, 2, stride=2) for dim in dims)
        self.middle_blks = _row(2 * dims[-1], config.middle)
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * dim, 4 * dim, 1, bias=False), nn.PixelShuffle(2))
            for dim in reversed(dims)
        )
        self.decoders = nn.ModuleList(map(_row, reversed(dims), config.decoder))
        self.dec_cond = nn.ModuleList(InstructionBlock(dim, config.text) for dim in reversed(dims))

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Restore.

        Args:
            x: (B, 3, H, W) RGB in [0, 1]; H and W multiples of 2 to the number of levels (16).
            text: (B, 256) embedding of the sentence, of unit length.

        Returns:
            (B, 3, H, W), not clamped.
        """
        y, skips = self.intro(x), list[Tensor]()
        for blocks, condition, down in zip(self.encoders, self.enc_cond, self.downs, strict=True):
            y = condition(blocks(y), text)
            skips.append(y)
            y = down(y)
        y = self.middle_blks(y)
        for blocks, condition, up in zip(self.decoders, self.dec_cond, self.ups, strict=True):
            y = condition(blocks(up(y) + skips.pop()), text)
        return self.ending(y) + x


def _row(dim: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(NAFBlock(dim) for _ in range(count)))


def open_instructir(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load the image network, and the cached sentences or the text path; see `MethodSpec.open`."""
    image, *rest = build.files  # the cache of sentences, or the head and the encoder's folder
    network = InstructIR()
    load_strict(network, read_tensors(files[image]), files[image], "InstructIR-7D, image network")
    network = place(network, compute)
    embedder = Embedder.of([files[name] for name in rest])

    def forward(images: Tensor, task: Task) -> Tensor:
        text = embedder.embed(task.prompt).to(images)
        return network(images, text.expand(len(images), -1))

    return NetworkRestorer(forward, compute, multiple=16, padding="zero")
