"""The network of MANIQA: features of a ViT, attention over channels, then over windows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.layouts import load_strict, looks_like

SIDE, PATCH, WINDOW = 224, 8, 4
GRID = SIDE // PATCH
_LOOKED_AT = (6, 7, 8, 9)
"""Blocks of the ViT, counted from 0, whose outputs are taken."""
_SCALE = 0.8
_HEADS, _DEPTH, _STAGES, _ATTENTIONS = 4, 2, 2, 2


@dataclass(frozen=True)
class Sizes:
    """Width and heads of the ViT, hidden width of the windows' perceptrons, and ViT's classes."""

    width: int = 768
    heads: int = 12
    hidden: int = 768
    classes: int = 1000


PUBLISHED = Sizes()


class ChannelAttention(nn.Module):
    """The paper's transposed attention block: channels look at one another over all places."""

    def __init__(self, places: int) -> None:
        """Make the three projections of a channel's `places` values."""
        super().__init__()
        self.c_q, self.c_k, self.c_v = (nn.Linear(places, places) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, N) from (B, C, N).

        The authors' code exchanges channels and places of what was attended and reads it in the
        old shape; the weights were trained so.
        """
        attended = F.scaled_dot_product_attention(self.c_q(x), self.c_k(x), self.c_v(x))
        return attended.transpose(1, 2).reshape(x.shape) + x


class WindowAttention(nn.Module):
    """Attention inside windows of 4x4 with learned biases by relative place (Swin)."""

    relative_position_index: Tensor

    def __init__(self, width: int) -> None:
        """Make the projections and the table of biases."""
        super().__init__()
        table = torch.zeros((2 * WINDOW - 1) ** 2, _HEADS)
        self.relative_position_bias_table = nn.Parameter(table)
        self.register_buffer("relative_position_index", _relative_places())
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Return (windows, 16, C) from the same.

        Args:
            x: the windows of one picture.
            mask: (windows, 16, 16), added to the logits.
        """
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        added = bias[None] if mask is None else bias[None] + mask[:, None]
        split = self.qkv(x).unflatten(-1, (3, _HEADS, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*split, attn_mask=added)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Perceptron(nn.Module):
    """Two linear layers with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        """Make the layers."""
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., C) from (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class WindowBlock(nn.Module):
    """A layer of Swin: attention inside windows, moved by half a window where `shift` is 2."""

    attn_mask: Tensor | None

    def __init__(self, width: int, hidden: int, shift: int) -> None:
        """Make a layer for the grid of 28x28."""
        super().__init__()
        self.shift = shift
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = WindowAttention(width)
        self.mlp = Perceptron(width, hidden)
        self.register_buffer("attn_mask", _apart(shift) if shift else None)

    def forward(self, x: Tensor) -> Tensor:
        """Return (1, 28, 28, C) from the same."""
        moved = torch.roll(self.norm1(x), (-self.shift, -self.shift), (1, 2))
        attended = _joined(self.attn(_windows(moved), self.attn_mask))
        x = x + torch.roll(attended, (self.shift, self.shift), (1, 2))
        return x + self.mlp(self.norm2(x))


class Stage(nn.Module):
    """Two layers of Swin, the second one shifted, and a convolution."""

    def __init__(self, width: int, hidden: int) -> None:
        """Make a stage."""
        super().__init__()
        self.blocks = nn.Sequential(
            *(WindowBlock(width, hidden, index % 2 * (WINDOW // 2)) for index in range(_DEPTH))
        )
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (1, 28, 28, C) from the same."""
        convolved = self.conv(self.blocks(x).permute(0, 3, 1, 2))
        return F.relu(convolved).permute(0, 2, 3, 1)


class ScaledSwin(nn.Module):
    """The paper's scale Swin transformer block: stages whose outputs are scaled and added."""

    def __init__(self, width: int, hidden: int) -> None:
        """Make the stages; `downsample` is in the published files and never used."""
        super().__init__()
        self.downsample = nn.Conv2d(width, width, 3, 2, 1)
        self.layers = nn.ModuleList(Stage(width, hidden) for _ in range(_STAGES))

    def forward(self, x: Tensor) -> Tensor:
        """Return (1, C, 28, 28) from the same."""
        x = x.permute(0, 2, 3, 1)
        for layer in self.layers:
            x = _SCALE * layer(x) + x
        return x.permute(0, 3, 1, 2)


class Maniqa(nn.Module):
    """The network, for one crop at a time, with the names of the published files."""

    vit: Any

    def __init__(self, sizes: Sizes) -> None:
        """Make the network, with no weights worth having."""
        from timm import create_model

        super().__init__()
        width, half, places = sizes.width, sizes.width // 2, GRID**2
        self.vit = create_model(
            "vit_base_patch8_224", pretrained=False, embed_dim=width, num_heads=sizes.heads,
            num_classes=sizes.classes,
        )  # fmt: skip
        self.tablock1 = nn.Sequential(*(ChannelAttention(places) for _ in range(_ATTENTIONS)))
        self.conv1 = nn.Conv2d(width * len(_LOOKED_AT), width, 1)
        self.swintransformer1 = ScaledSwin(width, sizes.hidden)
        self.tablock2 = nn.Sequential(*(ChannelAttention(places) for _ in range(_ATTENTIONS)))
        self.conv2 = nn.Conv2d(width, half, 1)
        self.swintransformer2 = ScaledSwin(half, sizes.hidden)
        self.fc_score = _head(half, nn.ReLU())
        self.fc_weight = _head(half, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Return the score, (), of float32 (1, 3, 224, 224) RGB in [-1, 1]."""
        found = self.vit.forward_intermediates(
            x, indices=list(_LOOKED_AT), norm=False, stop_early=True, output_fmt="NLC",
            intermediates_only=True,
        )  # fmt: skip
        x = torch.cat(found, 2).transpose(1, 2)
        x = self.swintransformer1(self.conv1(self.tablock1(x).unflatten(2, (GRID, GRID))))
        x = self.tablock2(x.flatten(2)).unflatten(2, (GRID, GRID))
        places = self.swintransformer2(self.conv2(x)).flatten(2)[0].T
        weights = self.fc_weight(places)
        return (self.fc_score(places) * weights).sum() / weights.sum()


def _head(width: int, last: nn.Module) -> nn.Sequential:
    # Dropout does nothing here, and keeps the published numbers of the layers.
    return nn.Sequential(
        nn.Linear(width, width), nn.ReLU(), nn.Dropout(), nn.Linear(width, 1), last
    )


def _windows(x: Tensor) -> Tensor:
    """Return (49, 16, C) from (1, 28, 28, C)."""
    count = GRID // WINDOW
    x = x[0].unflatten(0, (count, WINDOW)).unflatten(2, (count, WINDOW))
    return x.transpose(1, 2).flatten(0, 1).flatten(1, 2)


def _joined(windows: Tensor) -> Tensor:
    """Return (1, 28, 28, C) from (49, 16, C)."""
    count = GRID // WINDOW
    x = windows.unflatten(0, (count, count)).unflatten(2, (WINDOW, WINDOW)).transpose(1, 2)
    return x.flatten(2, 3).flatten(0, 1)[None]


def _relative_places() -> Tensor:
    """Return int64 (16, 16): where the bias of one place for another stands in the table."""
    at = torch.arange(WINDOW**2)
    row, column = at // WINDOW, at % WINDOW
    rows, columns = (part[:, None] - part + WINDOW - 1 for part in (row, column))
    return rows * (2 * WINDOW - 1) + columns


def _apart(shift: int) -> Tensor:
    """Return (49, 16, 16): -100 between places that the shift brought together, else 0."""
    region = (torch.arange(GRID) >= GRID - WINDOW).long() + (torch.arange(GRID) >= GRID - shift)
    regions = _windows((3 * region[:, None] + region)[None, ..., None])[..., 0]
    return -100.0 * (regions[:, :, None] != regions[:, None]).float()


_SIGNATURES = (
    ("MANIQA", "tablock1.0.c_q.weight"),
    ("MANIQA of its first release", "channel_attn1.0.c_q.weight"),
    ("a ViT of timm", "blocks.0.attn.qkv.weight"),
)


def load_maniqa(path: Path, sizes: Sizes) -> Maniqa:
    """Return the network with the weights of a published file, such as `ckpt_koniq10k.pt`.

    Raises:
        UsageError: the file holds another network; says which it looks like.
    """
    tensors = read_tensors(path)
    network = Maniqa(sizes)
    load_strict(network, tensors, path, "MANIQA", looks_like(tensors, _SIGNATURES))
    return network.eval().requires_grad_(False)
