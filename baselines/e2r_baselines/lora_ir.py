"""LoRA-IR (Ai et al., 2024), setting I: a NAFNet with three low-rank experts, one a picture.

The router looks at the whole picture, says which of snow (0), rain with haze (1) or raindrops (2)
it is, and gives a vector that the encoder is told. Since exactly one expert counts, each is folded
into a dense network of its own when it is first asked for. Written from a description of the
tensors (Apache-2.0, code and weights).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from e2r_baselines.checkpoints import load_strict
from e2r_baselines.instructir import NAFBlock, PixelNorm
from e2r_baselines.lora_ir_router import Route, open_router
from e2r_baselines.method import Build, Compute, Draw, Photo, Restored
from e2r_baselines.network import NetworkRestorer, place
from e2r_baselines.tasks import Task
from e2r_metrics.base.checkpoints import read_tensors

EXPERTS, RANK, SCALE = 3, 8, 2.0
PRIOR = 384

_WINDOW = 384  # pixels at full resolution: one and a half training patches of 256


@dataclass(frozen=True)
class LoRAIRConfig:
    """Widths and depths; the defaults are the released network, 68,869,503 parameters an expert."""

    width: int = 64
    encoder: tuple[int, ...] = (1, 1, 1, 28)
    middle: int = 1
    decoder: tuple[int, ...] = (1, 1, 1, 1)


class LocalMean(nn.Module):
    """The mean of a square window around each pixel; of the whole where the window holds it.

    Where the window would leave the picture it stops, so the means near a border repeat. Source:
    Chu et al., "Improving Image Restoration by Revisiting Global Information Aggregation" (2022).
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, 1, 1) or to the same shape."""
        if self.side >= max(x.shape[-2:]):
            return x.mean((-2, -1), keepdim=True)
        means = x
        for axis in (-2, -1):
            means = _running_mean(means, axis, min(self.side, x.shape[axis]))
        down, right = (a - b for a, b in zip(x.shape[-2:], means.shape[-2:], strict=True))
        border = (right // 2, right - right // 2, down // 2, down - down // 2)
        return F.pad(means, border, mode="replicate")


def _running_mean(x: Tensor, axis: int, count: int) -> Tensor:
    total = x.double().cumsum(axis)
    length = x.shape[axis] - count + 1
    upper = total.narrow(axis, count - 1, length)
    lower = F.pad(total, (0, 0, 1, 0) if axis == -2 else (1, 0)).narrow(axis, 0, length)
    return ((upper - lower) / count).to(x.dtype)


def _blocks(dim: int, count: int, window: int) -> nn.ModuleList:
    return nn.ModuleList(NAFBlock(dim, LocalMean(window)) for _ in range(count))


class Stage(nn.Module):
    """Blocks in a row."""

    def __init__(self, dim: int, count: int, window: int) -> None:
        super().__init__()
        self.blocks = _blocks(dim, count, window)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        for block in self.blocks:
            x = block(x)
        return x


class ToldStage(nn.Module):
    """Weigh the channels by what the router saw, then the blocks."""

    def __init__(self, dim: int, count: int, window: int) -> None:
        super().__init__()
        self.blocks = _blocks(dim, count, window)
        self.beta, self.norm = nn.Parameter(torch.zeros(1, dim, 1, 1)), PixelNorm(dim)
        self.conv1, self.conv2 = nn.Conv2d(PRIOR, 128, 1), nn.Conv2d(128, dim, 1)
        self.conv3, self.conv4 = nn.Conv2d(dim, dim // 16, 1), nn.Conv2d(dim // 16, dim, 1)

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        """Map (B, C, H, W) and (B, 384, 1, 1) to (B, C, H, W)."""
        told = self.conv2(F.gelu(self.conv1(prior)))
        share = self.conv4(self.conv3(told).relu()).sigmoid()
        x = x + self.beta * self.norm(x) * share
        for block in self.blocks:
            x = block(x)
        return x


class LoRAIR(nn.Module):
    """One expert's network, dense; see `LoRAIRConfig`."""

    def __init__(self, config: LoRAIRConfig = LoRAIRConfig()) -> None:
        super().__init__()
        dims = [config.width * 2**level for level in range(len(config.encoder) + 1)]
        windows = [_WINDOW // 2**level for level in range(len(dims))]
        levels = range(len(config.encoder))
        self.intro = nn.Conv2d(3, config.width, 3, padding=1)
        self.ending = nn.Conv2d(config.width, 3, 3, padding=1)
        self.intro_de = nn.Sequential(
            nn.Conv2d(PRIOR, PRIOR, 1), nn.GELU(), nn.Conv2d(PRIOR, PRIOR, 1), nn.GELU()
        )
        self.encoders = nn.ModuleList(
            ToldStage(dims[i], config.encoder[i], windows[i]) for i in levels
        )
        self.downs = nn.ModuleList(nn.Conv2d(dims[i], dims[i + 1], 2, stride=2) for i in levels)
        self.middle_blks = ToldStage(dims[-1], config.middle, windows[-1])
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(dims[i + 1], 4 * dims[i], 1, bias=False), nn.PixelShuffle(2))
            for i in reversed(levels)
        )
        self.decoders = nn.ModuleList(
            Stage(dims[i], count, windows[i])
            for i, count in zip(reversed(levels), config.decoder, strict=True)
        )

    def forward(self, image: Tensor, prior: Tensor) -> Tensor:
        """Restore (B, 3, H, W) RGB, sides multiples of 16, told (B, 384). Not clamped."""
        told = self.intro_de(prior[:, :, None, None])
        x, skips = self.intro(image), list[Tensor]()
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            skips.append(x := encoder(x, told))
            x = down(x)
        x = self.middle_blks(x, told)
        for up, decoder in zip(self.ups, self.decoders, strict=True):
            x = decoder(up(x) + skips.pop())
        return self.ending(x) + image


class ExpertConv(nn.Module):
    """A convolution and its three low-rank changes, as the file holds them; never run."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        side, rank = conv.kernel_size[0], RANK * conv.kernel_size[0]
        rows = conv.out_channels // conv.groups * side
        self.lora_A_list = nn.Parameter(torch.zeros(EXPERTS, rank, conv.in_channels * side))
        self.lora_B_list = nn.Parameter(torch.zeros(EXPERTS, rows, rank))
        self.conv = conv

    def folded(self, expert: int) -> Tensor:
        """Return the kernel of one expert, in the shape of the convolution's."""
        change = self.lora_B_list[expert] @ self.lora_A_list[expert]
        return self.conv.weight + SCALE * change.reshape(self.conv.weight.shape)


def with_experts(network: LoRAIR) -> LoRAIR:
    """Put an `ExpertConv` in place of every convolution, and return the network."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(module, name, ExpertConv(child))
    return network


def fold(mixed: LoRAIR, expert: int) -> dict[str, Tensor]:
    """Return the tensors of one expert's dense network from those of the file."""
    convs = {name for name, module in mixed.named_modules() if isinstance(module, ExpertConv)}
    dense: dict[str, Tensor] = {}
    for key, value in mixed.state_dict().items():
        home, _, kind = key.rpartition(".conv.")
        if home in convs and kind == "bias":
            dense[f"{home}.bias"] = value
        elif key.rpartition(".")[0] not in convs and home not in convs:
            dense[key] = value
    for name in convs:
        module = mixed.get_submodule(name)
        if isinstance(module, ExpertConv):
            dense[f"{name}.weight"] = module.folded(expert).detach()
    return dense


@dataclass(frozen=True)
class LoRAIRRestorer:
    """Deterministic; `route` looks at the whole picture even where the network sees tiles."""

    route: Route
    expert: Callable[[int], LoRAIR]
    compute: Compute

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw; see `Restorer.restore`."""
        for photo in photos:
            chosen, prior = self.route(photo.pixels)
            network = self.expert(chosen)

            def forward(
                images: Tensor, task: Task, network: LoRAIR = network, prior: Tensor = prior
            ) -> Tensor:
                del task
                return network(images, prior.to(images).expand(len(images), -1))

            one = NetworkRestorer(forward, self.compute, multiple=16, padding="zero")
            yield from one.restore([photo], task, draws)


def open_lora_ir(build: Build, files: Mapping[str, Path], compute: Compute) -> LoRAIRRestorer:
    """Load the released restorer and router; see `MethodSpec.open`."""
    path, router = (files[name] for name in build.files)
    mixed = with_experts(LoRAIR())
    load_strict(mixed, read_tensors(path), path, "LoRA-IR, setting I")

    @cache
    def expert(index: int) -> LoRAIR:
        network = LoRAIR()
        network.load_state_dict(fold(mixed, index), strict=True)
        return place(network, compute)

    return LoRAIRRestorer(open_router(router, compute), expert, compute)
