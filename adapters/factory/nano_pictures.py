"""The pictures that miniatures are trained on: dead leaves, painted by our own code and cut."""

import cv2
import numpy as np
import numpy.typing as npt

from e2r_baselines.method import Pixels
from e2r_baselines.procedural import dead_leaves
from e2r_metrics.base.draws import rng_for

_CANVAS = 256


def paint_canvases(count: int, seed: int, purpose: str, varied: bool = False) -> list[Pixels]:
    """Return dead-leaves pictures of 256x256; `purpose` names the draw.

    `varied` pictures come nearer to photographs: finer detail (painted up to twice as large and
    shrunk), patches out of focus, patches of fractal texture, and less colour.
    """
    paint = _varied if varied else _plain
    return [paint(rng_for(seed, str(i), purpose)) for i in range(count)]


def _plain(rng: np.random.Generator) -> Pixels:
    return dead_leaves(rng, _CANVAS)[0]


def _varied(rng: np.random.Generator) -> Pixels:
    side = int(_CANVAS * rng.choice([1.0, 1.5, 2.0], p=[0.5, 0.25, 0.25]))
    picture, _ = dead_leaves(rng, side)
    picture = cv2.resize(picture, (_CANVAS, _CANVAS), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.6:
        blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 5))
        picture = picture + _patches(rng) * (blurred - picture)
    if rng.random() < 0.5:
        texture = _fractal(rng, rng.uniform(0.6, 1.4)) * rng.uniform(0.03, 0.12)
        picture = picture + _patches(rng) * texture[..., None] * rng.uniform(0.6, 1.0, 3)
    grey = picture.mean(axis=2, keepdims=True)
    picture = picture + rng.uniform(0, 0.8) * (grey - picture)
    return np.clip(picture, 0, 1).astype(np.float32)


def _patches(rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return a mask of soft patches that covers about half of a canvas, (H, W, 1) in [0, 1]."""
    return np.clip(2 * _fractal(rng, 2.0) + 0.5, 0, 1)[..., None]


def _fractal(rng: np.random.Generator, slope: float) -> npt.NDArray[np.float32]:
    """Return noise of unit variance whose amplitude falls with frequency to the power `slope`."""
    noise = np.fft.rfft2(rng.standard_normal((_CANVAS, _CANVAS)))
    y, x = np.fft.fftfreq(_CANVAS)[:, None], np.fft.rfftfreq(_CANVAS)
    frequency = np.maximum(np.hypot(y, x), 2 / _CANVAS)
    field = np.fft.irfft2(noise * frequency**-slope, (_CANVAS, _CANVAS))
    return (field / field.std()).astype(np.float32)


def cut(canvas: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """Return a square window of a canvas, mirrored and transposed by chance."""
    top, left = rng.integers(0, _CANVAS - side + 1, 2)
    crop = canvas[top : top + side, left : left + side]
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    crop = crop.transpose(1, 0, 2) if rng.random() < 0.5 else crop
    return np.ascontiguousarray(crop)
