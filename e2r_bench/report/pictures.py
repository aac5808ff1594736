"""Pictures for a page: embedded as WebP data URIs, or linked as the PNG files of the run."""

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_bytes
from e2r_metrics.base.pictures import read_image

WEBP_QUALITY = 70
LOSSLESS_BYTES = 24_000_000
"""Up to so many bytes of PNG files, a page holds the files themselves."""
_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass
class Album:
    """Collects the pictures of one page; each is stored once, whoever shows it.

    Attributes:
        page: the page's path; links are relative to its folder.
        embed: True for data URIs inside the page, False for files beside it.
        exact: whether the page shows the files themselves; else WebP copies.
        sources: what the page loads, by key.
    """

    page: Path
    embed: bool
    exact: bool = True
    sources: list[str] = field(default_factory=list[str])
    _known: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def photo(self, path: Path) -> int:
        """Add a picture of the run and return its key; equal files are stored once.

        Raises:
            UsageError: the file is not a whole image.
        """
        if not self.embed:
            return self._add(os.fsencode(path), lambda: self._link(path))
        content = path.read_bytes()
        digest = hashlib.sha256(content).digest()
        if self.exact:
            return self._add(digest, lambda: data_uri(content, _TYPES[".png"]))
        return self._add(digest, lambda: data_uri(webp(read_image(path)), "image/webp"))

    def overlay(self, pixels: npt.NDArray[np.uint8], path: Path) -> int:
        """Add computed channels without loss, as a file at `path` when not embedded."""
        content = _encode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 6])
        if not self.embed:
            write_bytes(path, content)
            return self._add(os.fsencode(path), lambda: self._link(path))
        return self._add(content, lambda: data_uri(content, _TYPES[".png"]))

    def _add(self, key: bytes, source: Callable[[], str]) -> int:
        if key not in self._known:
            self.sources.append(source())
            self._known[key] = len(self.sources) - 1
        return self._known[key]

    def _link(self, path: Path) -> str:
        return quote(os.path.relpath(path, self.page.parent).replace(os.sep, "/"))


def plot_uri(path: Path) -> str:
    """Return a study's PNG or SVG as a data URI; scripts inside an SVG image never run."""
    return data_uri(path.read_bytes(), _TYPES[path.suffix.lower()])


def data_uri(content: bytes, kind: str) -> str:
    """Return bytes as a data URI of a media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def webp(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) uint8 RGB for looking at; numbers never come from it."""
    return _encode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])


def _encode(kind: str, pixels: npt.NDArray[np.uint8], options: list[int]) -> bytes:
    done, coded = cv2.imencode(kind, pixels[..., ::-1], options)
    if not done:
        raise UsageError(f"cannot encode a {pixels.shape} {pixels.dtype} picture as {kind[1:]}")
    return coded.tobytes()
