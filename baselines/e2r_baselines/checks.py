"""Whether a result is a picture that may be scored: its size, its numbers, and their range."""

import numpy as np

from e2r_baselines.method import Restored
from e2r_metrics.base.errors import PictureError

_FAR = 1.0
_FAR_SHARE = 0.01
_SIGNED_LOW = (-1.1, -0.8)
_SIGNED_HIGH = 1.1
_SIGNED_MEAN = 0.12


def check_restored(restored: Restored, shape: tuple[int, ...]) -> None:
    """Refuse what is no picture of its input's size with values about [0, 1].

    What leaves [0, 1] otherwise is clipped by the runner, as everybody does: networks overshoot or
    fail, and controls hand unclipped noise on. Two ranges are told from that:

    - 0..255 and the like: more than 1% of the values lie further than 1 outside [0, 1]. Noise of
      sigma 50 puts 2e-7 of a black picture there, noise of sigma 100 0.5%.
    - -1..1: no value is below -1.1 or above 1.1, some are below -0.8, and the mean depth below 0
      is above 0.12. Noise of sigma 50 on black has 0.08. Of the 68 photographs of CBSD68 59 are
      found; bright ones pass.

    Args:
        restored: the result.
        shape: (H, W, 3) of its input.

    Raises:
        PictureError: another shape, no floats, NaN or infinity, or another range.
    """
    pixels = restored.pixels
    if pixels.shape != shape:
        raise PictureError(f"{restored.photo_id}: expected {shape}, found {pixels.shape}")
    if not np.issubdtype(pixels.dtype, np.floating):
        raise PictureError(
            f"{restored.photo_id}: expected float32 values from 0 to 1, found {pixels.dtype}"
        )
    if not np.isfinite(pixels).all():
        raise PictureError(f"{restored.photo_id}: the picture holds NaN or infinity")
    if other := _other_range(restored):
        raise PictureError(
            f"{restored.photo_id}: expected values from 0 to 1, found {pixels.min():.4g} to "
            f"{pixels.max():.4g}, which looks like {other}; its method must return [0, 1]"
        )


def _other_range(restored: Restored) -> str:
    """Return the range that a picture seems to have, "" for [0, 1]."""
    pixels = restored.pixels
    low, high = float(pixels.min()), float(pixels.max())
    if low < -_FAR or high > 1 + _FAR:
        far = np.mean((pixels < -_FAR) | (pixels > 1 + _FAR))
        if far > _FAR_SHARE:
            return "0..255" if high <= 256 else "0..65535"
    if _SIGNED_LOW[0] <= low <= _SIGNED_LOW[1] and high <= _SIGNED_HIGH:
        depth = float(np.mean(np.maximum(-pixels, 0), dtype=np.float64))
        return "-1..1" if depth > _SIGNED_MEAN else ""
    return ""
