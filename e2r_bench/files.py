"""Reading and writing whole files: nothing is ever left half-written."""

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from e2r_bench.errors import UsageError

EightBit = npt.NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, then rename.

    Raises:
        UsageError: the folder cannot be written to, or the disk is full.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"cannot write {path}: {error.strerror}; choose another --out") from error


def write_text(path: Path, content: str) -> None:
    """Write UTF-8 text the same way; see `write_bytes`."""
    write_bytes(path, content.encode())


def read_image(path: Path) -> EightBit:
    """Decode an image file to (H, W, 3) uint8 RGB.

    Raises:
        UsageError: the file is missing, truncated, not an image, or not 8 bits a channel.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise UsageError(
                    f"{path}: expected 8 bits a channel, found Pillow mode {image.mode!r}; "
                    "convert it"
                )
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise UsageError(f"{path}: expected a whole image file, found: {error}") from error


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the header alone; UsageError as `read_image`."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.height, image.width
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise UsageError(f"{path}: expected an image file, found: {error}") from error


def write_png(path: Path, image: EightBit) -> None:
    """Write (H, W, 3) uint8 RGB as PNG, whole or not at all."""
    import cv2

    # OpenCV's default, run lengths at level 1, takes half the time of any level that is named.
    done, coded = cv2.imencode(".png", image[..., ::-1])
    if not done:
        raise UsageError(f"cannot encode {path} as PNG: shape {image.shape}, dtype {image.dtype}")
    write_bytes(path, coded.tobytes())
