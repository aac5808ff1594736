"""Blur kernels of blind super-resolution's degradations: (size, size) float64, of sum 1.

Sources: Real-ESRGAN (Wang et al., ICCVW 2021), its section on blur and its sinc filter; Liu et al.,
"Estimating generalized Gaussian blur kernels", TPAMI 2020, for the generalized and plateau forms.
"""

import numpy as np
import numpy.typing as npt

Kernel = npt.NDArray[np.float64]


def covariance(sigma_x: float, sigma_y: float, angle: float) -> Kernel:
    """Return the 2x2 covariance in squared pixels of an ellipse turned by `angle` radians."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(turn @ np.diag([sigma_x**2, sigma_y**2]) @ turn.T, np.float64)


def gaussian_kernel(size: int, spread: Kernel, beta: float = 1.0, shift: float = 0.0) -> Kernel:
    """Return exp(-q^beta / 2) with q = x^T spread^-1 x; beta 1 is the Gaussian.

    Args:
        size: odd.
        spread: see `covariance`; invertible.
        beta: above 1 flatter, below 1 with a sharper peak.
        shift: of its middle to the right and downwards, in pixels.
    """
    return _of_sum_1(np.exp(-0.5 * _distance(size, spread, shift) ** beta))


def plateau_kernel(size: int, spread: Kernel, beta: float) -> Kernel:
    """Return 1 / (1 + q^beta) with q as in `gaussian_kernel`."""
    return _of_sum_1(1 / (1 + _distance(size, spread) ** beta))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """Return the circular low-pass of a cut-off in radians a pixel: ringing and overshoot.

    The ideal filter of a disk of frequencies is cutoff J1(cutoff r) / (2 pi r), at the middle
    cutoff^2 / (4 pi).
    """
    from scipy.special import j1

    x, y = _places(size)
    radius = np.hypot(x, y)
    at = np.where(radius == 0, 1.0, radius)
    values = cutoff * np.asarray(j1(cutoff * at)) / (2 * np.pi * at)
    return _of_sum_1(np.where(radius == 0, cutoff**2 / (4 * np.pi), values))


def _distance(size: int, spread: Kernel, shift: float = 0.0) -> Kernel:
    places = np.stack(_places(size), -1) - shift
    return np.einsum("...i,ij,...j->...", places, np.linalg.inv(spread), places)


def _places(size: int) -> tuple[Kernel, Kernel]:
    reach = np.arange(size, dtype=np.float64) - size // 2
    x, y = np.meshgrid(reach, reach)
    return x, y


def _of_sum_1(values: Kernel) -> Kernel:
    return values / values.sum()
