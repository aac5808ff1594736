"""Maps as pictures: perceptually uniform, colour-blind safe, with their scale."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from e2r_bench.maps.bands import Map
from e2r_metrics.base.pictures import EightBit

_BAR, _PAD, _LINE, _TEXT = 10, 4, 13, 0.36
# Ends and middle of the diverging map in CIELAB: blue and orange of one lightness and one chroma,
# so that equal errors of both signs look equally strong, also to colour-blind eyes.
_DIVERGING = ((45.0, -8.0, -45.0), (96.0, 0.0, 0.0), (45.0, 33.0, 45.0))


@dataclass(frozen=True)
class Scale:
    """What the colours of a map mean; values beyond the ends take the ends' colours.

    Attributes:
        title: what is shown.
        unit: of the numbers at the ends.
        low, high: the ends, fixed so that pictures compare.
    """

    title: str
    unit: str
    low: float
    high: float

    @property
    def diverging(self) -> bool:
        """Return whether zero is in the middle."""
        return self.low < 0


def paint(values: Map, scale: Scale) -> EightBit:
    """Return a map as (H + bar, W, 3) uint8 RGB with its scale below."""
    share = np.clip((values - scale.low) / (scale.high - scale.low), 0, 1)
    coloured = _palette(scale.diverging)[np.rint(share * 255).astype(np.uint8)]
    return np.concatenate([coloured, _legend(scale, values.shape[1])])


def overlay(values: Map, scale: Scale, picture: EightBit) -> EightBit:
    """Return a picture in grey under its map, (H, W, 3): the larger a value, the more it covers."""
    share = np.clip((values - scale.low) / (scale.high - scale.low), 0, 1)
    coloured = _palette(scale.diverging)[np.rint(share * 255).astype(np.uint8)]
    cover = np.sqrt(np.abs(2 * share - 1) if scale.diverging else share)[..., None]
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
    return np.rint(grey * (1 - cover) + coloured * cover).astype(np.uint8)


@cache
def _palette(diverging: bool) -> EightBit:
    """Return 256 colours, (256, 3): viridis, or a diverging map that is even in lightness."""
    if not diverging:
        ramp = np.arange(256, dtype=np.uint8)[:, None]
        return cv2.applyColorMap(ramp, cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].astype(np.uint8)
    at = np.linspace(0, 2, 256)
    lab = np.stack([np.interp(at, (0, 1, 2), part) for part in zip(*_DIVERGING, strict=True)], -1)
    rgb = cv2.cvtColor(lab[None].astype(np.float32), cv2.COLOR_Lab2RGB)[0]
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def ramp_tables() -> tuple[str, str, str]:
    """Return viridis as red, green and blue tables of 17 shares, for SVG's feComponentTransfer."""
    chosen = _palette(False)[np.linspace(0, 255, 17).astype(int)] / 255
    red, green, blue = (" ".join(f"{v:.3f}" for v in channel) for channel in chosen.T)
    return red, green, blue


def caption(text: str, width: int) -> EightBit:
    """Return text on white, (height, width, 3), in as many lines as it takes."""
    lines = _wrapped(text, width - 2 * _PAD)
    strip = np.full((_LINE * len(lines) + 2 * _PAD, width, 3), 255, np.uint8)
    for place, line in enumerate(lines):
        _write(strip, line, _PAD, _LINE * (place + 1))
    return strip


def _legend(scale: Scale, width: int) -> npt.NDArray[np.uint8]:
    """Return the bar with its ends, and the title below them."""
    ends = f"{scale.low:g}", f"{scale.high:g}"
    bar = np.full((_BAR + _PAD + _LINE, width, 3), 255, np.uint8)
    ramp = np.linspace(0, 255, max(width - 2 * _PAD, 1)).astype(np.uint8)
    bar[_PAD : _PAD + _BAR, _PAD : _PAD + len(ramp)] = _palette(scale.diverging)[ramp]
    base = _PAD + _BAR + 12
    _write(bar, ends[0], _PAD, base)
    _write(bar, ends[1], width - _PAD - _width(ends[1]), base)
    title = f"{scale.title}, {scale.unit}" if scale.unit else scale.title
    return np.concatenate([bar, caption(title, width)])


def _write(strip: EightBit, text: str, x: int, y: int) -> None:
    at, grey = (x, y), (40, 40, 40)
    cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, _TEXT, grey, 1, cv2.LINE_AA)


def _wrapped(text: str, room: int) -> list[str]:
    """Return the text in lines that fit; a word that is wider than the room is broken."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        fits = _width(longer) <= room
        lines = [*lines[:-1], longer] if fits else [*lines, *_broken(word, room)]
    return lines


def _broken(word: str, room: int) -> list[str]:
    lines = [""]
    for letter in word:
        longer = lines[-1] + letter
        lines = (
            [*lines[:-1], longer] if _width(longer) <= room or not lines[-1] else [*lines, letter]
        )
    return lines


def _width(text: str) -> int:
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _TEXT, 1)[0][0]
