"""What of a pair is restored or scored, as named parts of a protocol: crop, border and depth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError, UsageError

Depth = Literal["stored", "round", "truncate"]
DEPTHS: Mapping[Depth, str] = MappingProxyType(
    {"stored": "", "round": "rounded to 8 bits", "truncate": "truncated to 8 bits"}
)
"""What happens to pictures of more than 8 bits a channel, in the words of a protocol."""


class Box(NamedTuple):
    """What stays of a picture: rows top to bottom, columns left to right, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def of(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the part of (H, W, ...), without a copy."""
        return image[self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class View:
    """The part of both pictures that is scored.

    Attributes:
        shave: pixels left out at each border, after the crop.
        crop: both sides are cut to multiples of it, around the centre.
        depth: whether deeper files are brought to 8 bits before anything is measured.
        side: squares of so many pixels are cut instead, around the centre; None for none.
    """

    shave: int = 0
    crop: int = 1
    depth: Depth = "stored"
    side: int | None = None

    def box(self, height: int, width: int) -> Box:
        """Return what stays of a picture of a size.

        Raises:
            PictureError: nothing would stay.
        """
        if self.side is not None and min(height, width) < self.side:
            raise PictureError(
                f"expected at least {self.side}x{self.side} pixels for --crop {self.side}, found "
                f"{width}x{height}"
            )
        (top, bottom), (left, right) = (self._span(side) for side in (height, width))
        if top >= bottom or left >= right:
            least = max(2 * self.shave + 1, self.crop)
            raise PictureError(
                f"expected at least {least} pixels a side for {' '.join(self.flags())}, found "
                f"{width}x{height}"
            )
        return Box(top, bottom, left, right)

    def _span(self, side: int) -> tuple[int, int]:
        spare = side % self.crop if self.side is None else side - self.side
        start = spare // 2
        return start + self.shave, start + side - spare - self.shave

    def flags(self) -> Iterator[str]:
        """Yield the flags of `e2r-bench score` that ask for this view."""
        if self.side is not None:
            yield from ("--crop", str(self.side))
        elif self.crop > 1:
            yield from ("--crop", f"x{self.crop}")
        if self.shave:
            yield from ("--shave", str(self.shave))
        if self.depth != "stored":
            yield from ("--depth", self.depth)

    def apply(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the part of (H, W, 3) that is scored, uint8 or float in [0, 1].

        Raises:
            PictureError: nothing would stay.
        """
        part = self.box(*image.shape[:2]).of(image)
        if self.depth == "stored" or part.dtype == np.uint8:
            return part
        scaled = part.astype(np.float64) * 255
        whole = np.rint(scaled) if self.depth == "round" else np.floor(scaled + _GRAIN)
        return np.clip(whole, 0, 255).astype(np.uint8)


def parse_crop(text: str | int) -> tuple[int | None, int]:
    """Return side and multiple of a crop: "128" is squares of 128 pixels, "x16" multiples of 16.

    Raises:
        UsageError: neither.
    """
    told = str(text)
    digits = told.removeprefix("x")
    if not (digits.isascii() and digits.isdigit() and int(digits) > 0):
        raise UsageError(
            f"--crop: expected N for squares of N pixels, or xN for multiples of N, found {told!r}"
        )
    return (None, int(digits)) if told.startswith("x") else (int(digits), 1)


# A 16-bit file of 257 times an 8-bit level is that level, whatever float32 made of it.
_GRAIN = 1e-4
WHOLE = View()
