"""What PNG and JPEG files say of themselves, and whether all of them is there.

OpenCV decodes what it finds of a file that was cut and leaves the rest grey, so the structure is
walked first. Sources: ISO/IEC 15948 (PNG), ITU-T T.81 (JPEG).
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_Bytes = npt.NDArray[np.uint8]

# JPEG start-of-frame markers; C4, C8 and CC are tables and reserved.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True)
class Header:
    """Size of a picture in pixels, and whether Pillow rather than OpenCV must decode it."""

    height: int
    width: int
    pillow: bool = False


def png_header(content: _Bytes) -> Header:
    """Read a PNG's header and walk its chunks to the end.

    Raises:
        ValueError: says what it is instead: cut off, animated, or damaged.
    """
    data = memoryview(content)
    if len(data) < 33 or bytes(data[12:16]) != b"IHDR":
        raise ValueError("one that is cut off")
    width, height = struct.unpack(">II", data[16:24])
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name = bytes(data[at + 4 : at + 8])
        if name == b"acTL":
            raise ValueError("an animated PNG; save the frame that is meant")
        if name == b"IEND":
            return Header(height, width)
        at += 12 + length
    raise ValueError("one that is cut off")


def jpeg_header(content: _Bytes) -> Header:
    """Read a JPEG's frame header and look for the end of its last scan.

    A thumbnail inside the metadata has an end mark of its own, so only one after the first scan
    counts.

    Raises:
        ValueError: says what it is instead: cut off, CMYK, or not of 8 bits.
    """
    data = memoryview(content)
    header: Header | None = None
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("one whose markers are damaged")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _BARE:
            at += 2
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        if marker in _FRAMES:
            header = _frame(data[at : at + 2 + length])
        if marker == 0xDA:
            if header is None or bytes(data[at:]).rfind(b"\xff\xd9") < 0:
                break
            return header
        at += 2 + length
    raise ValueError("one that is cut off")


def _frame(segment: memoryview) -> Header:
    if len(segment) < 10:
        raise ValueError("one that is cut off")
    precision, height, width, components = struct.unpack(">BHHB", segment[4:10])
    if precision != 8:
        raise ValueError(f"a JPEG of {precision} bits; convert it")
    if components not in (1, 3):
        raise ValueError(f"a JPEG of {components} components (CMYK); convert it to RGB")
    return Header(height, width)
