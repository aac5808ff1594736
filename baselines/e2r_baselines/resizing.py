"""Resizing as blind super-resolution's degradations do it: OpenCV's, without antialiasing."""

import numpy as np

from e2r_baselines.degrade import Pixels


def resized(x: Pixels, height: int, width: int) -> Pixels:
    """Resize by OpenCV's bicubic (a = -0.75), for bringing a small picture back to its size."""
    import cv2

    return _resized(x, height, width, cv2.INTER_CUBIC)


def resized_at_random(x: Pixels, height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Resize by area, bilinear or bicubic interpolation, each as likely; unclipped."""
    import cv2

    how = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(3))]
    return _resized(x, height, width, how)


def _resized(x: Pixels, height: int, width: int, how: int) -> Pixels:
    import cv2

    return np.asarray(cv2.resize(x, (width, height), interpolation=how), np.float32)
