"""Evaluation protocols by name: how papers crop, draw noise, round and score.

A number is comparable only under one of these; two are never put into one column. Sources: the
evaluation code of the projects named in `source`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from e2r_metrics.base.errors import UsageError, unknown

Variants = Mapping[str, str]


@dataclass(frozen=True)
class Protocol:
    """One named protocol.

    Attributes:
        name: as on the command line and in every row.
        source: whose evaluation code it follows.
        crop: "none", or "centre-x16": centre crop of both images to multiples of 16.
        side: centre crop of both images to squares of so many pixels, before `crop`; None for none.
        noise: where Gaussian noise comes from. "per-image": a generator named by (noise seed, image
            id, sigma). "stream": one legacy NumPy stream, seed 0, over the sorted images at sigma
            15, then 25, then 50 (the original follows the directory's order, which no one can
            repeat). "reseeded": legacy seed 0 before each image. "files": the degraded files.
        rounding: "round" clips and rounds to 8 bits; "truncate" clips and truncates; "unclipped"
            hands float noise to the method as it is (the 8-bit copy on disk is clipped).
        denoise, derain, dehaze: metric variants for that kind of task, beyond the profile's.
    """

    name: str
    source: str
    crop: Literal["none", "centre-x16"] = "none"
    side: int | None = None
    noise: Literal["per-image", "stream", "reseeded", "files"] = "per-image"
    rounding: Literal["round", "truncate", "unclipped"] = "round"
    denoise: Variants = field(default_factory=dict[str, str])
    derain: Variants = field(default_factory=dict[str, str])
    dehaze: Variants = field(default_factory=dict[str, str])

    def variants(self, kind: str) -> Variants:
        """Return the metric variants this protocol prescribes for a kind of task."""
        chosen = {"denoise": self.denoise, "derain": self.derain, "dehaze": self.dehaze}
        return chosen.get(kind, {})

    def describe(self) -> str:
        """Return what travels with every number: the protocol in one string."""
        crop = self.crop if self.side is None else f"centre-{self.side}"
        return f"{self.name}(crop={crop},noise={self.noise},rounding={self.rounding})"

    def cropped(self, side: int | None) -> "Protocol":
        """Return the protocol on centre crops of `side` pixels; None changes nothing.

        Raises:
            UsageError: the protocol crops to multiples of 16, and `side` is none.
        """
        if side is not None and self.crop == "centre-x16" and side % 16:
            raise UsageError(
                f"--crop: expected a multiple of 16 under protocol {self.name!r}, found {side}"
            )
        return replace(self, side=side)


_UNIFORM: Variants = MappingProxyType({"psnr": "rgb", "ssim": "uniform7"})
_GAUSS: Variants = MappingProxyType({"psnr": "rgb", "ssim": "gauss"})
_Y: Variants = MappingProxyType({"psnr": "y", "ssim": "y"})
_POOLED: Variants = MappingProxyType({"psnr": "rgb", "ssim": "pooled"})

_ALL = (
    Protocol(name="e2r", source="this project: 8-bit inputs, noise named by image"),
    Protocol(
        name="airnet-promptir",
        source="AirNet (CVPR 2022) and PromptIR (NeurIPS 2023)",
        crop="centre-x16",
        noise="stream",
        rounding="truncate",
        denoise=_UNIFORM,
        derain=_UNIFORM,
        dehaze=_UNIFORM,
    ),
    Protocol(
        name="moce-ir",
        source="MoCE-IR (CVPR 2025)",
        crop="centre-x16",
        noise="stream",
        rounding="truncate",
        denoise=_GAUSS,
        derain=_GAUSS,
        dehaze=_GAUSS,
    ),
    Protocol(
        name="instructir",
        source="InstructIR (ECCV 2024); its noisy files are needed",
        crop="centre-x16",
        noise="files",
        denoise=_GAUSS,
        derain=_Y,
        dehaze=_GAUSS,
    ),
    Protocol(
        name="restormer",
        source="Restormer (CVPR 2022)",
        noise="reseeded",
        rounding="unclipped",
        denoise=_GAUSS,
        derain=_Y,
    ),
    Protocol(
        name="dehazeformer",
        source="DehazeFormer (TIP 2023)",
        dehaze=_POOLED,
    ),
)
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({row.name: row for row in _ALL})


def protocol_named(name: str) -> Protocol:
    """Return a protocol; UsageError names the nearest one when there is none."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
