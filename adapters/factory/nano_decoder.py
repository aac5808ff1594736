"""The decoder of the miniatures: a small residual network that starts as a linear one.

The code keeps 16 of 48 numbers; what a picture most likely was is a question for a network that has
seen pictures. All its GroupNorms are made to pass their channels unchanged, as in networks for
super-resolution (Lim et al., EDSR, CVPR Workshops 2017): two channels of a large constant make
their gain known. A linear map passes SiLU as x = silu(x) - silu(-x), by pairs of channels.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from e2r_metrics.base.declarations import own_declarations
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.weights import Missing, Resolver
from e2r_metrics.lpips import BACKBONES, Lpips, load_lpips, lpips_distance
from nano_vae import CONSTANT, LinearCode, crops

_AVERAGE = 0.999
_EVERY = 250


@dataclass(frozen=True)
class DecoderSettings:
    """How the decoder is trained; see `fit_decoder`.

    Attributes:
        steps: of Adam, one cycle of the learning rate up to `rate`.
        batch, side: windows of a step, and their side in pixels.
        perceptual: weight of LPIPS (alex) beside the mean absolute difference, over the last
            four fifths of the steps.
        seed: of initial weights and windows.
    """

    steps: int = 10000
    batch: int = 8
    side: int = 64
    rate: float = 2e-4
    perceptual: float = 0.2
    seed: int = 0


@torch.no_grad()
def write_decoder(decoder: Any, linear: LinearCode) -> None:
    """Make a fresh decoder compute the linear one, with its other channels free, in place."""
    for module in decoder.modules():
        if isinstance(module, nn.GroupNorm):
            _pass_on(module)
        elif type(module).__name__ == "ResnetBlock2D":
            _open_branch(module)
    _carry(decoder.conv_in)
    half, full, last = decoder.up_blocks
    for block in (half, full):
        _carry(block.upsamplers[0].conv, past_norm=False)
    _put(decoder.conv_in, linear.read.weight)
    _put(half.upsamplers[0].conv, linear.up_half.weight)
    _put(full.resnets[0].conv_shortcut, torch.eye(linear.up_half.out_channels)[:, :, None, None])
    _put(full.upsamplers[0].conv, _mirrored(linear.up_full.weight))
    paint = linear.paint.weight
    _put(last.resnets[0].conv1, _mirrored(torch.cat([paint, -paint], 1)))
    _put(last.resnets[0].conv2, _mirrored(_difference()))
    last.resnets[0].conv_shortcut.weight[: 2 * len(paint)] = 0
    decoder.conv_out.weight.zero_()
    _put(decoder.conv_out, _difference())


def _open_branch(block: Any) -> None:
    """Let a residual block add nothing yet."""
    block.conv2.weight.zero_()
    block.conv2.bias.zero_()
    _carry(block.conv1)
    if block.conv_shortcut is not None:
        _carry(block.conv_shortcut, past_norm=False)


def _pass_on(norm: nn.GroupNorm) -> None:
    """Undo the gain that the two constant channels fix, and drop these."""
    norm.weight.fill_(CONSTANT * (2 / norm.num_channels) ** 0.5)
    norm.weight[-2:] = 0
    norm.bias.zero_()


def _carry(conv: Any, past_norm: bool = True) -> None:
    """Make the last two outputs constant; a layer without a norm before it reads no constants."""
    conv.weight[-2:] = 0
    if not past_norm:
        conv.weight[:, -2:] = 0
    conv.bias.zero_()
    conv.bias[-2:] = torch.tensor([CONSTANT, -CONSTANT])


def _put(conv: Any, kernel: torch.Tensor) -> None:
    """Put a kernel into the first outputs of a layer, and leave the others as they are."""
    outputs, inputs = kernel.shape[:2]
    conv.weight[:outputs] = 0
    conv.weight[:outputs, :inputs] = kernel
    conv.bias[:outputs] = 0


def _mirrored(kernel: torch.Tensor) -> torch.Tensor:
    return torch.cat([kernel, -kernel])


def _difference() -> torch.Tensor:
    """Return the kernel that takes colours from channels that hold each with both signs."""
    kernel = torch.zeros(3, 6, 3, 3)
    for colour in range(3):
        kernel[colour, colour, 1, 1], kernel[colour, colour + 3, 1, 1] = 1, -1
    return kernel


def fit_decoder(vae: Any, pictures: torch.Tensor, settings: DecoderSettings, log: Path) -> None:
    """Train the decoder in place, on what the encoder says of random windows.

    Ends with the running mean of its weights. Appends a row per 250 steps to `log`/decoder.jsonl.

    Args:
        vae: with its encoder's code written; only its decoder changes.
        pictures: (n, 3, H, W) float32 in [-1, 1].
        settings: see there.
        log: a folder, made where it is not.
    """
    decoder = vae.decoder.train().requires_grad_(True)
    judge = _open_judge() if settings.perceptual else None
    weights = list(decoder.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.Adam(weights, settings.rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.rate, settings.steps, pct_start=0.05
    )
    generator = torch.Generator().manual_seed(settings.seed)
    log.mkdir(parents=True, exist_ok=True)
    began, recent = time.perf_counter(), 0.0
    for step in range(settings.steps):
        windows = _turned(crops(pictures, settings.side, settings.batch, generator), generator)
        with torch.no_grad():
            code = vae.encode(windows).latent_dist.mode()
        loss = _loss(judge, decoder(code), windows, perceptual_weight(step, settings))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 0.5)
        optimizer.step()
        schedule.step()
        keep = min(_AVERAGE, (1 + step) / (10 + step))
        with torch.no_grad():
            for mean, weight in zip(average, weights, strict=True):
                mean.lerp_(weight, 1 - keep)
        recent += float(loss.detach()) / _EVERY
        if step % _EVERY == _EVERY - 1:
            row = {"step": step + 1, "loss": round(recent, 5),
                   "seconds": round(time.perf_counter() - began, 1)}  # fmt: skip
            with (log / "decoder.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            recent = 0.0
    with torch.no_grad():
        for mean, weight in zip(average, weights, strict=True):
            weight.copy_(mean)
    decoder.eval().requires_grad_(False)


def _turned(windows: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror and transpose half of the steps."""
    mirror, transpose = (torch.rand(2, generator=generator) < 0.5).tolist()
    windows = windows.flip(3) if mirror else windows
    return windows.transpose(2, 3) if transpose else windows


def perceptual_weight(step: int, settings: DecoderSettings) -> float:
    """Return the weight of LPIPS: none at first, then rising over a tenth of the steps."""
    risen = (step - 0.2 * settings.steps) / (0.1 * settings.steps)
    return settings.perceptual * min(1.0, max(0.0, risen))


def _loss(
    judge: Lpips | None, made: torch.Tensor, true: torch.Tensor, weight: float
) -> torch.Tensor:
    made, true = made / 2 + 0.5, true / 2 + 0.5
    distance = ((made - true).square() + 1e-6).sqrt().mean()
    if judge is None or weight == 0:
        return distance
    return distance + weight * lpips_distance(judge, made, true).mean()


def _open_judge() -> Lpips:
    """Return LPIPS; raises UsageError where its weights are not to be had."""
    resolver, files = Resolver(own_declarations()), dict[str, Path]()
    for name in (BACKBONES["alex"], "lpips-heads-alex"):
        found = resolver.fetch(name)
        if isinstance(found, Missing):
            raise UsageError(f"{name}: the decoder is trained with LPIPS; {found.reason}")
        files[name] = found.path
    return load_lpips("alex", files)


def decoded_error(vae: Any, pictures: torch.Tensor) -> tuple[float, float]:
    """Return mean PSNR (dB) and LPIPS of a round trip, of (n, 3, H, W) pictures in [-1, 1]."""
    judge, found = _open_judge(), list[torch.Tensor]()
    with torch.inference_mode():
        for part in pictures.split(8):
            made = vae.decode(vae.encode(part).latent_dist.mode()).sample.clamp(-1, 1)
            error = F.mse_loss(made / 2, part / 2, reduction="none").mean((1, 2, 3))
            distance = lpips_distance(judge, made / 2 + 0.5, part / 2 + 0.5)
            found.append(torch.stack([-10 * error.log10(), distance], 1))
    mean = torch.cat(found).mean(0)
    return float(mean[0]), float(mean[1])
