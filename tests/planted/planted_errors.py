"""Errors of known place and kind, planted into real photographs: do the maps find them?

`measure.py` beside this file measures it.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_bench.maps.bands import Map
from e2r_metrics.base.pictures import EightBit

SIDE = 48
"""Side of a planted region in pixels."""
_FEATHER = 1.5
_COLOUR_SHIFT = np.array([0.0, 12.0, -12.0], np.float32)
"""In L*, a*, b*."""
Floats = npt.NDArray[np.floating[Any]]

Planter = Callable[[EightBit, EightBit, np.random.Generator], EightBit]
"""From a region of the output and a region of another photograph to what is pasted."""


def _patch(region: EightBit, foreign: EightBit, rng: np.random.Generator) -> EightBit:
    del region, rng
    return foreign


def _erased(region: EightBit, foreign: EightBit, rng: np.random.Generator) -> EightBit:
    """Take all detail below about eight pixels away; colours stay."""
    del foreign, rng
    return cv2.GaussianBlur(region, (0, 0), 4.0)  # pyright: ignore[reportReturnType]


def _recoloured(region: EightBit, foreign: EightBit, rng: np.random.Generator) -> EightBit:
    del foreign, rng
    lab = cv2.cvtColor(region.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    shifted = cv2.cvtColor(lab + _COLOUR_SHIFT, cv2.COLOR_Lab2RGB)
    return eight_bit(shifted * 255)


def _resynthesised(region: EightBit, foreign: EightBit, rng: np.random.Generator) -> EightBit:
    """Give the region's detail random phases: the same spectrum, another texture.

    Random phase noise: Galerne, Gousseau and Morel, IEEE TIP 20 (2011); one set of phases for all
    channels keeps their correlation.
    """
    del foreign
    smooth = cv2.GaussianBlur(region.astype(np.float32), (0, 0), 4.0)
    phase = np.angle(np.fft.fft2(rng.standard_normal(region.shape[:2])))[..., None]
    spectrum = np.fft.fft2(region - smooth, axes=(0, 1))
    texture = np.fft.ifft2(spectrum * np.exp(1j * phase), axes=(0, 1)).real
    return eight_bit(smooth + texture)


PLANTS: Mapping[str, Planter] = MappingProxyType(
    {
        "foreign patch": _patch,
        "detail erased": _erased,
        "colour shifted": _recoloured,
        "texture re-synthesised": _resynthesised,
    }
)
FITTING: Mapping[str, str] = MappingProxyType(
    {
        "foreign patch": "invented",
        "detail erased": "lost",
        "colour shifted": "unfaithful",
        "texture re-synthesised": "invented",
    }
)
"""The map that should find each."""


def plant(
    kind: str, output: EightBit, other: EightBit, rng: np.random.Generator
) -> tuple[EightBit, Map]:
    """Plant one error in a textured region.

    Args:
        kind: a key of `PLANTS`.
        output: the restored picture it is planted in.
        other: another photograph, for the foreign patch.
        rng: chooses the regions.

    Returns:
        The spoilt picture, and the mask: 1 inside, 0 outside.
    """
    top, left = _textured(output, rng)
    y, x = _textured(other, rng)
    rows, columns = slice(top, top + SIDE), slice(left, left + SIDE)
    pasted = PLANTS[kind](output[rows, columns], other[y : y + SIDE, x : x + SIDE], rng)
    mask = np.zeros(output.shape[:2], np.float32)
    mask[rows, columns] = 1
    whole = output.astype(np.float32)
    whole[rows, columns] = pasted
    soft = cv2.GaussianBlur(mask, (0, 0), _FEATHER)[..., None] * mask[..., None]
    return eight_bit(output + soft * (whole - output)), mask


def _textured(image: EightBit, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a corner among the tenth of all regions with most detail: erasing sky is no error."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), 4.0)
    energy = cv2.boxFilter(detail * detail, -1, (SIDE, SIDE), anchor=(0, 0))
    inside = energy[8 : -SIDE - 8 : 4, 8 : -SIDE - 8 : 4]
    ranked = np.argsort(inside, axis=None)
    chosen = int(ranked[-1 - rng.integers(max(len(ranked) // 10, 1))])
    row, column = np.unravel_index(chosen, inside.shape)
    return 8 + 4 * int(row), 8 + 4 * int(column)


def auroc(values: Map, mask: Map) -> float:
    """Return the chance that a planted pixel has a larger value than another one; ties count half.

    Args:
        values: (H, W), larger where an error is suspected.
        mask: (H, W), 1 on planted pixels.
    """
    from scipy.stats import rankdata

    planted = mask.ravel() > 0
    ranks = rankdata(values.ravel())
    inside, outside = int(planted.sum()), int((~planted).sum())
    return float((ranks[planted].sum() - inside * (inside + 1) / 2) / (inside * outside))


def eight_bit(values: Floats) -> EightBit:
    """Return levels of any float type, rounded and cut to 0..255."""
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
