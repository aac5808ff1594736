"""Real-ESRGAN's second-order degradation, with the published settings of its x4 model.

Source: Wang et al., "Real-ESRGAN", ICCVW 2021, and the settings that its x4plus was trained with.
The low-resolution picture of a quarter of the size is brought back to the full one by bicubic
interpolation, as restorers at scale 1 are trained. Left out: sharpening of the source, and the pool
of pairs that mixes degradations in a batch, which one draw a sample makes needless. Resizing is
OpenCV's, JPEG its codec.
"""

from dataclasses import dataclass

import numpy as np

from e2r_baselines.blur_kernels import (
    Kernel,
    covariance,
    gaussian_kernel,
    plateau_kernel,
    sinc_kernel,
)
from e2r_baselines.degradations import coded, filtered
from e2r_baselines.degrade import Pixels
from e2r_baselines.resizing import resized, resized_at_random

SCALE = 4
_FORMS = ("iso", "aniso", "general iso", "general aniso", "plateau iso", "plateau aniso")
_FORM_ODDS = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
_SINC_ODDS = 0.1
_SIZES = range(7, 22, 2)
_GRAY_ODDS = 0.4
_LAST_SINC_ODDS = 0.8
_QUALITY = (30, 95)


@dataclass(frozen=True)
class Stage:
    """One of the two passes.

    Attributes:
        blurred: probability of a blur.
        sigma: range of its standard deviations in pixels.
        up, down: probabilities of enlarging and of shrinking; else the size stays.
        scale: the least and the largest.
        noise: range of the Gaussian's standard deviation in 8-bit units.
        poisson: range of the scale of shot noise.
    """

    blurred: float
    sigma: tuple[float, float]
    up: float
    down: float
    scale: tuple[float, float]
    noise: tuple[float, float]
    poisson: tuple[float, float]


FIRST = Stage(1.0, (0.2, 3.0), 0.2, 0.7, (0.15, 1.5), (1, 30), (0.05, 3))
SECOND = Stage(0.8, (0.2, 1.5), 0.3, 0.4, (0.3, 1.2), (1, 25), (0.05, 2.5))


def realesrgan(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a picture degraded twice and resized to its own size.

    Args:
        clean: (H, W, 3) float32 RGB in [0, 1], any size.
        rng: every draw comes from it.
    """
    height, width = clean.shape[:2]
    small = (max(1, height // SCALE), max(1, width // SCALE))
    x = _coded(_passed(clean, FIRST, (height, width), rng), rng)
    x = _passed(x, SECOND, small, rng)
    return resized(_finished(x, small, rng), height, width)


def _passed(x: Pixels, stage: Stage, base: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Blur, resize to a share of a size (height, width), and add noise."""
    return _noised(_resized(_blurred(x, stage, rng), stage, base, rng), stage, rng)


def _blurred(x: Pixels, stage: Stage, rng: np.random.Generator) -> Pixels:
    if rng.random() >= stage.blurred:
        return x
    size = int(rng.choice(_SIZES))
    if rng.random() < _SINC_ODDS:
        return filtered(x, _sinc(size, rng))
    return filtered(x, draw_kernel(size, stage.sigma, rng))


def draw_kernel(size: int, sigma: tuple[float, float], rng: np.random.Generator) -> Kernel:
    """Draw a Gaussian, generalized or plateau kernel, isotropic or not."""
    form = _FORMS[int(rng.choice(len(_FORMS), p=_FORM_ODDS))]
    x = rng.uniform(*sigma)
    y, angle = (rng.uniform(*sigma), rng.uniform(-np.pi, np.pi)) if "aniso" in form else (x, 0.0)
    spread = covariance(x, y, angle)
    if form.startswith("plateau"):
        return plateau_kernel(size, spread, _either_side(1, 2, rng))
    return gaussian_kernel(
        size, spread, _either_side(0.5, 4, rng) if form.startswith("general") else 1.0
    )


def _either_side(low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a shape below and above 1 with equal probability, where the range has both sides."""
    return rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)


def _sinc(size: int, rng: np.random.Generator) -> Kernel:
    return sinc_kernel(size, rng.uniform(np.pi / (3 if size < 13 else 5), np.pi))


def _resized(x: Pixels, stage: Stage, base: tuple[int, int], rng: np.random.Generator) -> Pixels:
    draw = rng.random()
    if draw < stage.up:
        scale = rng.uniform(1, stage.scale[1])
    elif draw < stage.up + stage.down:
        scale = rng.uniform(stage.scale[0], 1)
    else:
        scale = 1.0
    height, width = (max(1, int(side * scale)) for side in base)
    return resized_at_random(x, height, width, rng)


def _noised(x: Pixels, stage: Stage, rng: np.random.Generator) -> Pixels:
    gaussian, gray = rng.random() < 0.5, rng.random() < _GRAY_ODDS
    if gaussian:
        shape = (*x.shape[:2], 1) if gray else x.shape
        noise = rng.uniform(*stage.noise) / 255 * rng.standard_normal(shape)
    else:
        noise = rng.uniform(*stage.poisson) * shot_noise(x, gray, rng)
    return np.clip(x + noise, 0, 1).astype(np.float32)


def shot_noise(x: Pixels, gray: bool, rng: np.random.Generator) -> Pixels:
    """Return Poisson noise of a picture in 8-bit levels, for its luma alone if `gray`.

    As in the release, white has as many electrons as the picture has levels, rounded up to a power
    of 2.
    """
    source = x @ np.array([[0.2989], [0.5870], [0.1140]]) if gray else x
    levels = np.rint(np.clip(source, 0, 1) * 255) / 255
    peak = 2.0 ** np.ceil(np.log2(len(np.unique(levels))))
    return (rng.poisson(levels * peak) / peak - levels).astype(np.float32)


def _coded(x: Pixels, rng: np.random.Generator) -> Pixels:
    return coded(x, round(rng.uniform(*_QUALITY)))


def _finished(x: Pixels, small: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Resize to a quarter with the last sinc filter, and code as JPEG, in either order."""
    first = rng.random() < 0.5
    if not first:
        x = _coded(x, rng)
    x = resized_at_random(x, *small, rng)
    if rng.random() < _LAST_SINC_ODDS:
        size = int(rng.choice(_SIZES))
        x = filtered(x, sinc_kernel(size, rng.uniform(np.pi / 3, np.pi)))
    return _coded(x, rng) if first else np.clip(x, 0, 1)
