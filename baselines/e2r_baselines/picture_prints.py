"""What is kept of a picture to find it again: a hash of its pixels, one of its framing, keypoints.

Sources: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010) for
the DCT hash; Lowe, SIFT (IJCV 2004); Arandjelovic & Zisserman, RootSIFT (CVPR 2012).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_LONG_SIDE = 640
_FEATURES = 1200

Points = npt.NDArray[np.float32]
"""(N, 4): x, y, size in pixels, angle in degrees."""
Unit = npt.NDArray[np.float32]
"""(N, 128), rows of unit length."""


@dataclass(frozen=True)
class Framing:
    """What tells a picture under the same framing: its pixels' hash, its DCT hash, and its luma."""

    pixels: str
    bits: np.uint64
    gray: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Print:
    """What is kept of a picture: never its full pixels twice."""

    path: Path
    pixels: str
    bits: np.uint64
    gray: npt.NDArray[np.uint8]
    points: Points
    descriptors: npt.NDArray[np.uint8]


def fingerprint(path: Path) -> Print:
    """Read an image file and keep what finds it again.

    Raises:
        PictureError: the file is missing or is not an image.
    """
    kept = framing(path)
    points, descriptors = _keypoints(kept.gray)
    return Print(path, kept.pixels, kept.bits, kept.gray, points, descriptors)


def framing(path: Path) -> Framing:
    """Read an image file and keep what finds it under the same framing; errors as `fingerprint`."""
    import cv2

    from e2r_metrics.base.pictures import read_image

    color = read_image(path)
    digest = hashlib.sha256(repr(color.shape).encode() + color.tobytes()).hexdigest()
    gray = np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), np.uint8)
    shrink = _LONG_SIDE / max(gray.shape)
    if shrink < 1:
        size = (round(gray.shape[1] * shrink), round(gray.shape[0] * shrink))
        gray = np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Framing(digest, _hash(gray), gray)


def _hash(gray: npt.NDArray[np.uint8]) -> np.uint64:
    """Return the sign of the 64 lowest frequencies of a 32x32 DCT against their median."""
    import cv2

    small = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = np.asarray(cv2.dct(small))[:8, :8].ravel()
    return np.packbits(low > np.median(low[1:])).view(np.uint64)[0]


def _keypoints(
    gray: npt.NDArray[np.uint8],
) -> tuple[Points, npt.NDArray[np.uint8]]:
    import cv2

    # A low threshold: a 64-pixel crop of a soft picture must still have keypoints.
    detector: Any = cv2.SIFT_create(contrastThreshold=0.01)  # pyright: ignore[reportAttributeAccessIssue]
    points, descriptors = detector.detectAndCompute(gray, None)
    if not len(points):
        return np.zeros((1, 4), np.float32), np.zeros((1, 128), np.uint8)
    order = np.argsort([-point.response for point in points], kind="stable")[:_FEATURES]
    rows = [(*point.pt, point.size, point.angle) for point in points]
    return np.array(rows, np.float32)[order], np.asarray(descriptors).astype(np.uint8)[order]


def unit(descriptors: npt.NDArray[np.uint8]) -> Unit:
    """Return RootSIFT: square roots of the L1-normalised histogram, rows of length one."""
    total = np.maximum(descriptors.sum(axis=1, keepdims=True, dtype=np.float32), 1)
    return np.sqrt(descriptors / total)
