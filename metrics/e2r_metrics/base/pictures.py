"""Image files to pixels, by one rule on every path: as stored, whole, and with nothing guessed.

8 bits stay 8 bits; 16 bits are read at 65535; floats need a declared range; opaque alpha is
dropped, translucent alpha needs a declared background. Nothing is resized, rotated or blended.
"""

import io
import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.files import write_bytes
from e2r_metrics.base.headers import Header, jpeg_header, png_header, tiff_header

EightBit = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""
Unit = npt.NDArray[np.float32]
"""(H, W, 3) float32 RGB in [0, 1]."""

MOST_PIXELS = 2**28
"""Pictures with more pixels are refused before they are decoded, unless the caller allows them."""

# Pillow warns of large pictures process-wide, and pictures are read in threads.
_PILLOW = Lock()


@dataclass(frozen=True)
class Reading:
    """What a file alone does not say.

    Attributes:
        value_range: the value that white has in float files; None refuses them.
        flatten: RGB in 0..255 that translucent pictures are blended onto; None refuses them.
        most_pixels: larger pictures are refused before they are decoded.
    """

    value_range: float | None = None
    flatten: tuple[int, int, int] | None = None
    most_pixels: int = MOST_PIXELS


AS_STORED = Reading()


def read_pixels(path: Path, reading: Reading = AS_STORED) -> EightBit | Unit:
    """Decode a picture: (H, W, 3) RGB, uint8 from 8-bit files, float32 in [0, 1] from deeper ones.

    Grey is repeated and palettes are expanded.

    Raises:
        PictureError: no such file, no regular file, not an image, cut off, several frames, too
            large, CMYK, float without a declared range, or translucent without a background.
    """
    content = _content(path)
    header = _header(path, content)
    _check_size(path, header, reading)
    pixels = _opened(path, content) if header.pillow else _decoded(path, content)
    return _rgb(path, _scaled(path, pixels, reading), reading)


def read_image(path: Path, reading: Reading = AS_STORED) -> EightBit:
    """Decode a picture to (H, W, 3) uint8 RGB; deeper files are rounded. See `read_pixels`."""
    return eight_bit(read_pixels(path, reading))


def eight_bit(pixels: npt.NDArray[Any]) -> EightBit:
    """Return pixels in 8 bits: floats in [0, 1] are rounded half to even."""
    if pixels.dtype == np.uint8:
        return pixels
    return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)


def picture_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the header alone; raises as `read_pixels`, as far as it looks."""
    header = _header(path, _content(path))
    return header.height, header.width


def write_png(path: Path, image: EightBit) -> None:
    """Write (H, W, 3) uint8 RGB as PNG, whole or not at all."""
    # OpenCV's default, run lengths at level 1, takes half the time of any level that is named.
    done, coded = cv2.imencode(".png", image[..., ::-1])
    if not done:
        raise UsageError(f"cannot encode {path} as PNG: shape {image.shape}, dtype {image.dtype}")
    write_bytes(path, coded.tobytes())


def parse_colour(text: str) -> tuple[int, int, int]:
    """Return RGB in 0..255 from a name or hex code, such as "white" or "#808080".

    Raises:
        UsageError: no colour.
    """
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise UsageError(f"expected a colour such as white or #808080, found {text!r}") from error
    return red, green, blue


def _content(path: Path) -> bytes:
    """Return the bytes of a regular file; a pipe or a device would be read for ever."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise PictureError(f"{path}: expected an image file, found no regular file")
        content = path.read_bytes()
    except OSError as error:
        raise PictureError(f"{path}: expected an image file: {error.strerror}") from error
    if not content:
        raise PictureError(f"{path}: expected an image file, found an empty one")
    return content


def _header(path: Path, content: bytes) -> Header:
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return png_header(content)
        if content.startswith(b"\xff\xd8"):
            return jpeg_header(content)
        if content.startswith((b"II*\0", b"MM\0*")):
            return tiff_header(content)
        return _pillow_header(content)
    except ValueError as error:
        raise PictureError(f"{path}: expected a whole image file, found {error}") from error


def _pillow_header(content: bytes) -> Header:
    from PIL import Image, UnidentifiedImageError

    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(content)) as picture:
                frames = int(getattr(picture, "n_frames", 1))
                kind, mode = picture.format or "", picture.mode
                size = picture.size
        except Image.DecompressionBombError as error:
            raise ValueError(f"one of a size that is hardly meant: {error}") from error
        except UnidentifiedImageError as error:
            raise ValueError("none that a reader knows") from error
        except (OSError, SyntaxError) as error:
            raise ValueError(f"one that cannot be read: {_first_line(error)}") from error
    if frames > 1:
        raise ValueError(f"{frames} frames or pages in one file; save the one that is meant")
    if mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        raise ValueError(f"colour mode {mode}; convert it to RGB")
    return Header(size[1], size[0], pillow=kind == "GIF")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].replace(
        "<_io.BytesIO object", "<"
    )


def _check_size(path: Path, header: Header, reading: Reading) -> None:
    pixels = header.height * header.width
    if pixels == 0 or pixels > reading.most_pixels:
        raise PictureError(
            f"{path}: expected at most {reading.most_pixels / 1e6:.0f} megapixels, found "
            f"{header.width}x{header.height}; cut it, or raise --max-megapixels"
        )


def _decoded(path: Path, content: bytes) -> npt.NDArray[Any]:
    """Return (H, W) or (H, W, C) as stored, channels in RGB order, any depth."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise PictureError(
            f"{path}: expected an image file, found one that OpenCV refuses ({error.err})"
        ) from error
    if pixels is None:
        raise PictureError(f"{path}: expected a whole image file, found one that cannot be decoded")
    if pixels.ndim == 2:
        return pixels
    order = cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(pixels, order)


def _opened(path: Path, content: bytes) -> npt.NDArray[np.uint8]:
    """Decode what OpenCV does not read in full, by Pillow: (H, W, 4)."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as picture:
            return np.array(picture.convert("RGBA"))
    except (OSError, SyntaxError, ValueError) as error:
        raise PictureError(f"{path}: expected an image file: {_first_line(error)}") from error


def _scaled(path: Path, pixels: npt.NDArray[Any], reading: Reading) -> npt.NDArray[Any]:
    """Return uint8 as it is, uint16 and float in [0, 1]."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return (pixels / np.float32(65535)).astype(np.float32)
    if str(pixels.dtype) not in ("float32", "float64"):
        raise PictureError(f"{path}: expected 8, 16 or float bits a channel, found {pixels.dtype}")
    if reading.value_range is None:
        raise PictureError(
            f"{path}: expected integers, found {pixels.dtype} values from {pixels.min():.4g} to "
            f"{pixels.max():.4g}; say what white is with --range, such as --range 1"
        )
    unit = pixels.astype(np.float64) / reading.value_range
    if not (unit.min() >= 0 and unit.max() <= 1):
        raise PictureError(
            f"{path}: expected values from 0 to --range {reading.value_range:g}, found "
            f"{pixels.min():.4g} to {pixels.max():.4g}"
        )
    return unit.astype(np.float32)


def _rgb(path: Path, pixels: npt.NDArray[Any], reading: Reading) -> npt.NDArray[Any]:
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    if pixels.shape[2] == 3:
        return pixels
    opaque = 255 if pixels.dtype == np.uint8 else 1.0
    alpha = pixels[..., 3:]
    if alpha.min() == opaque:
        return np.ascontiguousarray(pixels[..., :3])
    if reading.flatten is None:
        raise PictureError(
            f"{path}: expected an opaque picture, found transparency; give a background with "
            "--flatten, such as --flatten white"
        )
    share = alpha / np.float64(opaque)
    background = np.array(reading.flatten, np.float64) * (opaque / 255)
    blended = pixels[..., :3] * share + background * (1 - share)
    if pixels.dtype == np.uint8:
        return np.rint(blended).astype(np.uint8)
    return blended.astype(np.float32)
