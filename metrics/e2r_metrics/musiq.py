"""MUSIQ, the multi-scale image quality transformer (Ke et al., ICCV 2021), trained on KonIQ-10k.

Of one picture alone, at its own size and two others; higher is better.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_metrics.base.checkpoints import read_archive
from e2r_metrics.base.layouts import load_strict
from e2r_metrics.images import Image, PerImage, check_image
from e2r_metrics.musiq_input import GRID, LONGER_SIDES, Patches, prepare

WEIGHTS = "musiq-koniq"
ROOT = "opt/target/"
"""Where the published archives keep the parameters; the rest is the optimizer's."""
_STEM, _UNIT, _CELLS = 64, 256, 64
_GROUPS = 32
_AT_ONCE = 512


@dataclass(frozen=True)
class Sizes:
    """Width, number of layers, heads and hidden width of the transformer; as published."""

    width: int = 384
    depth: int = 14
    heads: int = 6
    hidden: int = 1152


PUBLISHED = Sizes()


class StandardizedConv(nn.Module):
    """A convolution whose kernels have mean 0 and deviation 1 each (Qiao et al., 2019)."""

    def __init__(
        self, inputs: int, outputs: int, side: int, stride: int = 1, padding: int = 0
    ) -> None:
        """Make kernels of side x side pixels, without bias."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(outputs, inputs, side, side))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of (B, C, H, W); 1e-5 is added to the deviations."""
        axes = (1, 2, 3)
        centred = self.weight - self.weight.mean(axes, keepdim=True)
        spread = centred.square().mean(axes, keepdim=True).sqrt()
        return F.conv2d(x, centred / (spread + 1e-5), None, self.stride, self.padding)


class Unit(nn.Module):
    """The one bottleneck after the first convolution: (B, 64, 8, 8) to (B, 256, 8, 8)."""

    def __init__(self) -> None:
        """Make its four convolutions and their norms."""
        super().__init__()
        self.conv_proj = StandardizedConv(_STEM, _UNIT, 1)
        self.gn_proj = nn.GroupNorm(_GROUPS, _UNIT, eps=1e-4)
        self.conv1 = StandardizedConv(_STEM, _STEM, 1)
        self.gn1 = nn.GroupNorm(_GROUPS, _STEM, eps=1e-4)
        self.conv2 = StandardizedConv(_STEM, _STEM, 3, padding=1)
        self.gn2 = nn.GroupNorm(_GROUPS, _STEM, eps=1e-4)
        self.conv3 = StandardizedConv(_STEM, _UNIT, 1)
        self.gn3 = nn.GroupNorm(_GROUPS, _UNIT, eps=1e-4)

    def forward(self, x: Tensor) -> Tensor:
        """Return the unit's output."""
        beside = self.gn_proj(self.conv_proj(x))
        x = F.relu(self.gn1(self.conv1(x)))
        x = F.relu(self.gn2(self.conv2(x)))
        return F.relu(beside + self.gn3(self.conv3(x)))


class Block(nn.Module):
    """One layer of the transformer, with its norms before attention and perceptron."""

    def __init__(self, sizes: Sizes) -> None:
        """Make a layer."""
        super().__init__()
        width = sizes.width
        self.heads = sizes.heads
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        # Flax's `gelu` is the approximation by tanh.
        self.mlp = nn.Sequential(
            nn.Linear(width, sizes.hidden), nn.GELU("tanh"), nn.Linear(sizes.hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (L, width) from (L, width)."""
        y = self.norm1(x)
        split = (part(y).unflatten(1, (self.heads, -1)).transpose(0, 1)[None]
                 for part in (self.query, self.key, self.value))  # fmt: skip
        attended = F.scaled_dot_product_attention(*split)[0].transpose(0, 1).flatten(1)
        x = x + self.out(attended)
        return x + self.mlp(self.norm2(x))


class Musiq(nn.Module):
    """The network, for one picture at a time: tokens of other pictures never share a sequence."""

    def __init__(self, sizes: Sizes) -> None:
        """Make the network, with no weights worth having."""
        super().__init__()
        width = sizes.width
        self.conv_root = StandardizedConv(3, _STEM, 7, stride=2)
        self.gn_root = nn.GroupNorm(_GROUPS, _STEM, eps=1e-6)
        self.unit = Unit()
        self.embedding = nn.Linear(_CELLS * _UNIT, width)
        self.positions = nn.Parameter(torch.zeros(1, GRID * GRID, width))
        self.scales = nn.Parameter(torch.zeros(1, len(LONGER_SIDES) + 1, width))
        self.cls = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.Sequential(*(Block(sizes) for _ in range(sizes.depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, 1)

    def forward(self, patches: Patches) -> Tensor:
        """Return the score, (), of one picture."""
        parts = [self._embedded(part) for part in patches.pixels.split(_AT_ONCE)]
        x = torch.cat(parts) + self.positions[0, patches.places] + self.scales[0, patches.scales]
        x = self.blocks(torch.cat([self.cls[0], x]))
        return self.head(self.norm(x[0]))[0]

    def _embedded(self, pixels: Tensor) -> Tensor:
        """Return (n, width) from (n, 3, 32, 32); borders are padded as TensorFlow's SAME does."""
        x = F.relu(self.gn_root(self.conv_root(F.pad(pixels, (2, 3, 2, 3)))))
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)  # after a ReLU zero pads as well as -inf
        return self.embedding(self.unit(x).permute(0, 2, 3, 1).flatten(1))


def load_musiq(path: Path, sizes: Sizes) -> Musiq:
    """Return the network with the weights of a published archive, such as `koniq_ckpt.npz`.

    Raises:
        UsageError: the file holds another network; says which it looks like.
    """
    arrays = read_archive(path, ROOT)
    network = Musiq(sizes)
    tensors = {_own_name(name): _own_order(name, value) for name, value in arrays.items()}
    load_strict(network, tensors, path, "MUSIQ of three scales with one output", _likely(arrays))
    return network.eval().requires_grad_(False)


_NAMES = (
    ("Transformer/encoderblock_", "blocks."),
    ("Transformer/encoder_norm/", "norm."),
    ("Transformer/posembed_input/pos_embedding", "positions"),
    ("Transformer/scaleembed_input/scale_embedding", "scales"),
    ("Transformer/cls", "cls"),
    ("block1/unit1/", "unit."),
    ("/LayerNorm_0/", ".norm1."),
    ("/LayerNorm_2/", ".norm2."),
    ("/MultiHeadDotProductAttention_1/", "."),
    ("/MlpBlock_3/Dense_0/", ".mlp.0."),
    ("/MlpBlock_3/Dense_1/", ".mlp.2."),
)


def _own_name(name: str) -> str:
    for theirs, own in _NAMES:
        name = name.replace(theirs, own)
    return re.sub("(kernel|scale)$", "weight", name.replace("/", "."))


def _own_order(name: str, value: Tensor) -> Tensor:
    """Return a parameter as PyTorch orders it: Flax has inputs first, and heads apart."""
    if name.endswith(("/cls", "/pos_embedding", "/scale_embedding")):
        return value
    if not name.endswith("kernel"):
        return value.flatten()
    if value.ndim == 4:
        return value.permute(3, 2, 0, 1).contiguous()
    if value.ndim == 3:
        inputs = value.shape[0] * (value.shape[1] if "/out/" in name else 1)
        value = value.reshape(inputs, -1)
    return value.T.contiguous()


def _likely(arrays: Mapping[str, Tensor]) -> str:
    """Name the published archive that parameters look like."""
    scales = arrays.get("Transformer/scaleembed_input/scale_embedding")
    if scales is None or "head/bias" not in arrays:
        return "no network known here"
    outputs = arrays["head/bias"].numel()
    trained = {1: "one score", 10: "AVA", 1000: "ImageNet"}.get(outputs, f"{outputs} outputs")
    return f"MUSIQ of {trained} with {scales.shape[1]} scales"


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant; it looks at the restored images alone."""
    del variant
    network = load_musiq(files[WEIGHTS], PUBLISHED).to(device)

    @torch.inference_mode()
    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        del clean
        for image in restored:
            check_image(image, "restored")
        inputs = (Patches(*(part.to(device) for part in prepare(x))) for x in restored)
        return np.array([float(network(patches)) for patches in inputs])

    return measure
