"""The autoencoder of the miniatures: an `AutoencoderKL` whose encoder computes a linear code.

An autoencoder of this size trained from scratch spends its first thousands of steps on learning to
pass colours through its normalisations. So a linear code, 16 numbers for 4x4 pixels, is fitted
instead (minutes on one core), and written into the encoder exactly. Residual branches end in zeros,
which leaves the last GroupNorm: a channel that holds minus the sum of the others makes their mean
zero, two channels of a large constant make their gain fixed, and a large bias brings all into the
range where SiLU changes nothing; the layer after takes it off again with one of the constants.
The decoder starts at the linear one and goes on from there: `nano_decoder`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from e2r_baselines.method import Pixels

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

WIDTHS = (16, 32, 64)
LATENT = 16
CONSTANT = 256.0
_LIFT = 64.0
_HALF, _CODE, _LOW, _HIGH = 16, 16, 32, 13
_FIT_RATE = 5e-3
_HAAR = ((1, 1, 1, 1), (1, 1, -1, -1), (1, -1, 1, -1), (1, -1, -1, 1))


class LinearCode(nn.Module):
    """Strided and nearest-upsampled convolutions without biases, as the network will hold them."""

    def __init__(self) -> None:
        super().__init__()
        self.to_half = nn.Conv2d(3, _HALF, 3, 2, bias=False)
        self.to_quarter = nn.Conv2d(_HALF, _CODE, 3, 2, bias=False)
        self.code = nn.Conv2d(_CODE, LATENT, 3, padding=1, bias=False)
        self.read = nn.Conv2d(LATENT, _LOW, 3, padding=1, bias=False)
        self.up_half = nn.Conv2d(_LOW, _HALF, 3, padding=1, bias=False)
        self.up_full = nn.Conv2d(_HALF, _HIGH, 3, padding=1, bias=False)
        self.paint = nn.Conv2d(_HIGH, 3, 3, padding=1, bias=False)
        with torch.no_grad():
            for conv in (self.to_half, self.to_quarter):
                _start_as_haar(conv)
            for conv in (self.code, self.read, self.up_half, self.up_full, self.paint):
                _start_as_identity(conv)

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        """Map (B, 3, H, W) in [-1, 1] to (B, 16, H/4, W/4)."""
        x = F.conv2d(F.pad(pixels, (0, 1, 0, 1)), self.to_half.weight, stride=2)
        x = F.conv2d(F.pad(x, (0, 1, 0, 1)), self.to_quarter.weight, stride=2)
        return self.code(x)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Map latents back to pixels."""
        x = F.interpolate(self.read(latents), scale_factor=2.0, mode="nearest")
        x = F.interpolate(self.up_half(x), scale_factor=2.0, mode="nearest")
        return self.paint(self.up_full(x))


def _start_as_haar(conv: nn.Conv2d) -> None:
    """Begin as a space-to-depth step in an orthogonal basis, lowest frequencies first."""
    conv.weight.mul_(0.05)
    inputs = conv.in_channels
    for channel in range(min(conv.out_channels, len(_HAAR) * inputs)):
        basis = torch.tensor(_HAAR[channel // inputs], dtype=torch.float32).view(2, 2) / 2
        conv.weight[channel, channel % inputs, :2, :2] += basis


def _start_as_identity(conv: nn.Conv2d) -> None:
    conv.weight.mul_(0.3)
    for channel in range(min(conv.in_channels, conv.out_channels)):
        conv.weight[channel, channel, 1, 1] += 1


@torch.no_grad()
def read_code(vae: "AutoencoderKL") -> LinearCode:
    """Return the code that an encoder was written with, its decoding side as it starts."""
    linear, encoder = LinearCode(), vae.encoder
    low: Any = encoder.down_blocks
    linear.to_half.weight.copy_(low[0].downsamplers[0].conv.weight[:_HALF, :3])
    linear.to_quarter.weight.copy_(low[1].downsamplers[0].conv.weight[:_CODE, :_HALF])
    linear.code.weight.copy_(encoder.conv_out.weight[:LATENT, :_CODE])
    return linear


def fit_linear(
    canvases: Sequence[Pixels], steps: int, seed: int, kept: LinearCode | None = None
) -> LinearCode:
    """Fit the code to random 64x64 crops by mean squared error.

    Args:
        canvases: (H, W, 3) float32 pictures in [0, 1].
        steps: of Adam, batch 8, one cycle of the learning rate up to 5e-3.
        seed: of the initial weights, the crops and the noise on the code.
        kept: a code whose encoding side is left as it is.
    """
    pictures = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2) * 2 - 1
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linear = LinearCode() if kept is None else kept
    if kept is not None:
        for conv in (linear.to_half, linear.to_quarter, linear.code):
            conv.requires_grad_(False)
    optimizer = torch.optim.Adam(_trained(linear), _FIT_RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _FIT_RATE, steps, pct_start=0.1)
    for _ in range(steps):
        batch = crops(pictures, 64, 8, generator)
        code = linear.encode(batch)
        # A little noise and a little weight keep the code well conditioned and of moderate size.
        noisy = code + 0.04 * torch.randn(code.shape, generator=generator)
        loss = (linear.decode(noisy) - batch).square().mean() + 6e-7 * code.square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(_trained(linear), 0.5)
        optimizer.step()
        schedule.step()
    return linear


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in module.parameters() if weight.requires_grad]


def crops(
    pictures: torch.Tensor, side: int, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Return windows of random pictures, (count, 3, side, side), of (n, 3, H, W) ones."""
    chosen: list[torch.Tensor] = []
    last = pictures.shape[2] - side
    for index in torch.randint(len(pictures), (count,), generator=generator):
        top, left = torch.randint(0, last, (2,), generator=generator).tolist()
        chosen.append(pictures[index, :, top : top + side, left : left + side])
    return torch.stack(chosen)


def build_vae() -> "AutoencoderKL":
    """Return the network with random weights; 4x4 pixels per latent, as the name of its class."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    # The code of a photograph then has a standard deviation of about 1.
    return AutoencoderKL(**_settings(), scaling_factor=1.25, shift_factor=0.0)


def _settings() -> dict[str, Any]:
    return {
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "block_out_channels": WIDTHS,
        "layers_per_block": 1,
        "latent_channels": LATENT,
        "norm_num_groups": 1,
        "sample_size": 128,
        "mid_block_add_attention": False,
        "use_quant_conv": False,
        "use_post_quant_conv": False,
    }


@torch.no_grad()
def normalised(vae: "AutoencoderKL", canvases: Sequence[Pixels]) -> "AutoencoderKLFlux2":
    """Return FLUX.2's class with the same code, its batch statistics taken from pictures.

    Args:
        vae: fitted; see `write_linear`.
        canvases: (H, W, 3) float32 pictures of one size in [0, 1].
    """
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    same = AutoencoderKLFlux2(**_settings())
    same.load_state_dict(vae.state_dict(), strict=False)
    pictures = torch.from_numpy(np.stack(canvases)).permute(0, 3, 1, 2) * 2 - 1
    coder: Any = vae
    codes = [coder.encode(part).latent_dist.mode() for part in pictures.split(8)]
    # Channel 4c + 2y + x is that of a 2x2 patch, as the pipeline packs it.
    patches = torch.pixel_unshuffle(torch.cat(codes), 2)
    bn: Any = same.bn
    bn.running_mean.copy_(patches.mean(dim=(0, 2, 3)))
    bn.running_var.copy_(patches.var(dim=(0, 2, 3)))
    return same


@torch.no_grad()
def write_linear(vae: "AutoencoderKL", linear: LinearCode) -> None:
    """Make the encoder of `vae` compute exactly the code, in place, also saved in float16."""
    encoder: Any = vae.encoder
    for module in encoder.modules():
        if type(module).__name__ == "ResnetBlock2D":
            fill(module.conv2, torch.zeros(0, 0, 3, 3))
    low = encoder.down_blocks
    fill(encoder.conv_in, F.pad(_eye(3), (1, 1, 1, 1)))
    fill(low[0].downsamplers[0].conv, linear.to_half.weight)
    fill(low[1].resnets[0].conv_shortcut, _eye(_HALF))
    fill(low[1].downsamplers[0].conv, linear.to_quarter.weight)
    _fill_before_norm(low[2].resnets[0].conv_shortcut, _eye(_CODE))
    _fill_after_norm(encoder.conv_norm_out, encoder.conv_out, linear.code.weight)
    # The second half of the encoder's output is the log variance: as small as it gets.
    encoder.conv_out.bias[LATENT:] = -30.0


def _eye(size: int) -> torch.Tensor:
    return torch.eye(size)[:, :, None, None]


def fill(conv: Any, kernel: torch.Tensor) -> None:
    """Put a kernel into the first channels of a layer, and zeros into the others."""
    outputs, inputs = kernel.shape[:2]
    conv.weight.zero_()
    conv.weight[:outputs, :inputs] = kernel
    conv.bias.zero_()


def _fill_before_norm(conv: Any, kernel: torch.Tensor) -> None:
    """Add a channel that makes the mean of all zero, and two that make their spread known."""
    fill(conv, torch.cat([kernel, -kernel.sum(0, keepdim=True)]))
    conv.bias[-2:] = torch.tensor([CONSTANT, -CONSTANT])


def _fill_after_norm(norm: Any, conv: Any, kernel: torch.Tensor) -> None:
    """Undo the norm's gain, lift all channels above SiLU's bend, and take the lift off again."""
    outputs, inputs = kernel.shape[:2]
    norm.weight.zero_()
    norm.weight[:inputs] = CONSTANT * (2 / norm.num_channels) ** 0.5
    norm.bias.fill_(_LIFT)
    # Rounded as the folder will hold them; the second constant carries what the sum then loses.
    kernel = kernel.half().float()
    fill(conv, kernel)
    total = kernel.sum(1)
    conv.weight[:outputs, -2] = -total.half().float()
    conv.weight[:outputs, -1] = total.half().float() - total
