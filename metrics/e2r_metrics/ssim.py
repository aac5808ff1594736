"""Structural similarity (Wang et al., IEEE TIP 2004): scalars, per-pixel maps and their parts.

One code computes both: the scalar is the mean of the map over the windows that lie inside the
picture.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.channels import CHANNELS, Channel
from e2r_metrics.images import (
    Image,
    PerImage,
    channel_peak,
    check_pair,
    check_pairs,
    on_channel,
    peak,
)
from e2r_metrics.ssim_terms import (
    GAUSS,
    K1,
    K2,
    WINDOWS,
    Array,
    Terms,
    Window,
    similarity,
    strips,
)
from e2r_metrics.variants import ssim_variant


class Parts(NamedTuple):
    """The three factors of SSIM, each (H, W, C); their product is the SSIM map (C3 = C2 / 2)."""

    luminance: Array
    contrast: Array
    structure: Array


def ssim(restored: Image, clean: Image, window: Window = GAUSS, exact: bool = False) -> float:
    """Return the mean SSIM over R, G and B and over the windows inside the picture.

    Args:
        restored: (H, W, 3) RGB, uint8 or float32 / float64 in [0, 1].
        clean: the same size and dtype.
        window: `GAUSS` or `UNIFORM7`.
        exact: compute in float64; otherwise float64 input alone is, and the rest in float32,
            which moves the value by less than 2e-6 on photographs, and by up to 5e-5 where plain
            areas of very different levels meet.

    Raises:
        UsageError: another shape, dtype or range, NaN, unequal sizes, or a side shorter than the
            window.
    """
    check_pair(restored, clean)
    return _mean_ssim(restored, clean, window, peak(restored), exact)


def ssim_y(restored: Image, clean: Image) -> float:
    """Return SSIM with the Gaussian window on Y of BT.601 at 16-235, not rounded, peak 255.

    Arguments and errors as `ssim`; always float64.
    """
    return ssim_on(restored, clean, "gauss", CHANNELS["y"])


def ssim_pooled(restored: Image, clean: Image) -> float:
    """Return SSIM with the Gaussian window after average pooling to a shorter side of about 256.

    Both sides are divided by max(1, round(min(H, W) / 256)), as DehazeFormer's tables are made
    (Song et al., IEEE TIP 2023; PyTorch's adaptive pooling). Arguments and errors as `ssim`; always
    float64.
    """
    return ssim_on(restored, clean, "pooled", CHANNELS["rgb"])


def ssim_on(restored: Image, clean: Image, kind: str, channel: Channel) -> float:
    """Return the mean SSIM of one kind on one channel.

    Args:
        restored: as in `ssim`.
        clean: the same size and dtype.
        kind: a key of `WINDOWS`; "pooled", see `ssim_pooled`; or "padded": the Gaussian window over
            pictures with zeros around them, the mean over all pixels, as `pytorch_ssim` computes.
        channel: a row of `CHANNELS`. Y, pooled and padded are always float64.

    Raises:
        PictureError: see `ssim`, and `on_channel`.
    """
    check_pair(restored, clean)
    x, y = on_channel(restored, channel), on_channel(clean, channel)
    return mean_ssim(x, y, kind, channel_peak(restored, channel))


def mean_ssim(x: Array, y: Array, kind: str, top: float) -> float:
    """Return what `ssim_on` returns, from what the channel shows: (H, W, C) up to `top` each."""
    if kind == "pooled":
        x, y = pooled(x), pooled(y)
    elif kind == "padded":
        r = GAUSS.radius
        x, y = (np.pad(z, ((r, r), (r, r), (0, 0))) for z in (x, y))
    window = WINDOWS.get(kind, GAUSS)
    return _mean_ssim(x, y, window, top, exact=kind not in WINDOWS)


def pooled(image: Array) -> Array:
    """Return (H, W, C) averaged down to a shorter side of about 256; see `ssim_pooled`."""
    ratio = pool_ratio(*image.shape[:2])
    if ratio == 1:
        return image.astype(np.float64)
    sides = [int(side / ratio) for side in image.shape[:2]]
    return _pool(_pool(image, 0, sides[0]), 1, sides[1])


def pool_ratio(height: int, width: int) -> int:
    """Return by what both sides are divided in `pooled`."""
    return max(1, round(min(height, width) / 256))


def _pool(image: Array, axis: int, count: int) -> Array:
    """Average along an axis over `count` cells, which share a row where they do not divide it."""
    size, cells = image.shape[axis], np.arange(count)
    start, stop = cells * size // count, -(-(cells + 1) * size // count)
    sums = np.cumsum(np.moveaxis(image, axis, 0), axis=0, dtype=np.float64)
    sums = np.concatenate([np.zeros_like(sums[:1]), sums])
    widths = (stop - start).reshape(-1, *[1] * (sums.ndim - 1))
    return np.moveaxis((sums[stop] - sums[start]) / widths, 0, axis)


def ssim_map(restored: Image, clean: Image, window: Window = GAUSS, exact: bool = False) -> Array:
    """Return the SSIM of every pixel and channel, (H, W, 3); borders are mirrored.

    `interior` of it has the mean that `ssim` returns. Arguments and errors as `ssim`.
    """
    check_pair(restored, clean)
    r, top = window.radius, peak(restored)
    parts = strips(restored, clean, window, top, exact, pad=True)
    return np.concatenate([similarity(terms, top)[:, r:-r].copy() for terms in parts])


def inside_maps(x: Array, y: Array, windows: Sequence[Window], top: float) -> list[Array]:
    """Return SSIM by window inside the pictures, the mean over channels, (H - 2r, W - 2r) float64.

    Args:
        x: (H, W, C) with values up to `top`; a map's mean is that of `mean_ssim`, to float32.
        y: the same shape and dtype.
        windows: of the same taps, of radius r; what differs is the covariance.
        top: the peak.

    Returns:
        A map for each window, from one pass of filters.
    """
    r, c2 = windows[0].radius, 2 * (K2 * top) ** 2
    plain = Window(windows[0].taps)
    found: list[list[Array]] = [[] for _ in windows]
    for terms in strips(x, y, plain, top, exact=True, pad=False):
        mean_s, mean_d, var_s, var_d = terms
        for window, maps in zip(windows, found, strict=True):
            scale = window.covariance_scale
            own = Terms(mean_s.copy(), mean_d.copy(), (var_s - c2) * scale + c2, var_d * scale)
            maps.append(similarity(own, top)[:, r:-r].mean(2))
    return [np.concatenate(maps) for maps in found]


def ssim_parts(restored: Image, clean: Image, window: Window = GAUSS) -> Parts:
    """Return luminance, contrast and structure of every pixel, float64 (H, W, 3) each.

    Their product is `ssim_map(..., exact=True)`. Arguments and errors as `ssim`.
    """
    check_pair(restored, clean)
    top = peak(restored)
    x = restored.astype(np.float64)
    y = clean.astype(np.float64)
    c1, c2 = (K1 * top) ** 2, (K2 * top) ** 2
    both = _whole(x, y, window, top)
    # The sum of a picture with itself is 2 x: its variance is four times that of x.
    own = (_whole(z, z, window, top).var_s - 2 * c2 for z in (x, y))
    var_x, var_y = (np.maximum(var / 4, 0.0) for var in own)
    cov = (both.var_s - 2 * c2 - both.var_d) / 4
    spread = np.sqrt(var_x * var_y)
    return Parts(
        luminance=(both.mean_s - both.mean_d + 2 * c1) / (both.mean_s + both.mean_d + 2 * c1),
        contrast=(2 * spread + c2) / (var_x + var_y + c2),
        structure=(cov + c2 / 2) / (spread + c2 / 2),
    )


def interior(values: Array, window: Window = GAUSS) -> Array:
    """Return the part of a map whose windows lie inside the picture."""
    r = window.radius
    return values[r:-r, r:-r]


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant, see `ssim_variant`; no weights, always on the CPU."""
    del files, device
    kind, channel = ssim_variant(variant)

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        pairs = zip(restored, clean, strict=True)
        return np.array([ssim_on(x, y, kind, CHANNELS[channel]) for x, y in pairs])

    return measure


def contrast_structure(x: Array, y: Array, top: float) -> tuple[Array, Array]:
    """Return the means of SSIM and of its contrast-structure factor: one scale of MS-SSIM.

    Args:
        x: (H, W, C) float64 with values up to `top`.
        y: the same.
        top: the peak.

    Returns:
        Both means by channel, (C,) float64.
    """
    full = factor = np.zeros(x.shape[2])
    r = GAUSS.radius
    for terms in strips(x, y, GAUSS, top, exact=True, pad=False):
        var_s, var_d = terms.var_s[:, r:-r], terms.var_d[:, r:-r]
        factor = factor + ((var_s - var_d) / (var_s + var_d)).sum((0, 1))
        full = full + similarity(terms, top)[:, r:-r].sum((0, 1))
    count = (x.shape[0] - 2 * r) * (x.shape[1] - 2 * r)
    return full / count, factor / count


def _mean_ssim(x: Array, y: Array, window: Window, top: float, exact: bool) -> float:
    r = window.radius
    total, count = 0.0, 0
    for terms in strips(x, y, window, top, exact, pad=False):
        values = similarity(terms, top)[:, r:-r]
        # In double precision, and four times as fast as NumPy's sum of float32 in float64.
        total += sum(cv2.sumElems(values))
        count += values.size
    return total / count


def _whole(x: Array, y: Array, window: Window, top: float) -> Terms:
    r = window.radius
    strip = next(strips(x, y, window, top, exact=True, pad=True, rows=len(x)))
    return Terms(*(z[:, r:-r] for z in strip))
