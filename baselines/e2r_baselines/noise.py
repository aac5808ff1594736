"""The noise level that non-blind denoisers are told, or that is estimated where none is stated."""

import numpy as np

from e2r_baselines.method import Pixels
from e2r_baselines.tasks import Task

# The median of |x| for a standard normal x.
_NORMAL_MEDIAN = 0.6744897501960817


def noise_level(pixels: Pixels, task: Task) -> float:
    """Return the standard deviation of the noise on the scale [0, 1]: the task's, else estimated.

    Outside its own task a denoiser thus runs as if its input were noisy, which is what it would do.
    """
    return estimated_sigma(pixels) if task.sigma is None else task.sigma / 255


def estimated_sigma(pixels: Pixels) -> float:
    """Estimate the noise by the median of the finest diagonal Haar coefficients.

    Args:
        pixels: (H, W, C) float32; an odd last row or column is left out.

    Returns:
        The mean over channels, 0 for pictures under 2x2 pixels.

    Source: Donoho and Johnstone, "Ideal spatial adaptation by wavelet shrinkage" (1994).
    """
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    if height == 0 or width == 0:
        return 0.0
    even, odd = pixels[:height:2, :width], pixels[1:height:2, :width]
    diagonal = (even[:, ::2] - even[:, 1::2] - odd[:, ::2] + odd[:, 1::2]) / 2
    return float(np.mean(np.median(np.abs(diagonal), axis=(0, 1)) / _NORMAL_MEDIAN))
