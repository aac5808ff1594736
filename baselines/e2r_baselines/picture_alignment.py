"""Where one picture lies in another, and whether their fine detail agrees there.

Cropping and resizing are all that is looked for. The verification correlates detail, so that two
skies or two lawns are no match.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from e2r_baselines.picture_prints import Points

_FLAT = 0.25  # squared 8-bit levels: pictures flatter than this agree about nothing
_SHIFTS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))  # keypoints are a pixel off
_OVERLAP_SIDE = 24  # pixels; correlations of smaller patches are chance
_TURN = 20.0  # degrees: crops and resizes do not turn a picture
_LOOSE, _TIGHT = 6.0, 2.5  # pixels of the test picture
_INLIERS = 5

Affine = npt.NDArray[np.float64]
"""(2, 3): scale and shift of each axis."""
_Gray = npt.NDArray[np.float32]


def align(source: Points, target: Points) -> Affine | None:
    """Fit x' = a x + b, y' = c y + d: what cropping and resizing do, and nothing else.

    Every match is a hypothesis by itself, since a keypoint has a size and an angle: the one that
    most other matches agree with is refined by least squares. No draw is made.
    """
    turned = np.abs((source[:, 3] - target[:, 3] + 180) % 360 - 180)
    upright = turned < _TURN
    source, target = source[upright], target[upright]
    if len(source) < _INLIERS:
        return None
    scale = target[:, 2] / source[:, 2]
    shift = target[:, :2] - scale[:, None] * source[:, :2]
    guess = scale[:, None, None] * source[None, :, :2] + shift[:, None]
    miss = np.linalg.norm(guess - target[None, :, :2], axis=2)
    best = int(np.argmax((miss < _LOOSE).sum(axis=1)))
    near = miss[best] < _LOOSE
    for tolerance in (_LOOSE, _TIGHT, _TIGHT):
        if near.sum() < _INLIERS:
            return None
        affine = _fit(source[near, :2], target[near, :2])
        moved = source[:, :2] @ affine[:, :2].T + affine[:, 2]
        near = np.linalg.norm(moved - target[:, :2], axis=1) < tolerance
    distinct = len(np.unique(np.round(target[near, :2] / 4), axis=0))
    scales = np.diag(affine[:, :2])
    sane = bool(np.all((scales > 0.1) & (scales < 10)))
    if distinct < _INLIERS or not sane:
        return None
    # Most crops are cut and not resized: then the shift is whole pixels, and verification exact.
    if np.all(np.abs(scales - 1) < 0.01):
        shift = np.round(np.median(target[near, :2] - source[near, :2], axis=0))
        return np.column_stack([np.eye(2), shift]).astype(np.float64)
    return affine


def _fit(source: npt.NDArray[np.float32], target: npt.NDArray[np.float32]) -> Affine:
    """Return the least-squares scale and shift of each axis as a 2x3 matrix."""
    center, aim = source.mean(axis=0), target.mean(axis=0)
    centered = source - center
    spread = np.maximum((centered**2).sum(axis=0), 1e-6)
    scale = (centered * (target - aim)).sum(axis=0) / spread
    return np.column_stack([np.diag(scale), aim - scale * center]).astype(np.float64)


def stretch(source: Sequence[int], target: Sequence[int]) -> Affine:
    """Return the scaling of one (height, width) to another, pixel centres at halves."""
    scale_y, scale_x = target[0] / source[0], target[1] / source[1]
    return np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2]])


def agreement(train: _Gray, test: _Gray, affine: Affine) -> tuple[float, float]:
    """Correlate fine detail over the shared area, in the coarser picture's frame.

    Returns:
        The correlation and the share of the test picture's area; 0, 0 for no area to speak of.
    """
    import cv2

    height, width = test.shape
    enlarges = abs(float(np.linalg.det(affine[:, :2]))) > 1
    if enlarges:
        inverse = np.asarray(cv2.invertAffineTransform(affine), np.float64)
        moved, mask = _warp(test, inverse, train.shape)
        fixed = train
    else:
        moved, mask = _warp(train, affine, test.shape)
        fixed = test
    # Two sigma of the wider blur: what stands beyond the picture's edge is made up.
    kernel = np.ones((17, 17), np.uint8)
    inside = cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)
    area = int(inside.sum())
    if area < _OVERLAP_SIDE**2:
        return 0.0, 0.0
    best = max(
        _correlation(_detail(np.roll(moved, shift, (0, 1))), _detail(fixed), inside)
        for shift in _SHIFTS
    )
    scale = abs(float(np.linalg.det(affine[:, :2]))) if enlarges else 1.0
    coverage = min(1.0, int(mask.sum()) * scale / (height * width))
    return best, coverage


def _correlation(moved: _Gray, fixed: _Gray, inside: npt.NDArray[np.bool_]) -> float:
    ours, theirs = (picture[inside] - picture[inside].mean() for picture in (moved, fixed))
    spread = float(ours.std() * theirs.std())
    if spread < _FLAT:
        return 0.0
    return float(np.mean(ours * theirs)) / spread


def _warp(
    picture: _Gray, affine: Affine, shape: Sequence[int]
) -> tuple[_Gray, npt.NDArray[np.uint8]]:
    """Warp to `shape` with what shrinking needs: a blur of the sampling step first."""
    import cv2

    size = (int(shape[1]), int(shape[0]))
    shrink = 1 / np.sqrt(abs(float(np.linalg.det(affine[:, :2]))))
    soft = cv2.GaussianBlur(picture, (0, 0), 0.5 * shrink) if shrink > 1.2 else picture
    mask = cv2.warpAffine(np.ones(picture.shape, np.uint8), affine, size, flags=cv2.INTER_NEAREST)
    moved = cv2.warpAffine(soft, affine, size, flags=cv2.INTER_LINEAR)
    return np.asarray(moved, np.float32), np.asarray(mask, np.uint8)


def _detail(picture: _Gray) -> _Gray:
    """Return the band between sigma 1 and sigma 4 pixels: past noise, before light and shade."""
    import cv2

    fine, coarse = (cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (1.0, 4.0))
    return np.asarray(fine - coarse, np.float32)
