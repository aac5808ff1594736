"""The channels that PSNR and SSIM are computed on, by name: most papers differ in nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from e2r_metrics.base.errors import unknown

LUMA_FULL = (0.299, 0.587, 0.114)
"""Y of BT.601 at full range: what YIQ-based libraries call Y."""
LUMA_STUDIO = (65.481 / 255, 128.553 / 255, 24.966 / 255)
"""Y of BT.601 at 16-235, as MATLAB's rgb2ycbcr, which adds 16."""
_LUMA_709 = (0.2126, 0.7152, 0.0722)
_STUDIO = 219 / 255
"""What black to white spans at 16-235, as a share of full range."""


@dataclass(frozen=True)
class Channel:
    """One way from RGB to what is compared.

    Attributes:
        name: as in `psnr:NAME`, `ssim:NAME` and `--channel NAME`.
        words: as in a protocol.
        weights: of R, G and B, so that white is 219 or 255 above the offset; None keeps RGB.
        offset: what black maps to, in 8-bit units.
        rounded: whether Y is rounded to whole numbers, half to even.
    """

    name: str
    words: str
    weights: tuple[float, float, float] | None = None
    offset: float = 0.0
    rounded: bool = False


def _lumas(
    name: str, words: str, weights: tuple[float, float, float], offset: float
) -> tuple[Channel, Channel]:
    return (
        Channel(name, f"{words}, not rounded", weights, offset),
        Channel(f"{name}_rounded", f"{words}, rounded to 8 bits", weights, offset, rounded=True),
    )


_STUDIO_709 = (_LUMA_709[0] * _STUDIO, _LUMA_709[1] * _STUDIO, _LUMA_709[2] * _STUDIO)
_ALL = (
    Channel("rgb", "RGB"),
    Channel("gray", "gray pictures only: their one channel"),
    *_lumas("y", "Y of BT.601 at 16-235", LUMA_STUDIO, 16.0),
    *_lumas("y_full", "Y of BT.601 at full range (YIQ)", LUMA_FULL, 0.0),
    *_lumas("y709", "Y of BT.709 at 16-235", _STUDIO_709, 16.0),
    *_lumas("y709_full", "Y of BT.709 at full range", _LUMA_709, 0.0),
)
CHANNELS: Mapping[str, Channel] = MappingProxyType({row.name: row for row in _ALL})


def channel_named(name: str) -> Channel:
    """Return a channel; UsageError names the nearest one when there is none."""
    if name not in CHANNELS:
        raise unknown("channel", name, CHANNELS)
    return CHANNELS[name]
