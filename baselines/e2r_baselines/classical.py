"""Restorers without learned weights: three denoisers, a dehazer and a derainer.

The denoisers are library code; the dark channel prior and the guided filters are written here from
the papers. None of them reads more than the picture, the noise level apart.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from e2r_baselines.method import Build, Compute, Draw, Opener, Photo, Pixels, Restored
from e2r_baselines.noise import noise_level
from e2r_baselines.sizes import pad_to_multiple
from e2r_baselines.tasks import Task
from e2r_metrics.base.errors import UsageError

Filter = Callable[[Pixels, Task], Pixels]
_Map = npt.NDArray[np.float32]

# BM3D's blocks and the wavelet pyramid need some room; smaller pictures are mirrored up to it.
_SMALLEST = 32


@dataclass(frozen=True)
class FilterRestorer:
    """Runs a function of one picture, mirrored up to 32 pixels a side, and cut back."""

    filter: Filter

    def restore(
        self, photos: Sequence[Photo], task: Task, draws: Sequence[Draw]
    ) -> Iterator[Restored]:
        """Yield one result per photo and draw; see `Restorer.restore`."""
        for photo in photos:
            height, width = photo.pixels.shape[:2]
            roomy = pad_to_multiple(photo.pixels, 1, "reflect", _SMALLEST)
            pixels = self.filter(roomy, task)[:height, :width].astype(np.float32)
            for draw in draws:
                yield Restored(photo.id, draw, pixels)


def opener(function: Filter) -> Opener:
    """Return what opens a restorer around `function`; there is nothing to load."""

    def open_filter(build: Build, files: Mapping[str, Path], compute: Compute) -> FilterRestorer:
        del build, files, compute
        return FilterRestorer(function)

    return open_filter


def bm3d(pixels: Pixels, task: Task) -> Pixels:
    """Colour BM3D (Dabov et al., IEEE TIP 2007) by PyPI `bm3d`, both stages."""
    try:
        from bm3d import bm3d_rgb
    except ImportError as error:
        raise UsageError(
            "bm3d needs the package bm3d, whose licence is non-commercial: pip install bm3d"
        ) from error

    sigma = noise_level(pixels, task)
    return bm3d_rgb(pixels.astype(np.float64), sigma) if sigma > 0 else pixels


def non_local_means(pixels: Pixels, task: Task) -> Pixels:
    """Non-local means (Buades et al., CVPR 2005): 5x5 patches, 13x13 window, h = 0.6 sigma."""
    from skimage.restoration import denoise_nl_means

    sigma = noise_level(pixels, task)
    return denoise_nl_means(
        pixels, patch_size=5, patch_distance=6, h=0.6 * sigma, sigma=sigma, channel_axis=-1
    )


def wavelet(pixels: Pixels, task: Task) -> Pixels:
    """BayesShrink soft thresholds in YCbCr (Chang et al., IEEE TIP 2000), db2 wavelets."""
    from skimage.restoration import denoise_wavelet

    sigma = noise_level(pixels, task)
    if sigma == 0:
        # A threshold of zero divides flat places by zero.
        return pixels
    return denoise_wavelet(
        pixels, sigma=sigma, wavelet="db2", convert2ycbcr=True, rescale_sigma=True, channel_axis=-1
    )


def dark_channel_prior(pixels: Pixels, task: Task) -> Pixels:
    """Dehaze by the dark channel prior (He et al., CVPR 2009), refined by a guided filter.

    Patch 15, omega 0.95, t0 0.1; the airlight is the mean colour of the 0.1% of pixels with the
    brightest dark channel; guided filter of radius 60, eps 1e-3, on the grey picture.
    """
    del task
    dark = _dark_channel(pixels)
    count = max(1, dark.size // 1000)
    brightest = np.argpartition(dark.ravel(), -count)[-count:]
    airlight = np.maximum(pixels.reshape(-1, 3)[brightest].mean(0), 1e-3)
    transmission = 1 - 0.95 * _dark_channel(pixels / airlight)
    grey = np.asarray(pixels.mean(-1), np.float32)
    refined = np.clip(guided_filter(grey, transmission, 60, 1e-3), 0.1, 1)[..., None]
    return (pixels - airlight) / refined + airlight


def _dark_channel(pixels: Pixels) -> _Map:
    darkest = np.ascontiguousarray(pixels.min(-1), np.float32)
    return np.asarray(cv2.erode(darkest, np.ones((15, 15), np.uint8)), np.float32)


def guided_derain(pixels: Pixels, task: Task) -> Pixels:
    """Derain by guided filters, after Zheng et al. (ICONIP 2013).

    Each channel is split by a guided filter of radius 3, eps 0.04; the fine part is rebuilt with
    the smooth part as its guide, which holds no streaks; since rain only brightens, the result is
    bounded by the input; the input, filtered by that bound (radius 7, eps 0.001), keeps the detail
    that stands in both. The settings were chosen on synthetic rain over dead-leaves pictures.
    """
    del task
    return np.stack([_derain_channel(pixels[..., c]) for c in range(3)], -1)


def _derain_channel(channel: _Map) -> _Map:
    channel = np.ascontiguousarray(channel)
    smooth = guided_filter(channel, channel, 3, 0.04)
    rebuilt = smooth + guided_filter(smooth, channel - smooth, 3, 0.04)
    bound = np.minimum(rebuilt, channel)
    guide = np.asarray(0.8 * bound + 0.2 * rebuilt, np.float32)
    return guided_filter(guide, channel, 7, 1e-3)


def guided_filter(guide: _Map, source: _Map, radius: int, eps: float) -> _Map:
    """Fit `source` linearly to `guide` in every window and average the fits.

    Args:
        guide: (H, W) float32.
        source: (H, W) float32.
        radius: of the square window, in pixels; windows are reflected at the border.
        eps: penalty on the slope, in squared units of the guide.

    Returns:
        (H, W) float32.

    Source: He, Sun and Tang, "Guided Image Filtering" (ECCV 2010).
    """
    # Float64: variances are differences of means of squares.
    x, y = guide.astype(np.float64), source.astype(np.float64)

    def mean(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        window = (2 * radius + 1, 2 * radius + 1)
        return np.asarray(cv2.blur(values, window, borderType=cv2.BORDER_REFLECT), np.float64)

    mean_x, mean_y = mean(x), mean(y)
    slope = (mean(x * y) - mean_x * mean_y) / (mean(x * x) - mean_x**2 + eps)
    offset = mean_y - slope * mean_x
    return (mean(slope) * x + mean(offset)).astype(np.float32)


open_bm3d = opener(bm3d)
open_nlm = opener(non_local_means)
open_wavelet = opener(wavelet)
open_dcp = opener(dark_channel_prior)
open_gf_derain = opener(guided_derain)
