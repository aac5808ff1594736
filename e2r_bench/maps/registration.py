"""Shifted, zoomed, bent or invented? How an output lies on its truth, and the truth moved there.

A picture that is right but half a pixel off has detail where the truth has none, and every map
that compares pixel with pixel calls it invented. Here the two are registered: one affine motion by
the enhanced correlation coefficient (Evangelidis and Psarakis, IEEE TPAMI 30, 2008), then local
displacement by one step of Lucas and Kanade (IJCAI 1981) where there is texture enough to tell.

The truth is moved onto the output, never the other way: interpolating the output would smooth what
is to be judged.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from e2r_bench.maps.bands import LUMA, Map, check_pair
from e2r_metrics.base.pictures import EightBit

LEAST = 0.1
"""Pixels; what moves no corner so far is called in place, and nothing is resampled."""
_FARTHEST = 0.06
"""Share of the shorter side; what moves farther is another picture, and not called a motion."""
_WORTH = 0.97
"""Of the squared error that stays after a motion, at most; less gain may be chance."""
_SPARE = 3
"""Pixels beside the motion that the border of the moved truth cannot be trusted in."""
_WINDOW = 6.0
_TEXTURE = 20.0
"""Least eigenvalue of the local structure tensor, squared levels per pixel, that displacement is
told from."""
_REACH = 3.0
"""Pixels that one linear step is believed to."""
_SMOOTH = 1.0
_STEPS, _SETTLED = 8, 0.01
"""Gauss-Newton steps at most, and the motion in pixels that ends them."""
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Registration:
    """How an output lies on its truth.

    Attributes:
        matrix: (2, 3), from (x, y) of the output to (x, y) of the truth; the identity where no
            motion of `LEAST` pixels explains the output better.
        shift: pixels to the right and down that the output's centre lies from the truth's.
        zoom: % that the output is larger.
        rotation: degrees that the output is turned, clockwise.
        farthest: pixels that the corner moved farthest lies off.
    """

    matrix: Matrix
    shift: tuple[float, float]
    zoom: float
    rotation: float
    farthest: float

    @property
    def moved(self) -> bool:
        """Return whether the output is anywhere but in place."""
        return self.farthest >= LEAST

    def scores(self) -> dict[str, float]:
        """Return the motion as numbers of a picture."""
        right, down = self.shift
        return {
            "shift_right": right, "shift_down": down, "zoom": self.zoom, "rotation": self.rotation,
        }  # fmt: skip

    def words(self) -> str:
        """Return what was found in a sentence."""
        if not self.moved:
            return f"in place (no corner moved by {LEAST:g} pixels)"
        right, down = self.shift
        return (
            f"shifted by {right:+.1f} right and {down:+.1f} down, zoomed by {self.zoom:+.1f}%, "
            f"turned by {self.rotation:+.2f} degrees"
        )


def register(restored: EightBit, clean: EightBit) -> Registration:
    """Find the affine motion between an output and its truth.

    Args:
        restored: (H, W, 3) uint8 RGB, sides of at least 16.
        clean: the same size.

    Raises:
        PictureError: unequal or too small pictures.
    """
    check_pair(restored, clean)
    out, truth = (image.astype(np.float32) @ LUMA for image in (restored, clean))
    best, still = _still(out.shape), _still(out.shape)
    matrix = _motion(out, truth)
    if matrix is not None:
        found = _read(matrix, out.shape)
        near = LEAST <= found.farthest <= _FARTHEST * min(out.shape)
        if near and _error(out, truth, found) < _WORTH * _error(out, truth, still, found):
            best = found
    return best


def _still(shape: tuple[int, ...]) -> Registration:
    return _read(np.eye(2, 3), shape)


def _motion(out: Map, truth: Map) -> Matrix | None:
    """Return the affine motion of best correlation, or None where the search does not settle."""
    if min(float(out.std()), float(truth.std())) < 1:
        return None
    start = np.eye(2, 3, dtype=np.float32)
    window = cv2.createHanningWindow(out.shape[::-1], cv2.CV_32F)
    # OpenCV writes the window into the pictures that it is given.
    (right, down), _ = cv2.phaseCorrelate(truth.copy(), out.copy(), window)
    if max(abs(right), abs(down)) <= _FARTHEST * min(out.shape):
        start[:, 2] = -right, -down
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-5)
    try:
        _, start = cv2.findTransformECC(  # pyright: ignore[reportCallIssue]
            out, truth, start, cv2.MOTION_AFFINE, criteria,
            None, 5,  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
    except cv2.error:
        return None
    return _refined(out, truth, np.asarray(start, np.float64))


def _refined(out: Map, truth: Map, matrix: Matrix) -> Matrix | None:
    """Return the motion after Gauss-Newton steps on what the moved truth covers.

    The border, which pulls at ECC, is left out, and the truth is resampled by splines. Gain and
    offset of the levels are free, so that a change of contrast is no motion.
    """
    smooth = cv2.GaussianBlur(out, (0, 0), _SMOOTH)
    for _ in range(_STEPS):
        motion = _read(matrix, out.shape)
        if motion.farthest > _FARTHEST * min(out.shape):
            return None
        rows, columns = inside(out.shape, motion)
        moved = np.asarray(cv2.GaussianBlur(_resampled(truth, matrix), (0, 0), _SMOOTH), np.float32)
        along, down = _slopes(moved)
        y, x = (np.asarray(g, np.float32)[rows, columns].ravel() for g in np.indices(out.shape))
        gx, gy, level = (plane[rows, columns].ravel() for plane in (along, down, moved))
        ones = np.ones_like(level)
        design = np.stack([gx * x, gx * y, gx, gy * x, gy * y, gy, level, ones], 1)
        off = np.asarray(smooth - moved, np.float32)[rows, columns].ravel()
        normal = np.asarray(design.T @ design, np.float64)
        step = np.linalg.lstsq(normal, np.asarray(design.T @ off, np.float64), rcond=None)[0]
        turn = np.vstack([np.eye(2, 3) + step[:6].reshape(2, 3), [0, 0, 1]])
        matrix = matrix @ turn
        if _read(turn[:2], out.shape).farthest < _SETTLED:
            break
    return matrix


def _read(matrix: Matrix, shape: tuple[int, ...]) -> Registration:
    height, width = shape[:2]
    ends = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)], np.float64)
    moved = ends @ matrix.T - ends[:, :2]
    # The matrix says where the output's pixels come from: its content moved the other way.
    turned = np.linalg.inv(matrix[:, :2])
    return Registration(
        matrix,
        (float(-moved[:, 0].mean()), float(-moved[:, 1].mean())),
        float(100 * (np.sqrt(abs(np.linalg.det(turned))) - 1)),
        float(np.rad2deg(np.arctan2(turned[1, 0] - turned[0, 1], turned[0, 0] + turned[1, 1]))),
        float(np.hypot(*moved.T).max()),
    )


def _error(out: Map, truth: Map, motion: Registration, part: Registration | None = None) -> float:
    """Return the mean squared error after a motion, where `part` (else `motion`) reaches."""
    rows, columns = inside(out.shape, part or motion)
    moved = _resampled(truth, motion.matrix)
    return float(np.mean(np.square((out - moved)[rows, columns], dtype=np.float64)))


def inside(shape: tuple[int, ...], motion: Registration) -> tuple[slice, slice]:
    """Return the rows and columns of the output that the moved truth covers."""
    edge = int(np.ceil(motion.farthest)) + _SPARE if motion.moved else 0
    return slice(edge, shape[0] - edge), slice(edge, shape[1] - edge)


def moved_truth(clean: EightBit, motion: Registration) -> EightBit:
    """Return the truth where the output has it: (H, W, 3) uint8; valid in `inside`."""
    if not motion.moved:
        return clean
    planes = [_resampled(clean[..., k].astype(np.float32), motion.matrix) for k in range(3)]
    return np.clip(np.rint(np.stack(planes, axis=2)), 0, 255).astype(np.uint8)


def _resampled(plane: Map, matrix: Matrix) -> Map:
    """Return a plane at the places that `matrix` says, by quintic splines."""
    from scipy.ndimage import affine_transform

    # SciPy counts rows before columns.
    turn = matrix[::-1, 1::-1]
    start: Any = matrix[::-1, 2]
    found = affine_transform(plane, turn, start, order=5, mode="mirror")
    return np.asarray(found, np.float32)


def displacement(restored: EightBit, clean: EightBit) -> Map:
    """Return how far windows of the output lie from the truth: (H, W) float32 pixels.

    NaN where there is too little texture to tell; at most 3 pixels, which is as far as one linear
    step can be believed. Take the moved truth, so that only what is local is left.

    Args:
        restored: (H, W, 3) uint8 RGB.
        clean: the same size.

    Raises:
        PictureError: unequal or too small pictures.
    """
    check_pair(restored, clean)
    out, truth = (
        np.asarray(cv2.GaussianBlur(image.astype(np.float32) @ LUMA, (0, 0), _SMOOTH), np.float32)
        for image in (restored, clean)
    )
    along, down = _slopes(np.asarray((out + truth) / 2, np.float32))
    change = np.asarray(truth - out, np.float32)
    xx, yy, xy = _local(along * along), _local(down * down), _local(along * down)
    xt, yt = _local(along * change), _local(down * change)
    least = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
    determinant = np.maximum(xx * yy - xy * xy, np.float32(1e-6))
    right, low = (yy * xt - xy * yt) / determinant, (xx * yt - xy * xt) / determinant
    far = np.minimum(np.hypot(right, low), np.float32(_REACH))
    return np.where(least >= _TEXTURE, far, np.float32(np.nan))


def _slopes(plane: Map) -> tuple[Map, Map]:
    """Return the derivatives to the right and down, levels per pixel."""
    down, along = (np.asarray(one, np.float32) for one in np.gradient(plane))
    return along, down


def _local(values: Map) -> Map:
    return cv2.GaussianBlur(values, (0, 0), _WINDOW, borderType=cv2.BORDER_REFLECT_101)  # pyright: ignore[reportReturnType]
