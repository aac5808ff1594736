"""Evaluation protocols by name: how papers crop, draw noise, round and score.

A number is comparable only under one of these; two are never put into one column. Sources: the
evaluation code of the projects named in `source`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from e2r_metrics.base.errors import UsageError, repeated, unknown
from e2r_metrics.base.pictures import AS_STORED, Reading
from e2r_metrics.view import WHOLE, View, parse_crop

if TYPE_CHECKING:
    from e2r_bench.run.config import Experiment
    from e2r_metrics.catalog import Metric

Variants = Mapping[str, str]


@dataclass(frozen=True)
class Protocol:
    """One named protocol.

    Attributes:
        name: as on the command line and in every row.
        source: whose evaluation code it follows.
        crop: "none", or "centre-x16": centre crop of both images to multiples of 16.
        cut: a crop that was asked for instead: squares, or other multiples; and how many pixels of
            each border no metric looks at.
        shaved: whether that border was asked for; else it is the task's.
        reading: how the files of pictures are read; no part of it is a protocol's own.
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
    cut: View = WHOLE
    shaved: bool = False
    reading: Reading = AS_STORED
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
        parts = [f"crop={self._crop()}", f"noise={self.noise}", f"rounding={self.rounding}"]
        parts += [f"shave={self.cut.shave}"] if self.shaved else []
        white, ground = self.reading.value_range, self.reading.flatten
        parts += [] if white is None else [f"range={white:g}"]
        parts += [] if ground is None else ["flatten=#{:02x}{:02x}{:02x}".format(*ground)]
        return f"{self.name}({','.join(parts)})"

    def _crop(self) -> str:
        if self.cut.side is not None:
            return f"centre-{self.cut.side}"
        return f"centre-x{self.cut.crop}" if self.cut.crop > 1 else self.crop

    @property
    def view(self) -> View:
        """Return what stays of a picture before it is degraded or restored."""
        if self.cut.side is None and self.cut.crop == 1 and self.crop == "centre-x16":
            return View(crop=16)
        return View(crop=self.cut.crop, side=self.cut.side)

    def cropped(self, crop: int | str | None) -> "Protocol":
        """Return the protocol on other crops: squares of N pixels, or "xN"; None changes nothing.

        Raises:
            UsageError: neither; or the protocol crops to multiples of 16, and `crop` does not.
        """
        if crop is None:
            return self
        side, multiple = parse_crop(crop)
        if self.crop == "centre-x16" and (multiple if side is None else side) % 16:
            raise UsageError(
                f"--crop: expected a multiple of 16 under protocol {self.name!r}, found {crop}"
            )
        return replace(self, cut=replace(self.cut, side=side, crop=multiple))

    def without_border(self, shave: int | None) -> "Protocol":
        """Return the protocol with a border that no metric looks at; None leaves the task's."""
        if shave is None:
            return self
        return replace(self, cut=replace(self.cut, shave=shave), shaved=True)

    def border(self, shave: int) -> int:
        """Return how many pixels of each border are not scored, where a task says `shave`."""
        return self.cut.shave if self.shaved else shave


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


def check_variants(rows: "Sequence[Metric]") -> None:
    """Refuse two variants of a metric in one run: its tables and verdicts go by bare names.

    Raises:
        UsageError: which, and what to do.
    """
    if twice := repeated(row.name for row in rows):
        mine = " and ".join(row.id for row in rows if row.name == twice)
        raise UsageError(
            f"--metrics: expected one variant of {twice} in a run, found {mine}; leave one out, or "
            "run it into another folder (--out)"
        )


def protocol_of(experiment: "Experiment") -> Protocol:
    """Return an experiment's protocol, with the parts that it sets itself.

    Raises:
        UsageError: an unknown protocol, a crop or colour that is none.
    """
    named = protocol_named(experiment.protocol).cropped(experiment.crop)
    return replace(named.without_border(experiment.shave), reading=experiment.reading())


def protocol_named(name: str) -> Protocol:
    """Return a protocol; UsageError names the nearest one when there is none."""
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    return PROTOCOLS[name]
