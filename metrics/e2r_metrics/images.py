"""The boundary: what counts as a picture, checked once, with nothing guessed."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.channels import Channel

Image = npt.NDArray[np.uint8] | npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""(H, W, 3) RGB: uint8, or float32 / float64 in [0, 1]."""

PerImage = Callable[[Sequence[Image], Sequence[Image]], npt.NDArray[np.float64]]
"""From B restored and B clean images, sizes mixed or not, to (B,) values."""


def check_image(image: Image, name: str = "image") -> None:
    """Raise `UsageError` unless `image` is (H, W, 3), uint8 or float in [0, 1], without NaN."""
    shape, dtype = getattr(image, "shape", None), getattr(image, "dtype", None)
    if shape is None or len(shape) != 3 or shape[2] != 3:
        raise PictureError(
            f"{name}: expected an (H, W, 3) RGB array, found {type(image).__name__} "
            f"of shape {shape} and dtype {dtype}"
        )
    if 0 in image.shape:
        raise PictureError(f"{name}: expected at least one pixel, found shape {shape}")
    if image.dtype == np.uint8:
        return
    if str(dtype) not in ("float32", "float64"):
        raise PictureError(f"{name}: expected uint8, float32 or float64, found {dtype}")
    low, high = float(image.min()), float(image.max())
    if not (low >= 0.0 and high <= 1.0):
        raise PictureError(
            f"{name}: expected float values in [0, 1] without NaN, found {low:.4g} to {high:.4g}; "
            "divide by 255 or clip before"
        )


def check_pair(restored: Image, clean: Image) -> None:
    """Raise `UsageError` unless both are pictures of one size and one dtype."""
    check_image(restored, "restored")
    check_image(clean, "clean")
    if restored.shape != clean.shape or restored.dtype != clean.dtype:
        raise PictureError(
            "expected restored and clean of one size and dtype, found "
            f"{restored.shape} {restored.dtype} and {clean.shape} {clean.dtype}"
        )


def check_pairs(restored: Sequence[Image], clean: Sequence[Image]) -> None:
    """Raise `UsageError` unless the two sequences are of one length and made of pairs."""
    if len(restored) != len(clean):
        raise UsageError(
            f"expected as many restored as clean images, found {len(restored)} and {len(clean)}"
        )
    for one, other in zip(restored, clean, strict=True):
        check_pair(one, other)


def peak(image: Image) -> float:
    """Return the largest value the dtype of a checked image stands for: 255 or 1."""
    return 255.0 if image.dtype == np.uint8 else 1.0


def luma(image: Image, weights: tuple[float, float, float], offset: float) -> Image:
    """Return Y in 8-bit units, not rounded: (H, W) float64.

    Args:
        image: a checked image.
        weights: of R, G and B, such as `LUMA_FULL` with offset 0, or `LUMA_STUDIO` with offset 16.
        offset: what black maps to.
    """
    scale = 1.0 if image.dtype == np.uint8 else 255.0
    return image.astype(np.float64) @ (np.array(weights) * scale) + offset


def on_channel(image: Image, channel: Channel) -> Image:
    """Return what a channel shows of a checked picture.

    Args:
        image: (H, W, 3) RGB, uint8 or float in [0, 1].
        channel: a row of `CHANNELS`.

    Returns:
        (H, W, 3) as it came for "rgb"; (H, W, 1) as it came for "gray"; else (H, W, 1) float64 in
        8-bit units.

    Raises:
        PictureError: a coloured picture on "gray".
    """
    if channel.name == "rgb":
        return image
    if channel.weights is None:
        return _gray(image)
    plane = luma(image, channel.weights, channel.offset)[..., None]
    return cast(Image, np.rint(plane)) if channel.rounded else plane


def channel_peak(image: Image, channel: Channel) -> float:
    """Return the value of white on a channel: 255, or 1 where floats are taken as they came."""
    return peak(image) if channel.weights is None else 255.0


def is_gray(image: Image) -> bool:
    """Return whether R, G and B of a picture are equal everywhere."""
    return bool((image[..., :1] == image[..., 1:]).all())


def _gray(image: Image) -> Image:
    if not is_gray(image):
        raise PictureError(
            "channel gray: expected a gray picture (R = G = B), found colours; for their "
            "luma take y, y_full, y709 or y709_full"
        )
    return cast(Image, np.ascontiguousarray(image[..., :1]))


def to_uint8(image: Image) -> npt.NDArray[np.uint8]:
    """Return a checked image in 8 bits, rounded half to even; uint8 comes back as it is."""
    if image.dtype == np.uint8:
        return image  # pyright: ignore[reportReturnType]
    return np.rint(image * 255).astype(np.uint8)


def to_unit(image: Image) -> npt.NDArray[np.float32]:
    """Return a checked image as float32 in [0, 1]."""
    scale = np.float32(255.0 if image.dtype == np.uint8 else 1.0)
    return (image.astype(np.float32) / scale).astype(np.float32, copy=False)
