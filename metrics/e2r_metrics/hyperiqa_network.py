"""The network of HyperIQA: features of a ResNet-50 make the weights of a small second network."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.layouts import load_strict, looks_like

SIDE = 224
_STRIDE = 32
_GRID = SIDE // _STRIDE
_EXPANSION, _STAGES = 4, 4


@dataclass(frozen=True)
class Sizes:
    """Widths of the network, as published.

    Attributes:
        width: channels of the ResNet's first convolution.
        blocks: bottlenecks of its four stages.
        local: length of what each of the first three stages says of local distortions.
        content: channels from which weights are made.
        layers: widths of the second network, the first of them its input's; neighbours multiply
            to a multiple of 49, since weights are made at 7x7 places.
    """

    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    local: int = 16
    content: int = 112
    layers: tuple[int, ...] = (224, 112, 56, 28, 14)


PUBLISHED = Sizes()


class Bottleneck(nn.Module):
    """A block of ResNet-50 (He et al., CVPR 2016), its stride in the 3x3 convolution."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        """Make a block from `inputs` to 4 * `planes` channels."""
        super().__init__()
        outputs = _EXPANSION * planes
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            beside = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(beside, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4 planes, H', W') from (B, inputs, H, W)."""
        beside = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + beside)


class Trunk(nn.Module):
    """ResNet-50 with the paper's local distortion aware module at each of its stages."""

    def __init__(self, sizes: Sizes) -> None:
        """Make the stages, and of each the layers that look at its places."""
        super().__init__()
        width = sizes.width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for index, count in enumerate(sizes.blocks):
            planes, first = width * 2**index, 1 if index == 0 else 2
            stage = [Bottleneck(inputs, planes, first)]
            inputs = _EXPANSION * planes
            stage += [Bottleneck(inputs, planes, 1) for _ in range(count - 1)]
            setattr(self, f"layer{index + 1}", nn.Sequential(*stage))
        for index in range(_STAGES - 1):
            channels, kept = _EXPANSION * width * 2**index, width * 2**index // 4
            # What is pooled has no parameters; as a list the kernel keeps its published name.
            pool = nn.ModuleList([nn.Conv2d(channels, kept, 1, bias=False)])
            places = (_STRIDE // (4 * 2**index)) ** 2
            setattr(self, f"lda{index + 1}_pool", pool)
            setattr(self, f"lda{index + 1}_fc", nn.Linear(kept * places, sizes.local))
        rest = sizes.layers[0] - (_STAGES - 1) * sizes.local
        self.lda4_fc = nn.Linear(inputs, rest)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, 32 width, 7, 7) features and the (B, D) input of the second network."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        told: list[Tensor] = []
        for index in range(1, _STAGES + 1):
            x = self.get_submodule(f"layer{index}")(x)
            kept = x if index == _STAGES else self.get_submodule(f"lda{index}_pool.0")(x)
            pooled = F.avg_pool2d(kept, _GRID).flatten(1)
            told.append(self.get_submodule(f"lda{index}_fc")(pooled))
        return x, torch.cat(told, 1)


class HyperIqa(nn.Module):
    """The network with the names of the published file."""

    def __init__(self, sizes: Sizes) -> None:
        """Make the network, with no weights worth having."""
        super().__init__()
        self.layers = sizes.layers
        self.res = Trunk(sizes)
        top, content = 8 * _EXPANSION * sizes.width, sizes.content
        self.conv1 = nn.Sequential(
            nn.Conv2d(top, top // 2, 1), nn.ReLU(), nn.Conv2d(top // 2, top // 4, 1), nn.ReLU(),
            nn.Conv2d(top // 4, content, 1), nn.ReLU(),
        )  # fmt: skip
        neighbours = zip(sizes.layers, sizes.layers[1:], strict=False)
        for index, (inputs, outputs) in enumerate(neighbours, 1):
            made = nn.Conv2d(content, inputs * outputs // _GRID**2, 3, padding=1)
            setattr(self, f"fc{index}w_conv", made)
            setattr(self, f"fc{index}b_fc", nn.Linear(content, outputs))
        self.fc5w_fc = nn.Linear(content, sizes.layers[-1])
        self.fc5b_fc = nn.Linear(content, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return scores, (B,), of float32 (B, 3, 224, 224) RGB with ImageNet's moments."""
        features, x = self.res(x)
        content = self.conv1(features)
        whole = content.mean((2, 3))
        for index, outputs in enumerate(self.layers[1:], 1):
            # The 7x7 places are read as a part of each row of the weights.
            weight = self.get_submodule(f"fc{index}w_conv")(content)
            bias = self.get_submodule(f"fc{index}b_fc")(whole)
            x = torch.sigmoid(_linear(weight.reshape(len(x), outputs, -1), bias, x))
        return _linear(self.fc5w_fc(whole)[:, None], self.fc5b_fc(whole), x)[:, 0]


def _linear(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """Return (B, O) from (B, O, I), (B, O) and (B, I): each picture has its own layer."""
    return torch.baddbmm(bias[..., None], weight, x[..., None])[..., 0]


_SIGNATURES = (
    ("HyperIQA", "fc1w_conv.weight"),
    ("the ResNet of HyperIQA alone", "lda1_fc.weight"),
    ("a ResNet of torchvision", "layer1.0.conv1.weight"),
)


def load_hyperiqa(path: Path, sizes: Sizes) -> HyperIqa:
    """Return the network with the weights of a published file, such as `koniq_pretrained.pkl`.

    Files of PyTorch before 0.4.1 lack how many batches each norm has seen, which nothing reads.

    Raises:
        UsageError: the file holds another network; says which it looks like.
    """
    tensors = read_tensors(path)
    network = HyperIqa(sizes)
    own = network.state_dict()
    counts = {name: own[name] for name in own if name.endswith(".num_batches_tracked")}
    load_strict(network, {**counts, **tensors}, path, "HyperIQA", looks_like(tensors, _SIGNATURES))
    return network.eval().requires_grad_(False)
