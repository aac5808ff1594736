"""`e2r_bench.maps`: where a picture lost, invented or shifted something."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_baselines.tasks import TASKS, Task
from e2r_bench.api.checks import checked
from e2r_bench.api.pictures import Picture, eight_bits_of
from e2r_bench.api.session import open_session
from e2r_bench.maps.bands import Map
from e2r_bench.maps.compute import (
    SCALES,
    VERSION,
    Sample,
    SpatialLpips,
    all_maps,
    check_names,
)
from e2r_bench.maps.paint import overlay, paint
from e2r_bench.report.labels import number
from e2r_bench.versions import package_versions
from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.pictures import AS_STORED, EightBit, Reading

if TYPE_CHECKING:
    from e2r_metrics import Session

_WEIGHTS = ("alexnet-imagenet", "lpips-heads-alex")
_OVERLAID = ("invented", "lost")


@dataclass(frozen=True)
class PictureMaps:
    """The maps of one picture; a notebook shows them, invented and lost detail over the picture.

    Attributes:
        values: name -> (H, W) float32; `e2r_bench.maps.compute.SCALES` has units and scales.
        scores: numbers of the whole picture.
        left_out: map -> why this picture has none.
        restored, clean: (H, W, 3) uint8 RGB.
        weights: weight file -> sha256; empty without `lpips`.
        versions: package -> version.
    """

    values: Mapping[str, Map]
    scores: Mapping[str, float]
    left_out: Mapping[str, str]
    restored: EightBit
    clean: EightBit
    weights: Mapping[str, str]
    versions: Mapping[str, str]

    def painted(self, name: str) -> EightBit:
        """Return a map as (H + scale, W, 3) uint8 RGB with its scale below.

        Raises:
            UsageError: a map that there is not.
        """
        if name not in self.values:
            raise unknown("map of this picture", name, self.values)
        return paint(self.values[name], SCALES[name])

    def _repr_html_(self) -> str:
        from e2r_bench.api import html

        tiles = [html.tile("restored", self.restored), html.tile("clean", self.clean)]
        tiles += [
            html.tile(f"{name}, over the picture", self._laid(name))
            for name in _OVERLAID
            if name in self.values
        ]
        tiles += [html.tile(name, self.painted(name)) for name in self.values]
        rows = [(name, number(value)) for name, value in self.scores.items()]
        said = [f"{name}: not mapped: {why}" for name, why in self.left_out.items()]
        return html.joined((
            *tiles,
            html.table((f"score (maps v{VERSION}, n = 1 picture)", "value"), rows),
            html.lines(said),
            html.stands_on(self.weights, self.versions),
        ))  # fmt: skip

    def _laid(self, name: str) -> EightBit:
        return overlay(self.values[name], SCALES[name], self.restored)


@checked
def maps(
    restored: Picture,
    clean: Picture,
    *,
    degraded: "Picture | None" = None,
    task: str | None = None,
    seeds: Sequence[Picture] = (),
    names: Sequence[str] = (),
    lpips: bool = False,
    reading: Reading = AS_STORED,
    session: "Session | None" = None,
) -> PictureMaps:
    """Map one picture against its truth: error, lost, invented and misplaced detail.

    Args:
        restored, clean: one picture each: a file, a NumPy array (H, W, 3), a torch tensor
            (3, H, W) or a PIL image, see `e2r_bench.api.pictures`. Maps look at 8 bits: floats in
            [0, 1] and deeper files are rounded.
        degraded: what was restored; with `task` it maps what the degradation does not explain.
        task: the degradation, such as "denoise25".
        seeds: outputs of other seeds, for the maps of their spread.
        names: only these maps; empty for all.
        lpips: spatial LPIPS too, which needs weights.
        reading: how files become pixels where they alone do not say.
        session: where the weights of `lpips` are looked for; None opens one.

    Raises:
        UsageError: an unknown map or task, what is no picture, or weights that are missing.
        PictureError: unequal or too small pictures.

    Example:
        >>> import numpy as np, e2r_bench
        >>> clean = np.random.default_rng(0).integers(100, 140, (64, 64, 3)).astype(np.uint8)
        >>> restored = clean.copy()
        >>> restored[16:32, 16:32] = np.where(np.arange(16)[:, None] % 4 < 2, 40, 220)[..., None]
        >>> invented = e2r_bench.maps(restored, clean).values["invented"]
        >>> bool(invented[16:32, 16:32].mean() > 30), bool(invented[48:].mean() < 1)
        (True, True)

        With weights: `lpips=True`.
    """
    check_names(names)
    truth = eight_bits_of(clean, "clean", reading)
    sample = _sample(restored, truth, degraded, task, seeds, reading)
    spatial, weights = _needed(session or open_session()) if lpips else (None, {})
    found = all_maps(sample, spatial)
    kept = {k: v for k, v in found.values.items() if not names or k in names}
    shown = sample.restored, truth
    return PictureMaps(kept, found.scores, found.left_out, *shown, weights, package_versions())


def _sample(
    restored: Picture,
    truth: EightBit,
    degraded: "Picture | None",
    task: str | None,
    seeds: Sequence[Picture],
    reading: Reading,
) -> Sample:
    if (degraded is None) != (task is None):
        raise UsageError("maps: expected degraded and task together, found one of them")
    if task is not None and task not in TASKS:
        raise unknown("task", task, TASKS)
    out = eight_bits_of(restored, "restored", reading)
    given = truth if degraded is None else eight_bits_of(degraded, "degraded", reading)
    others = [eight_bits_of(one, f"seed {k}", reading) for k, one in enumerate(seeds, 1)]
    # Of no task no model of its degradation is known, and the input is not looked at.
    row = TASKS[task] if task is not None else Task("", "", "")
    return Sample(row, out, truth, given, [out, *others])


def _needed(session: "Session") -> tuple[SpatialLpips, dict[str, str]]:
    found = spatial_lpips(session)
    if isinstance(found, str):
        raise UsageError(found)
    return found, {name: session.weights.hashes(name) for name in _WEIGHTS}


def spatial_lpips(session: "Session") -> SpatialLpips | str:
    """Return the spatial metric, or why it cannot be had."""
    from e2r_metrics import Found

    files: dict[str, Path] = {}
    for name, got in [(name, session.weights.find(name)) for name in _WEIGHTS]:
        if not isinstance(got, Found):
            return f"lpips map: not measured, {got.reason}; to fetch: {got.command}"
        files[name] = got.path
    from e2r_bench.maps.lpips import open_spatial

    return open_spatial(files)
