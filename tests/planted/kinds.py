"""Errors that were not planted before: what editors and codecs do, at random places.

Each planter takes the region of the output, the whole output and a generator, and returns what is
pasted; glyphs change the truth too. The four older kinds are planted by the same rule: anywhere,
not only where there is texture. `kinds_measure.py` beside this file measures the maps on them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np
from planted_errors import FITTING as OLD_FITTING
from planted_errors import PLANTS, eight_bit

from e2r_bench.maps.bands import Map
from e2r_metrics.base.pictures import EightBit

SIDE = 32
"""Side of a planted region in pixels."""
MARGIN = 8
"""Pixels between a region and the border."""
_FEATHER = 1.5
_LETTERS = "RFGJLPQESN"
_FAINT = 14.0
"""Levels by which faint glyphs differ from what lies below."""

Planter = Callable[[EightBit, EightBit, np.random.Generator], EightBit]
"""From the region, the whole output and a generator to what is pasted."""


def _cloned(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    """Copy another region of the same picture, as a clone stamp does."""
    del region
    top, left = _corner(whole, rng)
    return whole[top : top + SIDE, left : left + SIDE]


def _inpainted(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    """Fill all but the rim from the rim: Telea, JGT 9 (2004), OpenCV's."""
    del whole, rng
    hole = np.zeros(region.shape[:2], np.uint8)
    hole[2:-2, 2:-2] = 255
    return cv2.inpaint(region, hole, 3, cv2.INPAINT_TELEA)  # pyright: ignore[reportReturnType]


def _compressed(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    del whole
    quality = int(rng.integers(8, 20))
    _, coded = cv2.imencode(".jpg", region, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)  # pyright: ignore[reportReturnType]


def _moire(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    """Add a grating of 8 levels, of a period of 4 to 10 pixels at any angle."""
    del whole
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(4, 10), rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    along = rows * np.sin(angle) + columns * np.cos(angle)
    return eight_bit(region + 8 * np.sin(2 * np.pi * along / period + phase)[..., None])


def _haloed(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    """Sharpen too much: edges get rims of the other side's colour."""
    del whole, rng
    smooth = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 2.5)
    return eight_bit(region + 1.5 * (region - smooth))


def _hued(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    """Turn a* and b* by 40 degrees: lightness and chroma stay."""
    del whole
    turn = np.deg2rad(40) * rng.choice((-1, 1))
    lab = cv2.cvtColor(region.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    a, b = lab[..., 1].copy(), lab[..., 2].copy()
    lab[..., 1] = a * np.cos(turn) - b * np.sin(turn)
    lab[..., 2] = a * np.sin(turn) + b * np.cos(turn)
    return eight_bit(255 * cv2.cvtColor(lab, cv2.COLOR_Lab2RGB))


def _flattened(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    """Halve the contrast about the region's mean colour."""
    del whole, rng
    mean = region.mean(axis=(0, 1), dtype=np.float64)
    return eight_bit(mean + 0.5 * (region - mean))


def _turned(region: EightBit, whole: EightBit, rng: np.random.Generator) -> EightBit:
    """Turn the content by 4 degrees about its centre."""
    del whole
    middle = ((SIDE - 1) / 2, (SIDE - 1) / 2)
    turn = cv2.getRotationMatrix2D(middle, 4.0 * rng.choice((-1, 1)), 1)
    return cv2.warpAffine(  # pyright: ignore[reportReturnType]
        region, turn, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )


PLANTERS: Mapping[str, Planter] = MappingProxyType(
    {
        "clone stamp": _cloned,
        "inpainted": _inpainted,
        "JPEG": _compressed,
        "moire": _moire,
        "halos": _haloed,
        "hue turned": _hued,
        "contrast halved": _flattened,
        "turned by 4 degrees": _turned,
    }
)
GLYPHS = ("mirrored glyphs", "faint glyphs")
KINDS = (*PLANTERS, *GLYPHS, *PLANTS)
FITTING: Mapping[str, str] = MappingProxyType(
    {
        **OLD_FITTING,
        "clone stamp": "invented",
        "inpainted": "lost",
        "JPEG": "lost",
        "moire": "invented",
        "halos": "invented",
        "hue turned": "unfaithful",
        "contrast halved": "unfaithful",
        "turned by 4 degrees": "invented",
        "mirrored glyphs": "invented",
        "faint glyphs": "invented",
    }
)
"""The map that should find each; chosen by what each error is, before any was measured."""


@dataclass(frozen=True)
class Place:
    """Where an error goes, and what is needed to put it there again into another output."""

    top: int
    left: int
    seed: int

    def region(self) -> tuple[slice, slice]:
        """Return the rows and columns of the region."""
        return slice(self.top, self.top + SIDE), slice(self.left, self.left + SIDE)


def place_in(shape: tuple[int, ...], rng: np.random.Generator) -> Place:
    """Draw a region anywhere in a picture, textured or not."""
    top, left = (int(rng.integers(MARGIN, side - SIDE - MARGIN + 1)) for side in shape[:2])
    return Place(top, left, int(rng.integers(2**31)))


def with_glyphs(kind: str, truth: EightBit, place: Place) -> EightBit:
    """Return the truth that an output is made from: it has the glyphs that will be mirrored."""
    if kind != "mirrored glyphs":
        return truth
    found = truth.copy()
    found[place.region()] = _written(truth[place.region()], place, 90.0)
    return found


def plant_kind(kind: str, output: EightBit, other: EightBit, place: Place) -> tuple[EightBit, Map]:
    """Plant an error; return the spoilt picture and the mask, 1 where it was planted.

    Args:
        kind: one of `KINDS`.
        output: (H, W, 3) uint8 RGB.
        other: another photograph, for the foreign patch.
        place: where.
    """
    rng = np.random.default_rng(place.seed)
    region = output[place.region()]
    if kind == "mirrored glyphs":
        pasted = region[:, ::-1]
    elif kind == "faint glyphs":
        pasted = _written(region, place, _FAINT)
    elif kind in PLANTS:
        pasted = PLANTS[kind](region, other[place.region()], rng)
    else:
        pasted = PLANTERS[kind](region, output, rng)
    mask = np.zeros(output.shape[:2], np.float32)
    mask[place.region()] = 1
    whole = output.astype(np.float32)
    whole[place.region()] = pasted
    soft = cv2.GaussianBlur(mask, (0, 0), _FEATHER)[..., None] * mask[..., None]
    return eight_bit(output + soft * (whole - output)), mask


def _written(region: EightBit, place: Place, levels: float) -> EightBit:
    """Write two letters over a region, lighter or darker than it by so many levels."""
    rng = np.random.default_rng(place.seed)
    letters = "".join(rng.choice(list(_LETTERS), 2))
    ink = np.zeros(region.shape[:2], np.uint8)
    cv2.putText(ink, letters, (1, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.75, 255, 2, cv2.LINE_AA)
    sign = -1.0 if region.mean() > 127 else 1.0
    return eight_bit(region + sign * levels * (ink / 255)[..., None])


def _corner(whole: EightBit, rng: np.random.Generator) -> tuple[int, int]:
    top, left = (int(rng.integers(0, side - SIDE + 1)) for side in whole.shape[:2])
    return top, left
