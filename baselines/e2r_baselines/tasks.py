"""The restoration tasks: a row each, with its prompts and its degradation.

A task is added by one row, here or in anybody's own module (`degrade.task_table`). Source of the
prompts: Edit2Restore's paper (g1) and later repository (g2).
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import get_args

import numpy as np
import numpy.typing as npt

from e2r_baselines.degrade import (
    Depth,
    Kind,
    Pixels,
    Prompts,
    Task,
    task_row,
    task_table,
)


def gaussian_noise(clean: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Add white Gaussian noise of standard deviation `sigma` (8-bit units); unclipped."""
    noise = rng.standard_normal(clean.shape, dtype=np.float32)
    return (clean + noise * (sigma / 255)).astype(np.float32)


def _noise(task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    del depth
    if task.sigma is None:
        raise ValueError(f"task {task.name!r} adds noise but states no sigma")
    return gaussian_noise(clean, task.sigma, rng)


def rain_streaks(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Add one direction of blurred streaks, O = B + S, the model of Yang et al. (CVPR 2017).

    Density, length, slant and strength are drawn once per picture, so that the mean input PSNR
    stands near that of light-rain sets (about 25 dB).
    """
    import cv2

    height, width = clean.shape[:2]
    drops = (rng.random((height, width)) < rng.uniform(0.001, 0.004)).astype(np.float32)
    drops *= rng.uniform(0.5, 1.0, (height, width)).astype(np.float32)
    kernel = _streak(length=rng.uniform(11, 27), slant=rng.uniform(-35, 35))
    streaks = cv2.filter2D(drops, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
    strength = np.float32(rng.uniform(0.2, 0.5))
    return clean + strength * np.minimum(streaks, 1.0)[..., None]


def _streak(length: float, slant: float) -> npt.NDArray[np.float32]:
    """Return an anti-aliased line of `length` pixels, `slant` degrees off the vertical, peak 1."""
    import cv2

    side = int(np.ceil(length)) | 1
    half = (length - 1) / 2
    offset = half * np.array([np.sin(np.deg2rad(slant)), np.cos(np.deg2rad(slant))])
    ends = [tuple(int(v) for v in np.rint(16 * (side // 2 + s * offset))) for s in (-1, 1)]
    canvas = np.zeros((side, side), np.uint8)
    cv2.line(canvas, ends[0], ends[1], 255, 1, cv2.LINE_AA, shift=4)
    return (canvas / 255).astype(np.float32)


def _rain(task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    del task, depth
    return rain_streaks(clean, rng)


def haze(clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    """Apply atmospheric scattering, I = J t + A (1 - t) with t = exp(-beta d).

    beta is drawn in [0.4, 1.4] per unit of the relative depth, the airlight A in [0.75, 0.95] with
    a tint of at most 0.03. Source: Narasimhan and Nayar, IJCV 2002; RESIDE's notation.
    """
    beta = rng.uniform(0.4, 1.4)
    airlight = rng.uniform(0.75, 0.95) + rng.uniform(-0.03, 0.03, 3)
    transmission = np.exp(-np.float32(beta) * depth)[..., None]
    return (clean * transmission + airlight * (1 - transmission)).astype(np.float32)


def _haze(task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    del task
    return haze(clean, depth, rng)


def jpeg(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Compress and decompress with OpenCV's JPEG codec at a quality drawn in 10..40."""
    import cv2

    quality = int(rng.integers(10, 41))
    eight_bit = np.rint(np.clip(clean, 0, 1) * 255).astype(np.uint8)
    done, coded = cv2.imencode(".jpg", eight_bit[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a {clean.shape} picture as JPEG")
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise RuntimeError("OpenCV could not decode its own JPEG")
    return (decoded[..., ::-1] / 255).astype(np.float32)


def _jpeg(task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    del task, depth
    return jpeg(clean, rng)


def lowlight(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Darken by exposure and gamma, then add sensor-like noise (shot and read, Gaussian)."""
    dark = np.float32(rng.uniform(0.1, 0.3)) * clean ** np.float32(rng.uniform(1.0, 1.6))
    deviation = np.sqrt(0.0004 * np.clip(dark, 0, None) + 0.00002)
    return dark + deviation * rng.standard_normal(clean.shape, dtype=np.float32)


def _lowlight(task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    del task, depth
    return lowlight(clean, rng)


def _denoise(sigma: int) -> Task:
    return task_row(
        f"denoise{sigma}",
        "denoise",
        _noise,
        g1="remove the noise from the image",
        g2="Remove noise and grain, restore a clean and sharp image",
        sigma=sigma,
    )


_ALL = (
    _denoise(15),
    _denoise(25),
    _denoise(50),
    task_row(
        "derain",
        "derain",
        _rain,
        g1="remove the rain from the image",
        g2="Remove rain streaks and restore the clean image",
    ),
    task_row(
        "dehaze",
        "dehaze",
        _haze,
        g1="remove the haze from the image",
        g2="Remove haze and fog, restore clear visibility and natural colors",
    ),
    task_row(
        "dejpeg",
        "dejpeg",
        _jpeg,
        g2="Remove compression artifacts and restore the clean image",
    ),
    task_row(
        "lowlight",
        "lowlight",
        _lowlight,
        g2="Brighten this photo, recover shadow details, reduce noise, keep colors natural",
    ),
)


TASKS: Mapping[str, Task] = task_table(_ALL)
"""The tasks that come with this package, by name."""
KINDS: frozenset[Kind] = frozenset(task.kind for task in _ALL)
PROMPTS: Mapping[Prompts, Mapping[Kind, str]] = MappingProxyType(
    {
        generation: {t.kind: t.prompts[generation] for t in _ALL if generation in t.prompts}
        for generation in get_args(Prompts)
    }
)
"""The instruction for each kind, by generation."""


def with_prompts(task: Task, prompts: Prompts) -> Task:
    """Return `task` with the prompt of one generation; KeyError if that generation lacks it."""
    return replace(task, prompt=task.prompts[prompts])
