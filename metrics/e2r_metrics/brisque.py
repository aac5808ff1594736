"""BRISQUE (Mittal, Moorthy, Bovik, IEEE TIP 2012), of one picture alone; lower is better.

`live` is the authors' definition with their support vectors; `pypi` is what the package `brisque`
computes, whose vectors were trained anew and whose steps differ in ways that docs/metrics.md names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.images import Image, PerImage, check_image, to_unit
from e2r_metrics.natural import (
    GREY,
    Array,
    fitted,
    halved_bicubic,
    moments,
    normalised,
    rounded_grey,
    shape_table,
)

MIN_SIDE = 16
_SKIMAGE_GREY = np.array([0.2125, 0.7154, 0.0721])
_SHIFTS = ((0, 1), (1, 0), (1, 1), (-1, 1))
# Where the training features lay, by feature: they are mapped from there to [-1, 1].
_LIVE = (
    (0.338, 0.017204, 0.236, -0.123884, 0.000155, 0.001122, 0.244, -0.123586, 0.000152,
     0.000975, 0.249, -0.135687, 0.000174, 0.000913, 0.258, -0.143408, 0.000179, 0.000888,
     0.471, 0.012809, 0.218, -0.094876, 0.000015, 0.001272, 0.222, -0.115772, 0.000016,
     0.001374, 0.227, -0.117188, 0.00003, 0.001122, 0.228, -0.12243, 0.000028, 0.001118),
    (10, 0.806612, 1.642, 0.20293, 0.712298, 0.470257, 1.641, 0.179083, 0.710456, 0.470984,
     1.555, 0.100858, 0.684173, 0.534174, 1.561, 0.100486, 0.685696, 0.536508, 3.264,
     0.703171, 1.046, 0.187459, 0.442057, 0.40803, 1.042, 0.162604, 0.444362, 0.40243, 0.996,
     0.098323, 0.531903, 0.369589, 0.99, 0.098658, 0.530092, 0.370399),
)  # fmt: skip
_PYPI = (
    (0.336999, 0.019667, 0.23, -0.125959, 0.000167, 0.000616, 0.231, -0.125873, 0.000165,
     0.0006, 0.241, -0.128814, 0.000179, 0.000386, 0.243, -0.13308, 0.000182, 0.000421,
     0.436998, 0.016929, 0.247, -0.200231, 0.000104, 0.000834, 0.257, -0.200017, 0.000112,
     0.000876, 0.257, -0.155072, 0.000112, 0.000356, 0.258, -0.154374, 0.000117, 0.000351),
    (9.999411, 0.807472, 1.644021, 0.202917, 0.712384, 0.468672, 1.644021, 0.169548, 0.713132,
     0.467896, 1.553016, 0.101368, 0.687324, 0.533087, 1.554016, 0.101, 0.689177, 0.533133,
     3.639918, 0.800955, 1.096995, 0.175286, 0.755547, 0.39927, 1.095995, 0.155928, 0.751488,
     0.402398, 1.041992, 0.093209, 0.623516, 0.532925, 1.042992, 0.093714, 0.621958, 0.534484),
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A support vector regression with a Gaussian kernel: vectors (N, 36), and their weights."""

    vectors: Array
    weights: Array
    gamma: float
    rho: float

    def predict(self, features: Array) -> float:
        """Return the value for (36,) features in about [-1, 1]."""
        squares = ((self.vectors - features) ** 2).sum(1)
        return float(self.weights @ np.exp(-self.gamma * squares)) - self.rho


def read_machine(path: Path) -> Machine:
    """Read a regression in LIBSVM's text format.

    Raises:
        UsageError: the file is none, or not one of 36 features and a Gaussian kernel.
    """
    try:
        head, _, body = path.read_text(encoding="ascii").partition("\nSV\n")
        facts = dict(line.split(maxsplit=1) for line in head.splitlines())
        rows = [line.split() for line in body.splitlines()]
        vectors = np.zeros((len(rows), 36))
        for vector, row in zip(vectors, rows, strict=True):
            for index, _, value in (cell.partition(":") for cell in row[1:]):
                vector[int(index) - 1] = float(value)  # what is zero is left out
        weights = np.array([float(row[0]) for row in rows])
        machine = Machine(vectors, weights, float(facts["gamma"]), float(facts["rho"]))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise UsageError(f"{path}: expected support vectors of BRISQUE: {error}") from error
    if facts.get("kernel_type") != "rbf":
        raise UsageError(
            f"{path}: expected a Gaussian kernel (rbf), found {facts.get('kernel_type')}"
        )
    return machine


def live_features(image: Image) -> Array:
    """Return (36,) features as the authors' MATLAB code forms them."""
    plane, found = rounded_grey(image, GREY), []
    for _ in range(2):
        x = normalised(plane, 1.0, cv2.BORDER_CONSTANT)
        found += [_shape_and_variance(x.ravel())]
        found += [_pair(x * np.roll(x, shift, axis=(0, 1))) for shift in _SHIFTS]
        plane = halved_bicubic(plane)
    return np.concatenate(found)


def _shape_and_variance(x: Array) -> Array:
    """Return shape and variance of a generalised Gaussian; the shape's ratio is turned over."""
    shapes, ratios = shape_table()
    square, size = float(np.mean(x * x)), float(np.mean(np.abs(x)))
    nearest = np.argmin(np.abs(square / size**2 - 1 / ratios)) if size else 0
    return np.array([shapes[nearest], square])


def _pair(products: Array) -> Array:
    """Return shape, mean, and left and right variance of neighbours' products."""
    return _described(*(float(part[0]) for part in fitted(products.reshape(1, -1))))


def _described(shape: float, left: float, right: float) -> Array:
    from scipy.special import gamma

    scale = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
    mean = (right - left) * gamma(2 / shape) / gamma(1 / shape) * scale
    return np.array([shape, mean, left**2, right**2])


def pypi_features(image: Image) -> Array:
    """Return (36,) features as the package `brisque` forms them.

    Grey of scikit-image on [0, 1], products inside the picture only, shapes not in steps, and a
    cubic reduction without antialias.
    """
    plane, found = to_unit(image).astype(np.float64) @ _SKIMAGE_GREY, []
    for _ in range(2):
        x = normalised(plane, 1 / 255, cv2.BORDER_CONSTANT)
        shape, left, right = _solved(x)
        found.append(np.array([shape, (left**2 + right**2) / 2]))
        pairs = (
            x[:, :-1] * x[:, 1:], x[:-1] * x[1:], x[:-1, :-1] * x[1:, 1:], x[1:, :-1] * x[:-1, 1:],
        )  # fmt: skip
        found += [_described(*_solved(pair)) for pair in pairs]
        plane = cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    return np.concatenate(found)


def _solved(samples: Array) -> tuple[float, float, float]:
    ratio, left, right = (float(part[0]) for part in moments(samples.reshape(1, -1), True))
    shapes, ratios = shape_table()
    return float(np.interp(ratio, ratios, shapes)), left, right


_Variant = tuple[str, Callable[[Image], Array], tuple[tuple[float, ...], tuple[float, ...]]]
VARIANTS: Mapping[str, _Variant] = MappingProxyType(
    {
        "live": ("brisque-live", live_features, _LIVE),
        "pypi": ("brisque-pypi", pypi_features, _PYPI),
    }
)


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant; it looks at the restored images alone, on the CPU.

    Raises:
        UsageError: the file holds other support vectors.
    """
    del device
    name, features, (low, high) = VARIANTS[variant]
    machine, low, high = read_machine(files[name]), np.array(low), np.array(high)

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        del clean
        found = [_checked(image, features) for image in restored]
        return np.array([machine.predict(2 * (f - low) / (high - low) - 1) for f in found])

    return measure


def _checked(image: Image, features: Callable[[Image], Array]) -> Array:
    check_image(image, "restored")
    if min(image.shape[:2]) < MIN_SIDE:
        raise PictureError(
            f"BRISQUE needs sides of at least {MIN_SIDE}, found {image.shape[0]}x{image.shape[1]}"
        )
    found = features(image)
    if not np.isfinite(found).all():
        raise PictureError("BRISQUE needs a picture with detail, found a flat one")
    return found
