"""Degradations by name, whose parameters are ranges: what tasks that are data are made from.

The ranges are those of MiO100 (Zhu et al., AgenticIR, ICLR 2025) where it has the degradation. What
they are applied with is our own: published codes differ in their borders and kernels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from e2r_baselines.degrade import Depth, Pixels

Drawn = Mapping[str, float]
Range = tuple[float, float]
Apply = Callable[[Pixels, Depth, Drawn, np.random.Generator], Pixels]
"""From (picture, relative depth, parameters drawn for it, generator) to the degraded picture."""


@dataclass(frozen=True)
class Degrading:
    """A degradation by name.

    Attributes:
        apply: a module-level function.
        ranges: parameter -> the range that it is drawn from, uniformly, once a picture.
    """

    apply: Apply
    ranges: Mapping[str, Range]


def _noise(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """White Gaussian noise; sigma in 8-bit units."""
    del depth
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    return (x + noise * (p["sigma"] / 255)).astype(np.float32)


def _poisson(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """Shot noise of 255 electrons at white, times a scale: its variance grows with brightness."""
    del depth
    mean = np.clip(x, 0, 1) * 255
    noise = (rng.poisson(mean) - mean) / 255
    return (x + p["scale"] * noise).astype(np.float32)


def _colour(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """Contrast about the picture's mean, then brightness; both as shares, 0 for none."""
    del depth, rng
    mean = x.mean(dtype=np.float64)
    return ((1 + p["brightness"]) * (mean + (1 + p["contrast"]) * (x - mean))).astype(np.float32)


def _jpeg(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """OpenCV's JPEG codec at a quality."""
    del depth, rng
    return coded(x, round(p["quality"]))


def coded(x: Pixels, quality_factor: int) -> Pixels:
    """Round to 8 bits, write and read with OpenCV's JPEG codec at a quality of 1 to 100."""
    import cv2

    eight_bit = np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)[..., ::-1]
    quality = [cv2.IMWRITE_JPEG_QUALITY, quality_factor]
    decoded = cv2.imdecode(cv2.imencode(".jpg", eight_bit, quality)[1], cv2.IMREAD_COLOR)
    if decoded is None:
        raise RuntimeError("OpenCV could not decode its own JPEG")
    return (decoded[..., ::-1] / 255).astype(np.float32)


def _dark(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """Brightness (HSV's V) to the power 1 / gamma; hue and saturation stay."""
    del depth, rng
    value = np.clip(x, 0, 1).max(axis=2, keepdims=True)
    darker = value ** np.float32(1 / p["gamma"])
    return (np.clip(x, 0, 1) * darker / np.maximum(value, 1e-6)).astype(np.float32)


def _haze(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """Atmospheric scattering with t = exp(-beta d); d is relative depth."""
    del rng
    t = np.exp(-np.float32(p["beta"]) * depth)[..., None]
    return (x * t + np.float32(p["airlight"]) * (1 - t)).astype(np.float32)


def _motion_blur(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """A line of 2 radius + 1 pixels at an angle in degrees, weighed by a Gaussian of sigma."""
    del depth, rng
    reach = np.arange(-round(p["radius"]), round(p["radius"]) + 1)
    weights = np.exp(-0.5 * (reach / p["sigma"]) ** 2)
    side = 2 * round(p["radius"]) + 3
    kernel = np.zeros((side, side))
    angle = np.deg2rad(p["angle"])
    for step, weight in zip(reach, weights, strict=True):
        _splat(kernel, step * np.sin(angle), step * np.cos(angle), weight)
    return filtered(x, kernel)


def _splat(kernel: npt.NDArray[np.float64], row: float, column: float, weight: float) -> None:
    """Add a weight between the four pixels around a place, counted from the centre."""
    middle = kernel.shape[0] // 2
    top, left = int(np.floor(row)), int(np.floor(column))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (1 - abs(row - top - i)) * (1 - abs(column - left - j))
        kernel[middle + top + i, middle + left + j] += weight * share


def _defocus(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """A disk of radius pixels, its edge softened by a Gaussian of half a pixel."""
    del depth, rng
    import cv2

    reach = int(np.ceil(p["radius"])) + 2
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disk = (rows**2 + columns**2 <= p["radius"] ** 2).astype(np.float64)
    return filtered(x, np.asarray(cv2.GaussianBlur(disk, (3, 3), 0.5), np.float64))


def _blur(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """A Gaussian of sigma pixels."""
    del depth, rng
    reach = np.arange(-int(np.ceil(4 * p["sigma"])), int(np.ceil(4 * p["sigma"])) + 1)
    weights = np.exp(-0.5 * (reach / p["sigma"]) ** 2)
    return filtered(x, np.outer(weights, weights))


def filtered(x: Pixels, kernel: npt.NDArray[np.float64]) -> Pixels:
    """Correlate with a kernel of sum 1 (else it is scaled to it); the picture is mirrored."""
    import cv2

    weights = (kernel / kernel.sum()).astype(np.float32)
    done = cv2.filter2D(x, cv2.CV_32F, weights, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(done, np.float32)


def _low_resolution(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """To a share of its size and back to it, both by Pillow's bicubic (a = -0.5, antialiased)."""
    del depth, rng
    height, width = x.shape[:2]
    scale = round(p["scale"])
    small = _resized(x, max(1, height // scale), max(1, width // scale))
    return _resized(np.clip(small, 0, 1), height, width)


def _resized(x: Pixels, height: int, width: int) -> Pixels:
    from PIL import Image

    planes = [
        Image.fromarray(np.ascontiguousarray(x[..., c])).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for c in range(3)
    ]
    return np.stack([np.asarray(plane, np.float32) for plane in planes], axis=-1)


def _rain(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """Streaks of a length, slant in degrees and width, from `density` of 25,600 pixels; added."""
    del depth
    import cv2

    drops = (rng.random(x.shape[:2]) < p["density"] / 25_600).astype(np.float32)
    side = 2 * (int(p["length"]) // 2) + 3
    line = np.zeros((side, side))
    slant = np.deg2rad(p["slant"])
    for step in np.linspace(-p["length"] / 2, p["length"] / 2, 2 * side):
        _splat(line, step * np.cos(slant), step * np.sin(slant), 0.5)
    soft = cv2.GaussianBlur(np.minimum(line, 1), (0, 0), p["width"] / 3)
    streaks = cv2.filter2D(drops, cv2.CV_32F, soft.astype(np.float32) / float(soft.max()))
    return (x + 0.6 * np.minimum(streaks, 1)[..., None]).astype(np.float32)


def _snow(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """Round flakes, of `density` of 10,000 pixels, up to `size` pixels wide, over the picture."""
    del depth
    import cv2

    cover = np.zeros(x.shape[:2], np.float32)
    for size in np.linspace(1, p["size"], 3):
        seeds = (rng.random(x.shape[:2]) < p["density"] / 30_000).astype(np.float32)
        flakes = cv2.GaussianBlur(seeds, (0, 0), size / 2)
        cover = np.maximum(cover, np.minimum(np.asarray(flakes) * float(size) ** 2, 1))
    return (x * (1 - 0.8 * cover[..., None]) + 0.8 * cover[..., None]).astype(np.float32)


def _moire(x: Pixels, depth: Depth, p: Drawn, rng: np.random.Generator) -> Pixels:
    """Coloured waves of a period in pixels: the beat of two gratings; multiplied."""
    del depth
    rows, columns = np.mgrid[: x.shape[0], : x.shape[1]].astype(np.float32)
    waves = [
        np.sin(2 * np.pi / p["period"] * (np.cos(a) * rows + np.sin(a) * columns) + shift)
        for a, shift in zip(rng.uniform(0, np.pi, 3), rng.uniform(0, 2 * np.pi, 3), strict=True)
    ]
    return (x * (1 + np.float32(p["strength"]) * np.stack(waves, -1))).astype(np.float32)


DEGRADATIONS: Mapping[str, Degrading] = MappingProxyType(
    {
        "noise": Degrading(_noise, {"sigma": (20, 50)}),
        "poisson": Degrading(_poisson, {"scale": (1, 5)}),
        "colour": Degrading(_colour, {"brightness": (-0.2, 0.2), "contrast": (-0.2, 0.2)}),
        "jpeg": Degrading(_jpeg, {"quality": (10, 29)}),
        "dark": Degrading(_dark, {"gamma": (0.5, 0.7)}),
        "haze": Degrading(_haze, {"airlight": (0.7, 1), "beta": (0.6, 1.8)}),
        "motion_blur": Degrading(
            _motion_blur, {"radius": (10, 15), "sigma": (3, 8), "angle": (-90, 90)}
        ),
        "defocus": Degrading(_defocus, {"radius": (3, 6)}),
        "blur": Degrading(_blur, {"sigma": (1, 3)}),
        "low_resolution": Degrading(_low_resolution, {"scale": (4, 4)}),
        "rain": Degrading(
            _rain, {"density": (50, 99), "length": (20, 39), "slant": (-30, 30), "width": (3, 3)}
        ),
        "snow": Degrading(_snow, {"density": (20, 60), "size": (3, 9)}),
        "moire": Degrading(_moire, {"period": (6, 24), "strength": (0.05, 0.2)}),
    }
)
"""By name; MiO100's are noise, jpeg, dark, haze, motion_blur, defocus, low_resolution and rain."""
