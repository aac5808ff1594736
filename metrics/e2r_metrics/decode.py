"""Image files to pixels: RGB, 8 bits, as stored; nothing is resized, rotated or blended."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.errors import MetricError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm"})


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an 8-bit image as (H, W, 3) uint8 RGB; grey is repeated, palettes are expanded.

    Raises:
        MetricError: no such file, not an image, cut off, not 8 bits, or with transparency.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MetricError(f"{path}: cannot be read: {error.strerror}") from error
    _check_whole(path, content)
    pixels = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if pixels is None or path.suffix.lower() == ".gif":
        return _with_pillow(path)
    if pixels.dtype != np.uint8:
        raise MetricError(f"{path}: expected 8 bits per channel, found {pixels.dtype}")
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)  # pyright: ignore[reportReturnType]
    if pixels.shape[2] == 4:
        if int(pixels[..., 3].min()) < 255:
            raise MetricError(f"{path}: expected opaque RGB, found transparency; flatten it before")
        return np.ascontiguousarray(pixels[..., 2::-1], np.uint8)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)  # pyright: ignore[reportReturnType]


def _check_whole(path: Path, content: npt.NDArray[np.uint8]) -> None:
    """Refuse a cut PNG or JPEG: OpenCV decodes what is there and leaves the rest grey."""
    head, tail = content[:8].tobytes(), content[-4096:].tobytes()
    cut_png = head.startswith(b"\x89PNG") and b"IEND" not in tail
    cut_jpeg = head.startswith(b"\xff\xd8") and b"\xff\xd9" not in tail
    if cut_png or cut_jpeg:
        raise MetricError(f"{path}: expected a whole image file, found one that is cut off")


def _with_pillow(path: Path) -> npt.NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if picture.mode not in ("L", "P", "RGB"):
                raise MetricError(f"{path}: expected 8-bit grey or RGB, found mode {picture.mode}")
            return np.array(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError) as error:
        raise MetricError(f"{path}: expected an image file: {error}") from error
