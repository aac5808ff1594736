"""One pair to all its numbers: each error map and each SSIM map once, each view a box of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import PictureError
from e2r_metrics.channels import CHANNELS
from e2r_metrics.explain.candidates import CHANNEL, WHOLE_KINDS
from e2r_metrics.images import Image, channel_peak, on_channel
from e2r_metrics.psnr import decibel, error_map
from e2r_metrics.ssim import inside_maps, mean_ssim, pool_ratio
from e2r_metrics.ssim_terms import WINDOWS
from e2r_metrics.view import Box, View

_ROUNDING = 1e-13
_SHARED = (("gauss", "gauss_sample"), ("uniform7", "uniform7_population"))
"""Kinds of SSIM that differ in their covariance only."""
Table = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairNumbers:
    """The numbers of one pair, NaN where a view leaves too little.

    Attributes:
        psnr: by channel, (views,) float64 in dB.
        ssim: by kind and channel, (views,) float64.
    """

    psnr: Mapping[str, Table]
    ssim: Mapping[tuple[str, str], Table]


def measure_pair(
    restored: Image, clean: Image, views: Sequence[View], metrics: Sequence[str]
) -> PairNumbers:
    """Return what every channel, window and view gives for one pair.

    Args:
        restored: (H, W, 3) RGB, uint8 or float in [0, 1].
        clean: the same size and dtype.
        views: of one depth; the pictures are at that depth already.
        metrics: "psnr", "ssim" or both.
    """
    boxes = [_box(view, restored) for view in views]
    psnr: dict[str, Table] = {}
    ssim: dict[tuple[str, str], Table] = {}
    for name in CHANNEL:
        channel = CHANNELS[name]
        x, y = on_channel(restored, channel), on_channel(clean, channel)
        top = channel_peak(restored, channel)
        if "psnr" in metrics:
            psnr[name] = _psnr(x, y, top, boxes)
        if "ssim" in metrics:
            ssim |= {(kind, name): t for kind, t in _ssim(x, y, top, boxes, views).items()}
    return PairNumbers(psnr, ssim)


def _box(view: View, image: Image) -> Box | None:
    try:
        return view.box(*image.shape[:2])
    except PictureError:
        return None


def _psnr(x: Image, y: Image, top: float, boxes: Sequence[Box | None]) -> Table:
    sums = _sums(error_map(x, y))
    # What is left of equal pixels is rounding of the sums, not an error.
    least = _ROUNDING * sums[-1, -1]
    errors = [_sum(sums, box) if box else np.nan for box in boxes]
    return np.array(
        [
            decibel(error if error > least else 0.0, _area(box) * x.shape[2], top)
            if box
            else np.nan
            for error, box in zip(errors, boxes, strict=True)
        ]
    )


def _ssim(
    x: Image, y: Image, top: float, boxes: Sequence[Box | None], views: Sequence[View]
) -> dict[str, Table]:
    found: dict[str, Table] = {}
    for group in _SHARED:
        windows = [WINDOWS[kind] for kind in group]
        cut = 2 * windows[0].radius
        if min(x.shape[:2]) <= cut:
            found |= {kind: np.full(len(boxes), np.nan) for kind in group}
            continue
        # A window inside a box looks at nothing outside it: a box of the map is the map of a box.
        inner = [b and b._replace(bottom=b.bottom - cut, right=b.right - cut) for b in boxes]
        for kind, values in zip(group, inside_maps(x, y, windows, top), strict=True):
            found[kind] = _means(values, inner)
    return found | {
        kind: _whole(x, y, kind, top, boxes, views, found["gauss"]) for kind in WHOLE_KINDS
    }


def _means(values: Table, boxes: Sequence[Box | None]) -> Table:
    sums = _sums(values)
    return np.array([_sum(sums, b) / _area(b) if b and _area(b) else np.nan for b in boxes])


def _whole(
    x: Image,
    y: Image,
    kind: str,
    top: float,
    boxes: Sequence[Box | None],
    views: Sequence[View],
    plain: Table,
) -> Table:
    """Compute a kind that depends on where a picture ends: anew on each box, where not shaved.

    Where pooling by 1 changes nothing it is the `plain` kind.
    """
    known: dict[Box, float] = {}
    found = np.full(len(boxes), np.nan)
    for at, (box, view) in enumerate(zip(boxes, views, strict=True)):
        if box is None or view.shave:
            continue
        part = box.of(x)
        if box not in known and kind == "pooled" and pool_ratio(*part.shape[:2]) == 1:
            known[box] = float(plain[at])
        elif box not in known:
            known[box] = _tried(part, box.of(y), kind, top)
        found[at] = known[box]
    return found


def _tried(x: Image, y: Image, kind: str, top: float) -> float:
    try:
        return mean_ssim(x, y, kind, top)
    except PictureError:
        return float("nan")


def _sums(values: Table) -> Table:
    """Return the sums of (H, W) values above and left of every corner: (H + 1, W + 1) float64."""
    return np.asarray(cv2.integral(values, sdepth=cv2.CV_64F), np.float64)


def _sum(sums: Table, box: Box) -> float:
    top, bottom, left, right = box
    return float(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])


def _area(box: Box) -> int:
    return max(box.bottom - box.top, 0) * max(box.right - box.left, 0)
