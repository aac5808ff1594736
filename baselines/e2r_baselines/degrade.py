"""The degradations that the tasks undo: float32 RGB in, float32 RGB out, every draw passed in.

Clipping and rounding are not done here: they belong to a named protocol (`e2r_bench.protocols`).
"""

import cv2
import numpy as np
import numpy.typing as npt

from e2r_baselines.method import Pixels
from e2r_baselines.tasks import Task

Depth = npt.NDArray[np.float32]
"""(H, W) float32, 0 at the camera and 1 at the farthest point of the scene."""


def gaussian_noise(clean: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """Add white Gaussian noise of standard deviation `sigma` (8-bit units); unclipped."""
    noise = rng.standard_normal(clean.shape, dtype=np.float32)
    return (clean + noise * (sigma / 255)).astype(np.float32)


def rain_streaks(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Add one direction of blurred streaks, O = B + S, the model of Yang et al. (CVPR 2017).

    Density, length, slant and strength are drawn once per picture, so that the mean input PSNR
    stands near that of light-rain sets (about 25 dB).
    """
    height, width = clean.shape[:2]
    drops = (rng.random((height, width)) < rng.uniform(0.001, 0.004)).astype(np.float32)
    drops *= rng.uniform(0.5, 1.0, (height, width)).astype(np.float32)
    kernel = _streak(length=rng.uniform(11, 27), slant=rng.uniform(-35, 35))
    streaks = cv2.filter2D(drops, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT_101)
    strength = np.float32(rng.uniform(0.2, 0.5))
    return clean + strength * np.minimum(streaks, 1.0)[..., None]


def _streak(length: float, slant: float) -> npt.NDArray[np.float32]:
    """Return an anti-aliased line of `length` pixels, `slant` degrees off the vertical, peak 1."""
    side = int(np.ceil(length)) | 1
    half = (length - 1) / 2
    offset = half * np.array([np.sin(np.deg2rad(slant)), np.cos(np.deg2rad(slant))])
    ends = [tuple(int(v) for v in np.rint(16 * (side // 2 + s * offset))) for s in (-1, 1)]
    canvas = np.zeros((side, side), np.uint8)
    cv2.line(canvas, ends[0], ends[1], 255, 1, cv2.LINE_AA, shift=4)
    return (canvas / 255).astype(np.float32)


def haze(clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    """Apply atmospheric scattering, I = J t + A (1 - t) with t = exp(-beta d).

    beta is drawn in [0.4, 1.4] per unit of the relative depth, the airlight A in [0.75, 0.95] with
    a tint of at most 0.03. Source: Narasimhan and Nayar, IJCV 2002; RESIDE's notation.
    """
    beta = rng.uniform(0.4, 1.4)
    airlight = rng.uniform(0.75, 0.95) + rng.uniform(-0.03, 0.03, 3)
    transmission = np.exp(-np.float32(beta) * depth)[..., None]
    return (clean * transmission + airlight * (1 - transmission)).astype(np.float32)


def jpeg(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Compress and decompress with OpenCV's JPEG codec at a quality drawn in 10..40."""
    quality = int(rng.integers(10, 41))
    eight_bit = np.rint(np.clip(clean, 0, 1) * 255).astype(np.uint8)
    done, coded = cv2.imencode(".jpg", eight_bit[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError(f"OpenCV could not encode a {clean.shape} picture as JPEG")
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    if decoded is None:
        raise RuntimeError("OpenCV could not decode its own JPEG")
    return (decoded[..., ::-1] / 255).astype(np.float32)


def lowlight(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Darken by exposure and gamma, then add sensor-like noise (shot and read, Gaussian)."""
    dark = np.float32(rng.uniform(0.1, 0.3)) * clean ** np.float32(rng.uniform(1.0, 1.6))
    deviation = np.sqrt(0.0004 * np.clip(dark, 0, None) + 0.00002)
    return dark + deviation * rng.standard_normal(clean.shape, dtype=np.float32)


def degrade(task: Task, clean: Pixels, depth: Depth, rng: np.random.Generator) -> Pixels:
    """Apply the degradation that `task` undoes.

    Args:
        task: decides the family, and sigma for noise.
        clean: (H, W, 3) float32 RGB in [0, 1].
        depth: (H, W) float32 relative depth; only haze reads it.
        rng: every draw comes from it.

    Returns:
        (H, W, 3) float32 RGB, neither clipped nor rounded.

    Raises:
        ValueError: a noise task without sigma.
    """
    if task.kind == "denoise":
        if task.sigma is None:
            raise ValueError(f"task {task.name!r} adds noise but states no sigma")
        return gaussian_noise(clean, task.sigma, rng)
    if task.kind == "derain":
        return rain_streaks(clean, rng)
    if task.kind == "dehaze":
        return haze(clean, depth, rng)
    return jpeg(clean, rng) if task.kind == "dejpeg" else lowlight(clean, rng)
