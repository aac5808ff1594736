"""What PNG, JPEG and TIFF files say of themselves, and whether all of them is there.

OpenCV decodes what it finds of a file that was cut and leaves the rest grey, so the structure is
walked first. Sources: ISO/IEC 15948 (PNG), ITU-T T.81 (JPEG), TIFF 6.0.
"""

import struct
from dataclasses import dataclass

# JPEG start-of-frame markers; C4, C8 and CC are tables and reserved.
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})


@dataclass(frozen=True)
class Header:
    """Size of a picture in pixels, and whether Pillow rather than OpenCV must decode it."""

    height: int
    width: int
    pillow: bool = False


def png_header(data: bytes) -> Header:
    """Read a PNG's header and walk its chunks to the end.

    Raises:
        ValueError: says what it is instead: cut off, animated, or damaged.
    """
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise ValueError("one that is cut off")
    width, height = struct.unpack(">II", data[16:24])
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        name = data[at + 4 : at + 8]
        if name == b"acTL":
            raise ValueError("an animated PNG; save the frame that is meant")
        if name == b"IEND":
            return Header(height, width)
        at += 12 + length
    raise ValueError("one that is cut off")


def jpeg_header(data: bytes) -> Header:
    """Read a JPEG's frame header and look for the end of its last scan.

    A thumbnail inside the metadata has an end mark of its own, so only one after the first scan
    counts.

    Raises:
        ValueError: says what it is instead: cut off, CMYK, or not of 8 bits.
    """
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
            if header is None or data.rfind(b"\xff\xd9", at) < 0:
                break
            return header
        at += 2 + length
    raise ValueError("one that is cut off")


def _frame(segment: bytes) -> Header:
    if len(segment) < 10:
        raise ValueError("one that is cut off")
    precision, height, width, components = struct.unpack(">BHHB", segment[4:10])
    if precision != 8:
        raise ValueError(f"a JPEG of {precision} bits; convert it")
    if components not in (1, 3):
        raise ValueError(f"a JPEG of {components} components (CMYK); convert it to RGB")
    return Header(height, width)


def tiff_header(data: bytes) -> Header:
    """Read the first directory of a TIFF; Pillow knows no colours in floats, so it is not asked.

    Raises:
        ValueError: says what it is instead: cut off, of several pages, CMYK or Lab.
    """
    order = "<" if data.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        (more,) = struct.unpack_from(f"{order}I", data, at + 2 + 12 * count)
        tags = dict(_tiff_tag(order, data, at + 2 + 12 * k) for k in range(count))
        height, width, colours = tags[257], tags[256], tags.get(262, 2)
    except (struct.error, KeyError) as error:
        raise ValueError("one that is cut off") from error
    if more:
        raise ValueError("several frames or pages in one file; save the one that is meant")
    if colours in (5, 8):
        raise ValueError("a TIFF in CMYK or Lab; convert it to RGB")
    return Header(height, width)


def _tiff_tag(order: str, data: bytes, at: int) -> tuple[int, int]:
    """Return a tag and its first value, as far as that is a whole number in the entry itself."""
    tag, kind = struct.unpack_from(f"{order}HH", data, at)
    (value,) = struct.unpack_from(f"{order}H" if kind == 3 else f"{order}I", data, at + 8)
    return tag, value
