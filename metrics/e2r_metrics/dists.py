"""DISTS (Ding et al., TPAMI 2020): structure and texture similarity of VGG16 features."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from torch import Tensor, nn

from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.images import Image, PerImage, check_pairs, to_unit
from e2r_metrics.lpips import convolutions

CHANNELS = (3, 64, 128, 256, 512, 512)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_C = 1e-6
_MIN_SIDE = 32
# Outer product of hanning(5)[1:-1]: the antialias filter of the L2 pooling, before normalising.
_HANNING = (0.5, 1.0, 0.5)


class Dists(nn.Module):
    """VGG16 with L2 pooling, and the learned weights of the two similarities.

    `forward` takes float32 (B, 3, H, W) RGB in [0, 1] and returns (B,).
    """

    alpha: Tensor
    beta: Tensor
    mean: Tensor
    std: Tensor
    taps: Tensor

    def __init__(self, features: nn.Sequential, alpha: Tensor, beta: Tensor) -> None:
        """Take VGG16 up to relu5_3 and (1, 1475, 1, 1) weights of texture and structure."""
        super().__init__()
        self.features = features
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", (alpha / total).flatten())
        self.register_buffer("beta", (beta / total).flatten())
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1))
        taps = torch.tensor(_HANNING)
        self.register_buffer("taps", torch.outer(taps, taps) / taps.sum() ** 2)

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return 1 - sum(alpha l + beta s) over all channels of all stages."""
        pairs = zip(self._stages(restored), self._stages(clean), strict=True)
        parts = [_similarities(x, y) for x, y in pairs]
        texture = torch.cat([part[0] for part in parts], 1)
        structure = torch.cat([part[1] for part in parts], 1)
        return 1 - (texture @ self.alpha + structure @ self.beta)

    def _stages(self, images: Tensor) -> Iterator[Tensor]:
        yield images
        x = (images - self.mean) / self.std
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                yield x
                x = self._pooled(x)
            else:
                x = layer(x)
        yield x

    def _pooled(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        taps = self.taps.expand(channels, 1, 3, 3)
        return (F.conv2d(x**2, taps, stride=2, padding=1, groups=channels) + 1e-12).sqrt()


def _similarities(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return texture and structure similarity by channel, (B, C) each."""
    mean_x, mean_y = x.mean((2, 3)), y.mean((2, 3))
    var_x = (x - mean_x[..., None, None]).square().mean((2, 3))
    var_y = (y - mean_y[..., None, None]).square().mean((2, 3))
    cov = (x * y).mean((2, 3)) - mean_x * mean_y
    texture = (2 * mean_x * mean_y + _C) / (mean_x**2 + mean_y**2 + _C)
    return texture, (2 * cov + _C) / (var_x + var_y + _C)


def load_dists(files: Mapping[str, Path], device: str = "cpu") -> Dists:
    """Load DISTS from `vgg16-imagenet` and `dists-weights`.

    Raises:
        UsageError: a file that holds another network.
    """
    weights = read_tensors(files["dists-weights"])
    if {name: weights[name].numel() for name in weights} != dict.fromkeys(
        ("alpha", "beta"), sum(CHANNELS)
    ):
        raise UsageError(f"{files['dists-weights']}: expected alpha and beta of DISTS")
    features = convolutions("vgg", files["vgg16-imagenet"])
    network = Dists(features, weights["alpha"], weights["beta"])
    return network.eval().requires_grad_(False).to(device)


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant, one pair at a time."""
    network = load_dists(files, device)
    resize = VARIANTS[variant]

    @torch.inference_mode()
    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        pairs = zip(restored, clean, strict=True)
        tensors = ([resize(_tensor(z)).to(device) for z in pair] for pair in pairs)
        return np.array([float(network(x, y)[0]) for x, y in tensors])

    return measure


def _tensor(image: Image) -> Tensor:
    if min(image.shape[:2]) < _MIN_SIDE:
        raise PictureError(
            f"DISTS needs sides of at least {_MIN_SIDE}, found {image.shape[0]}x{image.shape[1]}"
        )
    return torch.from_numpy(to_unit(image)).permute(2, 0, 1)[None].contiguous()


def _native(x: Tensor) -> Tensor:
    return x


def _short_side_256(x: Tensor) -> Tensor:
    """Resize as torchvision does a Pillow image, rounding to 8 bits; short sides only shrink."""
    height, width = x.shape[2:]
    if min(height, width) <= 256:
        return x
    scale = 256 / min(height, width)
    picture = Pillow.fromarray((x[0] * 255).round().byte().permute(1, 2, 0).numpy())
    size = (256, int(height * scale)) if width <= height else (int(width * scale), 256)
    resized = np.array(picture.resize(size, Pillow.Resampling.BILINEAR))
    return torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 255


def _piq(x: Tensor) -> Tensor:
    """Resize as piq does: torch bilinear without antialias; short sides only shrink."""
    side = min(x.shape[2:])
    if side <= 256:
        return x
    return F.interpolate(x, scale_factor=256 / side, recompute_scale_factor=False, mode="bilinear")


VARIANTS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"native": _native, "short256": _short_side_256, "piq": _piq}
)
