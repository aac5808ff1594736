"""All maps of one picture, by name, with the scale each is painted at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from e2r_baselines.consistency import consistency, has_model
from e2r_baselines.tasks import Task
from e2r_bench.maps.bands import Map, band_split
from e2r_bench.maps.colour import ciede2000, signed_error
from e2r_bench.maps.paint import Scale
from e2r_bench.maps.registration import displacement, inside, moved_truth, register
from e2r_bench.maps.spread import MIN_SAMPLES, hallucination, seed_deviation
from e2r_metrics.base.errors import PictureError, unknown
from e2r_metrics.base.pictures import EightBit

VERSION = "1"
"""Raised whenever a map below changes what a number means."""

SpatialLpips = Callable[[EightBit, EightBit], Map]

SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "signed_error": Scale("restored - clean, luma", "levels", -64, 64),
        "ciede2000": Scale("CIEDE2000", "", 0, 20),
        "ssim_luminance": Scale("1 - SSIM luminance", "", 0, 1),
        "ssim_contrast": Scale("1 - SSIM contrast", "", 0, 1),
        "ssim_structure": Scale("1 - SSIM structure", "", 0, 1),
        "lpips": Scale("LPIPS alex, spatial", "", 0, 1),
        "unfaithful": Scale("unfaithful", "levels", 0, 32),
        "lost": Scale("lost", "levels", 0, 32),
        "invented": Scale("invented", "levels", 0, 32),
        "noise": Scale("white leftover noise, luma", "levels", 0, 32),
        "lost_aligned": Scale("lost, truth moved in place", "levels", 0, 32),
        "invented_aligned": Scale("invented, truth moved in place", "levels", 0, 32),
        "displacement": Scale("displacement left, local", "pixels", 0, 3),
        "inconsistency": Scale("residual vs noise", "chi2 / dof", 0, 16),
        "unexplained": Scale("unexplained by model", "levels", 0, 32),
        "seed_deviation": Scale("deviation over seeds", "levels", 0, 16),
        "hallucination": Scale("Hellinger to truth", "", 0, 1),
        "trusted": Scale("trusted", "", 0, 1),
    }
)


@dataclass(frozen=True)
class Sample:
    """What the maps of one picture are made from.

    Attributes:
        task: names the degradation.
        restored, degraded: (H, W, 3) uint8 RGB.
        clean: the same, None where there is no truth.
        seeds: the outputs of all seeds for this input, the shown one included.
        truncate: the protocol truncated noisy inputs to 8 bits.
    """

    task: Task
    restored: EightBit
    clean: EightBit | None
    degraded: EightBit
    seeds: Sequence[EightBit] = ()
    truncate: bool = False


@dataclass(frozen=True)
class Maps:
    """Maps by name, and image-level scores by name; units are in `SCALES` and the docstrings."""

    values: Mapping[str, Map]
    scores: Mapping[str, float]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Map -> why this picture has none."""


def with_truth(restored: EightBit, clean: EightBit) -> Maps:
    """Return every map that compares with the truth and needs no weights."""
    from e2r_metrics.ssim import ssim_parts

    bands = band_split(restored, clean)
    difference = ciede2000(restored, clean)
    values: dict[str, Map] = {
        "signed_error": signed_error(restored, clean),
        "ciede2000": difference,
        "unfaithful": bands.unfaithful,
        "lost": bands.lost,
        "invented": bands.invented,
        "noise": bands.noise,
    }
    for name, part in ssim_parts(restored, clean)._asdict().items():
        values[f"ssim_{name}"] = 1 - part.mean(axis=2, dtype=np.float32)
    return Maps(values, {"ciede2000": _mean(difference), **bands.scores()})


def after_alignment(restored: EightBit, clean: EightBit) -> Maps:
    """Return how the output lies on its truth, and what is lost and invented once they register.

    Scores: the motion (`Registration.scores`), RMS displacement that is left where there is texture
    enough to tell, and PSNR (dB, RGB) and the shares of `Bands` with the truth moved in place;
    where nothing moved those are the ones of before. Maps are 0 where the moved truth does not
    reach; `lost_aligned` and `invented_aligned` are there only where something moved.
    """
    from e2r_metrics.psnr import psnr

    motion = register(restored, clean)
    rows, columns = inside(restored.shape, motion)
    out, truth = restored[rows, columns], moved_truth(clean, motion)[rows, columns]
    bands, far = band_split(out, truth), displacement(out, truth)
    shares = {f"{k}_aligned": v for k, v in bands.scores().items() if k.endswith("_share")}
    scores = {**motion.scores(), **shares, "psnr_aligned": psnr(out, truth)}
    if np.isfinite(far).any():
        scores["displacement"] = float(np.sqrt(np.nanmean(np.square(far, dtype=np.float64))))
    values = {"displacement": np.nan_to_num(far)}
    if motion.moved:
        values |= {"lost_aligned": bands.lost, "invented_aligned": bands.invented}
    return Maps({name: _placed(v, restored, (rows, columns)) for name, v in values.items()}, scores)


def _placed(values: Map, whole: EightBit, window: tuple[slice, slice]) -> Map:
    placed = np.zeros(whole.shape[:2], np.float32)
    placed[window] = values
    return placed


def all_maps(sample: Sample, lpips: SpatialLpips | None = None) -> Maps:
    """Return every map that the sample allows.

    `lpips` is left out where there are no weights; without a truth, whatever compares with it is.
    """
    against = Maps({}, {}) if sample.clean is None else _against(sample, sample.clean, lpips)
    blind = without_truth(sample)
    values, scores = {**against.values, **blind.values}, {**against.scores, **blind.scores}
    if len(sample.seeds) >= MIN_SAMPLES and sample.clean is not None:
        index = hallucination(sample.seeds, sample.clean)
        values["hallucination"] = index.values
        scores |= {"hallucination_index": index.index, "hallucination_floor": index.floor}
    return Maps(values, scores, against.left_out)


def _against(sample: Sample, clean: EightBit, lpips: SpatialLpips | None) -> Maps:
    found, placed = with_truth(sample.restored, clean), after_alignment(sample.restored, clean)
    values = {**found.values, **placed.values}
    scores = {**found.scores, **placed.scores}
    left_out: dict[str, str] = {}
    if lpips is not None:
        try:
            values["lpips"] = lpips(sample.restored, clean)
            scores["lpips_spatial"] = _mean(values["lpips"])
        except PictureError as error:
            left_out["lpips"] = str(error)
    return Maps(values, scores, left_out)


def without_truth(sample: Sample) -> Maps:
    """Return the maps that need no truth: of a degradation with a model, and of several seeds."""
    values: dict[str, Map] = {}
    scores: dict[str, float] = {}
    if has_model(sample.task.kind):
        seen = consistency(sample.task, sample.restored, sample.degraded, sample.truncate)
        values["unexplained" if seen.unit == "levels" else "inconsistency"] = seen.values
        scores |= seen.scores
    if len(sample.seeds) > 1:
        values["seed_deviation"] = seed_deviation(sample.seeds)
        scores["seed_deviation"] = _mean(values["seed_deviation"])
    return Maps(values, scores)


def check_names(names: Sequence[str]) -> None:
    """Raise `UsageError`, naming the nearest, for a name that is no map."""
    for name in names:
        if name not in SCALES:
            raise unknown("map", name, SCALES)


def _mean(values: Map) -> float:
    return float(values.mean(dtype=np.float64))
