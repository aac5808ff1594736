"""The watched numbers: inputs made from seeds, and the catalog's functions on them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from e2r_metrics.catalog import CATALOG, Metric, composites
from e2r_metrics.composites import measured
from e2r_metrics.drift import Golden, Precision
from e2r_metrics.frechet import frechet_distance
from e2r_metrics.images import Image, PerImage
from e2r_metrics.kid import kid
from e2r_metrics.mmd import cmmd_both
from e2r_metrics.patches import crops
from e2r_metrics.prdc import KINDS, prdc
from e2r_metrics.rows.types import Composite
from e2r_metrics.session import metric_module

_SEED = 20240607
_SINGLE = ("ssim:gauss", "ssim:uniform7", "ciede2000:mean", "niqe:matlab", "niqe:basicsr")
"""In float32 from 8 bits, or through a pseudo-inverse, which keeps as few digits."""


def precision_of(metric: Metric) -> Precision:
    """Return the precision that decides how far a number of a metric may move between machines."""
    if not metric.per_image:
        return "features"
    if metric.weights:
        return "network"
    return "float32" if metric.id in _SINGLE else "float64"


def synthetic_pair(height: int = 200, width: int = 184) -> tuple[npt.NDArray, npt.NDArray]:
    """Return a picture and a worse one, (H, W, 3) uint8 each, from a seed.

    Ramps, a grid, discs and noise give every window something else to look at.
    """
    rng = np.random.Generator(np.random.PCG64(_SEED))
    y, x = np.mgrid[:height, :width]
    channels = [
        x * 255.0 / width,
        128 + 100 * np.sign(np.sin(x / 5.0) * np.sin(y / 7.0)),
        255.0 * ((x - width / 2) ** 2 + (y - height / 2) ** 2 < (width / 3) ** 2),
    ]
    clean = np.stack(channels, -1) * 0.8 + rng.normal(20, 4, (height, width, 3))
    worse = 0.9 * clean + 12 + rng.normal(0, 18, clean.shape)
    return _eight_bit(worse), _eight_bit(clean)


def synthetic_features(n: int, dimension: int, shift: float, seed: int) -> npt.NDArray[np.float64]:
    """Return (n, D) float64 features with correlated columns, from a seed."""
    rng = np.random.Generator(np.random.PCG64(_SEED + seed))
    mix = rng.normal(size=(dimension, dimension)) / np.sqrt(dimension)
    return np.abs(rng.normal(shift, 1, (n, dimension)) @ mix) + 0.1


def catalog_numbers() -> Iterator[Golden]:
    """Yield every number of the catalog that needs no weight file, on inputs made from seeds.

    Networks are watched through the code around their weights: resizes, LPIPS and DISTS heads on
    a fixed random backbone are covered by the tests, since pretrained files are not everywhere.
    """
    yield from image_numbers()
    yield from composite_numbers()
    yield from feature_numbers()
    yield from resize_numbers()


def image_numbers() -> Iterator[Golden]:
    """Yield the per-image metrics that need no weights, from 8 bits and from float64."""
    small = synthetic_pair()
    for metric in CATALOG.values():
        if metric.per_image and not metric.weights:
            # Only above 383 pixels does the pooled variant pool.
            worse, clean = synthetic_pair(390, 401) if metric.variant == "pooled" else small
            floats = [worse / 255.0], [clean / 255.0]
            measure = metric_module(metric).open_metric(metric.variant, {}, "cpu")
            dtype: Literal["float64", "float32"] = "float32" if metric.id in _SINGLE else "float64"
            yield Golden(f"{metric.id} uint8", float(measure([worse], [clean])[0]), dtype)
            yield Golden(f"{metric.id} float64", float(measure(*floats)[0]), "float64")
            yield Golden(f"{metric.id} identical", float(measure([clean], [clean])[0]), dtype)


def composite_numbers() -> Iterator[Golden]:
    """Yield the formula of each composite on fixed values of its parts, small and large ones.

    Where no part needs weights, its value of a picture too.
    """
    worse, clean = synthetic_pair()
    for metric in composites():
        if metric.composite is None:
            continue
        for start in (0.4, 40.0):
            value = _of_fixed_parts(metric.composite, start)
            yield Golden(f"{metric.id} of parts from {start:g}", value, "float64")
        if all(term.row and not term.row.weights for term in metric.composite.terms):
            made = measured(metric.composite, _measured_part, [worse], [clean])
            yield Golden(f"{metric.id} uint8", float(made[0]), "float64")


def _of_fixed_parts(composite: Composite, start: float) -> float:
    values = iter(start + 0.1 * np.arange(len(composite.terms)))

    def given(*_: object) -> npt.NDArray[np.float64]:
        return np.array([next(values)])

    # Whose part nobody measures here has a formula all the same.
    stood = [replace(term, row=term.row or CATALOG["psnr:rgb"]) for term in composite.terms]
    blank = np.zeros((16, 16, 3), np.uint8)
    return float(measured(replace(composite, terms=tuple(stood)), given, [blank], [blank])[0])


def _measured_part(
    metric: Metric, restored: Sequence[Image], clean: Sequence[Image]
) -> npt.NDArray[np.float64]:
    measure: PerImage = metric_module(metric).open_metric(metric.variant, {}, "cpu")
    return measure(restored, clean)


def feature_numbers() -> Iterator[Golden]:
    """Yield the set metrics on features, on both sides of n = D, from both float types."""
    for n, m, dimension in ((20, 24, 48), (90, 70, 32)):
        X = synthetic_features(n, dimension, 0.4, 1)
        Y = synthetic_features(m, dimension, 0.5, 2)
        label = f"{n} and {m} of {dimension}"
        yield Golden(f"frechet {label}", frechet_distance(X, Y), "float64")
        yield Golden(f"kid {label}", kid(X, Y), "float64")
        both = cmmd_both(X, Y)
        yield Golden(f"mmd v {label}", both.v, "float64")
        yield Golden(f"mmd u {label}", both.u, "float64")
        for kind in KINDS:
            yield Golden(f"{kind} {label}", prdc(kind, X, Y), "float64")
        single = cmmd_both(X.astype(np.float32), Y.astype(np.float32))
        yield Golden(f"mmd v {label} float32", single.v, "float32")


def resize_numbers() -> Iterator[Golden]:
    """Yield the mean and the spread of every preprocessing's output, of crops before theirs."""
    from e2r_metrics import clip_features, dreamsim, hyperiqa, inception, likeness, musiq_input
    from e2r_metrics.catalog import EXTRACTORS
    from e2r_metrics.effnet import SIDE
    from e2r_metrics.resize import pillow_bicubic

    worse, _ = synthetic_pair()
    inputs = {
        name: inception.prepare(name, worse).numpy()
        for name, row in EXTRACTORS.items()
        if row.module == "inception" and row.patch is None
    }
    inputs["clip-vit-l-14-336"] = clip_features.prepare(worse).numpy()
    for name in ("b32", "s16"):
        pixels = likeness.prepare(worse, likeness.VARIANTS[name].shorter).numpy()
        inputs[likeness.VARIANTS[name].weights] = pixels
    inputs["dreamsim"] = dreamsim.prepare(worse).numpy()
    inputs["hyperiqa"] = hyperiqa.crops(worse, "seeded25").numpy()
    inputs["musiq"] = musiq_input.prepare(worse).pixels.numpy()
    inputs["effnet-lite0"] = pillow_bicubic(worse, SIDE) / np.float32(127.5) - 1
    for name, row in EXTRACTORS.items():
        if row.patch is not None:
            larger, _ = synthetic_pair(3 * row.patch, 2 * row.patch + 9)
            inputs[name] = np.stack(crops(larger, row.patch))
    for name, pixels in inputs.items():
        yield Golden(f"{name} input mean", float(pixels.mean(dtype=np.float64)), "float32")
        yield Golden(f"{name} input spread", float(pixels.std(dtype=np.float64)), "float32")


def _eight_bit(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
