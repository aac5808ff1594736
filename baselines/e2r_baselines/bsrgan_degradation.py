"""BSRGAN's degradation at scale 4: seven steps in random order, and a last JPEG.

Source: Zhang et al., "Designing a Practical Degradation Model for Deep Blind Image
Super-Resolution", ICCV 2021, and its release. As in `realesrgan_degradation`, the small picture is
brought back to its size by bicubic interpolation. Left out: the camera's pipeline, which needs a
network of its own (the release uses it with probability 1/4 where it is given one).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from e2r_baselines.blur_kernels import covariance, gaussian_kernel
from e2r_baselines.degradations import coded, filtered
from e2r_baselines.degrade import Pixels
from e2r_baselines.resizing import resized, resized_at_random

SCALE = 4
_NOISE = (2, 25)
_QUALITY = (30, 95)
_FLOOR = 1e-3
"""Of a kernel's standard deviation in pixels: the release draws from 0 on, which has no kernel."""

Step = Callable[[Pixels, int, tuple[int, int], np.random.Generator], Pixels]
"""From (picture, scale, (height, width) of the small picture, generator)."""


def bsrgan(clean: Pixels, rng: np.random.Generator) -> Pixels:
    """Return a picture degraded and resized to its own size.

    Args:
        clean: (H, W, 3) float32 RGB in [0, 1], any size.
        rng: every draw comes from it.
    """
    height, width = clean.shape[:2]
    small = (max(1, height // SCALE), max(1, width // SCALE))
    x, scale = clean, SCALE
    if rng.random() < 0.25:
        half = (max(1, height // 2), max(1, width // 2))
        x, scale = np.clip(resized_at_random(x, *half, rng), 0, 1), SCALE // 2
    for step in _order(rng):
        x = step(x, scale, small, rng)
    return resized(_coded(x, rng), height, width)


def _order(rng: np.random.Generator) -> list[Step]:
    """Return the steps in random order; the one to the final size is not before the one towards."""
    steps: list[Step] = [_blur, _blur, _shrink, _fit, _noise, _maybe_coded]
    order = [steps[index] for index in rng.permutation(len(steps))]
    towards, final = order.index(_shrink), order.index(_fit)
    if final < towards:
        order[towards], order[final] = order[final], order[towards]
    return order


def _blur(x: Pixels, scale: int, small: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Blur by a Gaussian of odd size 7 to 25, anisotropic or isotropic."""
    del small
    size = int(rng.choice(range(7, 26, 2)))
    if rng.random() < 0.5:
        sides = np.sqrt(rng.uniform(0, 4 + scale, 2)) + _FLOOR
        spread = covariance(float(sides[0]), float(sides[1]), rng.uniform(0, np.pi))
    else:
        sigma = rng.uniform(0, 2 + 0.2 * scale) + _FLOOR
        spread = covariance(sigma, sigma, 0.0)
    return filtered(x, gaussian_kernel(size, spread))


def _shrink(x: Pixels, scale: int, small: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Resize by 1 to 2 `scale`, or blur and take every `scale`-th pixel, its grid centred."""
    del small
    height, width = x.shape[:2]
    if rng.random() < 0.75:
        share = rng.uniform(1, 2 * scale)
        size = (max(1, int(height / share)), max(1, int(width / share)))
        return np.clip(resized_at_random(x, *size, rng), 0, 1)
    sigma = rng.uniform(0.1, 0.6 * scale)
    kernel = gaussian_kernel(25, covariance(sigma, sigma, 0.0), shift=(scale - 1) / 2)
    return np.ascontiguousarray(filtered(x, kernel)[::scale, ::scale])


def _fit(x: Pixels, scale: int, small: tuple[int, int], rng: np.random.Generator) -> Pixels:
    del scale
    return np.clip(resized_at_random(x, *small, rng), 0, 1)


def _noise(x: Pixels, scale: int, small: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Add Gaussian noise: of each channel, of all alike, or correlated between them."""
    del scale, small
    level, kind = int(rng.integers(_NOISE[0], _NOISE[1] + 1)) / 255, rng.random()
    if kind < 0.4:
        noise = level * rng.standard_normal((*x.shape[:2], 1))
    elif kind < 0.6:
        noise = _correlated(x.shape[:2], rng)
    else:
        noise = level * rng.standard_normal(x.shape)
    return np.clip(x + noise, 0, 1).astype(np.float32)


def _correlated(shape: tuple[int, ...], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw noise of a random covariance between channels, of the strongest level at most."""
    basis, _ = np.linalg.qr(rng.random((3, 3)))
    spread = (_NOISE[1] / 255) ** 2 * basis.T @ np.diag(rng.random(3)) @ basis
    return rng.multivariate_normal(np.zeros(3), spread, shape, method="eigh")


def _maybe_coded(x: Pixels, scale: int, small: tuple[int, int], rng: np.random.Generator) -> Pixels:
    del scale, small
    return _coded(x, rng) if rng.random() < 0.9 else x


def _coded(x: Pixels, rng: np.random.Generator) -> Pixels:
    return coded(x, int(rng.integers(_QUALITY[0], _QUALITY[1] + 1)))
