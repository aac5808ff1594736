"""The protocols that are tried, and how usual each of their choices is in published code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

from e2r_metrics.base.orders import Order
from e2r_metrics.parts import Pooling
from e2r_metrics.variants import ssim_name
from e2r_metrics.view import Depth, View

# How odd a choice is: 0 is what most evaluation scripts do, 2 what some do, 4 what hardly any do.
# The sum over all choices decides the order of protocols that give the same digits, and nothing
# else. No choice is a 1: one that hardly any makes is as odd as two that some make, not as four.
CHANNEL: Mapping[str, int] = MappingProxyType(
    {
        "rgb": 0, "y": 0, "y_rounded": 2, "y_full": 2, "y_full_rounded": 2,
        "y709_full": 3, "y709": 4, "y709_rounded": 4, "y709_full_rounded": 4,
    }
)  # fmt: skip
KIND: Mapping[str, int] = MappingProxyType(
    {
        "gauss": 0, "uniform7": 0, "padded": 2, "gauss_sample": 2, "pooled": 2,
        "uniform7_population": 3,
    }
)  # fmt: skip
SHAVE: Mapping[int, int] = MappingProxyType({0: 0, 4: 2, 2: 2, 3: 2, 8: 2, 1: 3, 6: 3, 5: 4, 7: 4})
CROP: Mapping[int, int] = MappingProxyType({1: 0, 16: 2, 8: 2, 4: 2, 32: 3, 64: 3})
POOLING: Mapping[Pooling, int] = MappingProxyType({"images": 0, "error": 2})
DEPTH: Mapping[Depth, int] = MappingProxyType({"stored": 0, "round": 0, "truncate": 2})
ORDER: Mapping[Order, int] = MappingProxyType(
    {"name": 0, "sorted": 3, "numeric": 3, "sorted-numeric": 3, "numeric-sorted": 3}
)
NETWORK: Mapping[str, int] = MappingProxyType({"alex": 0, "vgg": 2, "squeeze": 4})
SLIP: Mapping[str, int] = MappingProxyType(
    {"": 0, "[0, 1] fed where [-1, 1] is meant": 2, "BGR fed where RGB is meant": 3}
)
"""What is fed to a network by mistake; no command of ours makes these."""
MIXED = 4
"""What two channels in one protocol add, such as PSNR on Y and SSIM on RGB."""
WHOLE_KINDS = ("pooled", "padded")
"""Kinds of SSIM that depend on where a picture ends; they are tried without shaving only."""


@dataclass(frozen=True)
class Setting:
    """What all metrics of one protocol share: which pixels of which pairs."""

    view: View
    order: Order = "name"

    @property
    def odd(self) -> int:
        """Return how odd it is."""
        view = self.view
        return SHAVE[view.shave] + CROP[view.crop] + DEPTH[view.depth] + ORDER[self.order]


class Choice(NamedTuple):
    """One metric under one protocol, and the number that it gives.

    Attributes:
        metric: an id of the catalog, such as "ssim:uniform7-y".
        channel: its channel; "" where it has no choice of one.
        pooling: how pictures become one number.
        odd: how odd its pooling, its window or its network is, without channel and setting.
        value: the number.
        slip: a mistake in what a network is fed; "" for none.
    """

    metric: str
    channel: str
    pooling: Pooling
    odd: int
    value: float
    slip: str = ""


def views(depths: Sequence[Depth]) -> list[View]:
    """Return every view that is tried, the usual ones first."""
    found = [View(shave, crop, depth) for depth, crop, shave in product(depths, CROP, SHAVE)]
    return sorted(found, key=lambda view: Setting(view).odd)


def kinds_of(view: View) -> Iterator[str]:
    """Yield the kinds of SSIM that are tried on a view."""
    for kind in KIND:
        if view.shave == 0 or kind not in WHOLE_KINDS:
            yield kind


def psnr_choice(channel: str, pooling: Pooling, value: float) -> Choice:
    """Return PSNR on a channel with its number."""
    return Choice(f"psnr:{channel}", channel, pooling, POOLING[pooling], value)


def ssim_choice(kind: str, channel: str, value: float) -> Choice:
    """Return a kind of SSIM on a channel with its number."""
    return Choice(f"ssim:{ssim_name(kind, channel)}", channel, "images", KIND[kind], value)


def network_choice(network: str, slip: str, value: float) -> Choice:
    """Return LPIPS of a network with its number."""
    return Choice(f"lpips:{network}", "", "images", NETWORK[network] + SLIP[slip], value, slip)
