"""PReNet (Ren et al., CVPR 2019): progressive deraining by one small recurrent network.

Written from a description of the tensors; the names are those of the authors' checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Build, Compute
from e2r_baselines.network import NetworkRestorer, place
from e2r_metrics.base.checkpoints import read_tensors

_WIDTH = 32


def _conv(channels: int, activation: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, _WIDTH, 3, padding=1), activation)


def _residual() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
        nn.ReLU(),
    )


class PReNet(nn.Module):
    """168,963 parameters, used `recurrences` times over.

    Each pass sees the rainy picture beside the current estimate; a convolutional LSTM carries
    what earlier passes saw.
    """

    def __init__(self, recurrences: int = 6) -> None:
        super().__init__()
        self.recurrences = recurrences
        self.conv0 = _conv(6, nn.ReLU())
        self.conv_i = _conv(2 * _WIDTH, nn.Sigmoid())
        self.conv_f = _conv(2 * _WIDTH, nn.Sigmoid())
        self.conv_g = _conv(2 * _WIDTH, nn.Tanh())
        self.conv_o = _conv(2 * _WIDTH, nn.Sigmoid())
        self.res_conv1, self.res_conv2, self.res_conv3 = _residual(), _residual(), _residual()
        self.res_conv4, self.res_conv5 = _residual(), _residual()
        self.conv = nn.Sequential(nn.Conv2d(_WIDTH, 3, 3, padding=1))

    def forward(self, rainy: Tensor) -> Tensor:
        """Map (B, 3, H, W) RGB in [0, 1] to the picture without rain; not clamped."""
        blocks = (
            self.res_conv1, self.res_conv2, self.res_conv3, self.res_conv4, self.res_conv5
        )  # fmt: skip
        estimate = rainy
        hidden = cell = rainy.new_zeros(len(rainy), _WIDTH, *rainy.shape[-2:])
        for _ in range(self.recurrences):
            x = self.conv0(torch.cat([rainy, estimate], 1))
            x = torch.cat([x, hidden], 1)
            cell = self.conv_f(x) * cell + self.conv_i(x) * self.conv_g(x)
            hidden = x = self.conv_o(x) * cell.tanh()
            for block in blocks:
                x = torch.relu(block(x) + x)
            estimate = self.conv(x) + rainy
        return estimate


def open_prenet(build: Build, files: Mapping[str, Path], compute: Compute) -> NetworkRestorer:
    """Load the user's PReNet file; see `MethodSpec.open`."""
    (path,) = (files[name] for name in build.files)
    network = PReNet()
    load_strict(network, read_tensors(path), path, "PReNet")
    network = place(network, compute)
    return NetworkRestorer(lambda images, _: network(images), compute)
