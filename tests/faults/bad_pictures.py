"""Picture files that are not what their name says, and what each door must do with one."""

import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 24
Writer = Callable[[Path], Path]
"""Puts a bad picture in the place of a PNG and returns where it is now."""
Stored = npt.NDArray[np.generic]


def pixels(seed: int, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Return (side, side, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 200, (side, side, 3), dtype=np.uint8)


def _bytes(content: bytes) -> Writer:
    def write(path: Path) -> Path:
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        return path

    return write


def _changed(change: Callable[[bytes], bytes]) -> Writer:
    def write(path: Path) -> Path:
        path.write_bytes(change(path.read_bytes()))
        return path

    return write


def _stored(suffix: str, make: Callable[[npt.NDArray[np.uint8]], Stored]) -> Writer:
    def write(path: Path) -> Path:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        path.unlink()
        target = path.with_suffix(suffix)
        cv2.imwrite(str(target), make(image.astype(np.uint8)))
        return target

    return write


def _pillow(suffix: str, mode: str, **options: object) -> Writer:
    def write(path: Path) -> Path:
        with Image.open(path) as opened:
            image = opened.convert(mode)
        path.unlink()
        target = path.with_suffix(suffix)
        image.save(target, **options)  # pyright: ignore[reportArgumentType]
        return target

    return write


def _frames(suffix: str) -> Writer:
    def write(path: Path) -> Path:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        path.unlink()
        target = path.with_suffix(suffix)
        image.save(target, save_all=True, append_images=[image.rotate(90)])
        return target

    return write


def _special(make: Callable[[Path], object]) -> Writer:
    def write(path: Path) -> Path:
        path.unlink()
        make(path)
        return path

    return write


def _alpha(value: int) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]:
    def make(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        plane = np.full((*image.shape[:2], 1), value, np.uint8)
        return np.concatenate([image, plane], axis=2)

    return make


def _sized(height: int, width: int) -> Writer:
    return _stored(".png", lambda image: cv2.resize(image, (width, height)))  # pyright: ignore


def bomb(height: int, width: int) -> bytes:
    """Return a PNG whose header promises (height, width) and whose data hold nothing of it."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checked)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


def _linked(path: Path) -> Path:
    kept = path.parent.parent / f"{path.name}.kept"
    path.rename(kept)
    path.symlink_to(kept)
    return path


FAULTY: Mapping[str, Writer] = {
    "empty": _bytes(b""),
    "text": _bytes(b"this is no picture\n"),
    "html": _bytes(b"<!DOCTYPE html><html><body>404</body></html>"),
    "zeros": _bytes(b"\0" * 4096),
    "signature only": _bytes(b"\x89PNG\r\n\x1a\n"),
    "jpeg mark only": _bytes(b"\xff\xd8\xff\xe0"),
    "tiff mark only": _bytes(b"II*\0\xff\xff\xff\x7f"),
    "gif mark only": _bytes(b"GIF89a"),
    "webp mark only": _bytes(b"RIFF\x10\0\0\0WEBPVP8 "),
    "cut in half": _changed(_half),
    "without its last byte": _changed(lambda content: content[:-1]),
    "without its end": _changed(lambda content: content[:-12]),
    "a flipped byte": _changed(_flipped),
    "a bomb": _bytes(bomb(60000, 60000)),
    "a gigapixel": _bytes(bomb(2**31 - 1, 2**31 - 1)),
    "no pixel": _bytes(bomb(0, 0)),
    "one row missing": _sized(SIDE - 1, SIDE),
    "another size": _sized(SIDE * 2, SIDE * 2),
    "turned": _sized(SIDE, SIDE + 8),
    "float": _stored(".tif", lambda image: (image / np.float32(255)).astype(np.float32)),
    "float above 1": _stored(".tif", lambda image: image.astype(np.float32)),
    "float NaN": _stored(".tif", lambda image: np.full(image.shape, np.nan, np.float32)),
    "translucent": _stored(".png", _alpha(128)),
    "animated gif": _frames(".gif"),
    "animated png": _frames(".png"),
    "animated webp": _frames(".webp"),
    "pages of tiff": _frames(".tif"),
    "cmyk jpeg": _pillow(".jpg", "CMYK"),
    "cmyk tiff": _pillow(".tif", "CMYK"),
    "lab tiff": _pillow(".tif", "LAB"),
    "a pipe": _special(os.mkfifo),
    "a folder": _special(lambda path: path.mkdir()),
    "a link to nothing": _special(lambda path: path.symlink_to("nothing")),
    "a link to a device": _special(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": _special(lambda path: path.symlink_to(path.name)),
    "absent": _special(lambda path: None),
}
"""Pictures that no door may score."""

SOUND: Mapping[str, Writer] = {
    "upper case": lambda path: path.rename(path.with_suffix(".PNG")),
    "16 bits": _stored(".png", lambda image: image.astype(np.uint16) * 257),
    "16-bit tiff": _stored(".tif", lambda image: image.astype(np.uint16) * 257),
    "opaque alpha": _stored(".png", _alpha(255)),
    "bmp": _stored(".bmp", lambda image: image),
    "tiff": _stored(".tif", lambda image: image),
    "lossless webp": _pillow(".webp", "RGB", lossless=True),
    "bytes after the end": _changed(lambda content: content + b"trailing"),
    "a link": _linked,
}
"""The same pixels in other clothes: the number must be that of the plain file."""
