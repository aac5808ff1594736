"""The generic edits that the base of `kontext-nano` is trained on; none of them restores anything.

Each edit has several wordings, so that the base learns to read a prompt rather than a label.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

from e2r_baselines.method import Pixels


@dataclass(frozen=True)
class Edit:
    """One edit.

    Attributes:
        prompts: wordings.
        apply: source picture -> target picture, both (H, W, 3) float32 in [0, 1].
        weight: how often it is drawn, relative to the others.
    """

    prompts: tuple[str, ...]
    apply: Callable[[Pixels], Pixels]
    weight: float = 1.0


def _gamma(image: Pixels, exponent: float) -> Pixels:
    return np.asarray(image**exponent, np.float32)


def _contrast(image: Pixels, gain: float) -> Pixels:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return mean + gain * (image - mean)


def _blur(image: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)


def _sharpen(image: Pixels) -> Pixels:
    return np.asarray(image + 0.8 * (image - _blur(image, 1.2)), np.float32)


def _invert(image: Pixels) -> Pixels:
    return np.asarray(1 - image, np.float32)


def _grey(image: Pixels) -> Pixels:
    return np.repeat(image @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)


def _tint(image: Pixels, gains: tuple[float, float, float]) -> Pixels:
    return image * np.array(gains, np.float32)


EDITS: Mapping[str, Edit] = MappingProxyType(
    {
        "keep": Edit(
            ("keep the image as it is", "do not change the image", "copy the image"),
            lambda image: image,
            weight=2.0,
        ),
        "brighten": Edit(
            ("brighten the image", "make the image brighter", "increase the brightness"),
            lambda image: _gamma(image, 0.6),
        ),
        "darken": Edit(
            ("darken the image", "make the image darker", "decrease the brightness"),
            lambda image: _gamma(image, 1.6),
        ),
        "contrast": Edit(
            ("increase the contrast of the image", "add contrast", "more contrast"),
            lambda image: _contrast(image, 1.5),
        ),
        "fade": Edit(
            ("decrease the contrast of the image", "fade the image", "less contrast"),
            lambda image: _contrast(image, 0.6),
        ),
        "blur": Edit(
            ("blur the image", "make the image softer", "add blur"),
            lambda image: _blur(image, 1.5),
        ),
        "sharpen": Edit(
            ("sharpen the image", "make the image crisper", "add sharpness"),
            _sharpen,
        ),
        "grey": Edit(
            ("make the image black and white", "remove the colours", "turn the image grey"),
            _grey,
        ),
        "warm": Edit(
            ("make the colours warmer", "give the image a warm tone", "add a red tint"),
            lambda image: _tint(image, (1.15, 1.0, 0.75)),
        ),
        "cool": Edit(
            ("make the colours cooler", "give the image a cold tone", "add a blue tint"),
            lambda image: _tint(image, (0.75, 1.0, 1.15)),
        ),
        "invert": Edit(
            ("invert the colours", "make a negative of the image", "make the image negative"),
            _invert,
            weight=0.7,
        ),
        "flip": Edit(
            ("flip the image", "mirror the image", "turn left into right"),
            lambda image: np.ascontiguousarray(image[:, ::-1]),
            weight=0.7,
        ),
    }
)


def draw_edit(rng: np.random.Generator) -> tuple[Edit, str]:
    """Draw an edit and one of its wordings."""
    edits = list(EDITS.values())
    weights = np.array([edit.weight for edit in edits])
    edit = edits[int(rng.choice(len(edits), p=weights / weights.sum()))]
    return edit, edit.prompts[int(rng.integers(len(edit.prompts)))]
