"""Variants made of parts: `psnr:CHANNEL`, `ssim:KIND`, `ssim:CHANNEL`, `ssim:KIND-CHANNEL`.

The catalog lists the usual ones; the others are composed when they are asked for.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.channels import CHANNELS, channel_named

_CONSTANTS = "K1 0.01, K2 0.03"
_INSIDE = "windows inside the picture, mean over pixels and channels"
_GAUSS = f"11x11 Gaussian sigma 1.5, {_CONSTANTS}"
_BOX = f"7x7 box, {_CONSTANTS}"
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "gauss": f"{_GAUSS}, population covariance, {_INSIDE}",
        "gauss_sample": f"{_GAUSS}, sample covariance (121/120), {_INSIDE}",
        "uniform7": f"{_BOX}, sample covariance, {_INSIDE}",
        "uniform7_population": f"{_BOX}, population covariance, {_INSIDE}",
        "pooled": "average-pooled by round(shorter side / 256) before: "
        f"{_GAUSS}, population covariance, {_INSIDE}",
        "padded": f"{_GAUSS}, population covariance, zeros around the picture, mean over all "
        "pixels and channels",
    }
)
"""How SSIM is taken, by kind, in the words of a protocol."""
_FLOAT32 = ("gauss", "gauss_sample", "uniform7", "uniform7_population")


class Described(NamedTuple):
    """What a composed variant says of itself, as the columns of the catalog have it."""

    variant: str
    title: str
    definition: str
    colour: str


def ssim_variant(text: str) -> tuple[str, str]:
    """Return kind and channel of a variant of SSIM: "y" is ("gauss", "y").

    Raises:
        UsageError: no such kind or channel; the nearest is named.
    """
    kind, dash, channel = text.partition("-")
    if not dash:
        kind, channel = ("gauss", kind) if kind in CHANNELS else (kind, "rgb")
    if kind not in KINDS:
        raise unknown("variant of ssim", kind, (*KINDS, *CHANNELS))
    return kind, channel_named(channel).name


def ssim_name(kind: str, channel: str) -> str:
    """Return the one name of a variant of SSIM; the inverse of `ssim_variant`."""
    if channel == "rgb":
        return kind
    return channel if kind == "gauss" else f"{kind}-{channel}"


def with_channel(metric: str, variant: str, channel: str) -> str:
    """Return a variant of PSNR or SSIM on another channel.

    Args:
        metric: "psnr" or "ssim".
        variant: as in the catalog, on RGB.
        channel: a key of `CHANNELS`.

    Raises:
        UsageError: no such channel, or a variant that names another channel already.
    """
    channel_named(channel)
    kind, own = ("", variant) if metric == "psnr" else ssim_variant(variant)
    if own not in ("rgb", channel):
        raise UsageError(
            f"expected --channel {channel} and {metric}:{variant} to be one channel; leave one out"
        )
    return channel if metric == "psnr" else ssim_name(kind, channel)


def described(metric: str, variant: str) -> Described:
    """Return what a variant of PSNR or SSIM says of itself, under its one name.

    Raises:
        UsageError: no such variant.
    """
    if metric == "psnr":
        channel = channel_named(variant)
        top = "255^2" if channel.weights else "peak^2"
        formula = f"10 log10({top} / MSE), no epsilon"
        return Described(variant, f"PSNR ({variant})", formula, channel.words)
    kind, name = ssim_variant(variant)
    single = kind in _FLOAT32 and CHANNELS[name].weights is None
    depth = "8-bit input in float32" if single else "8-bit input in float64"
    shown = ssim_name(kind, name)
    return Described(shown, f"SSIM ({shown})", f"{KINDS[kind]}; {depth}", CHANNELS[name].words)
