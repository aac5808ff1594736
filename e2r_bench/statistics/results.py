"""What a test, an interval or an equivalence test says: small values that explain themselves."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from e2r_metrics.base.errors import UsageError

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval.

    Attributes:
        value: the estimate.
        error: its standard error, were the truth the value.
        low, high: ends of the interval.
        level: coverage of the interval, such as 0.95.
        n: images.
        scenes: independent units.
        how: the interval's name.
        skew: skewness of the scenes' influence on the value.
        null_error: its standard error, were the truth zero; None where that is `error` too.
        freedom: degrees of freedom of `error`; None for scenes - 1.
    """

    value: float
    error: float
    low: float
    high: float
    level: float
    n: int
    scenes: int
    how: str
    skew: float = 0.0
    null_error: float | None = None
    freedom: float | None = None

    @property
    def df(self) -> float:
        """Return the degrees of freedom of the standard error."""
        return self.scenes - 1 if self.freedom is None else self.freedom

    def error_at(self, truth: float) -> float:
        """Return the standard error, were the truth `truth`.

        The variance runs on a line in |truth| through both known ones, and never falls. Below twice
        the null error a value says nothing of where it was measured, and counts as that much.
        """
        if self.null_error is None:
            return self.error
        return math.sqrt(self.null_error**2 + _slope(self) * abs(truth))


def _slope(estimate: Estimate) -> float:
    null = estimate.null_error or 0.0
    along = max(abs(estimate.value), 2 * null)
    return max(0.0, estimate.error**2 - null**2) / along if along else 0.0


def score_ends(estimate: Estimate, reach: float) -> tuple[float, float]:
    """Return the ends of all truths that lie within `reach` of their own errors of the value.

    Wilson's interval (JASA 22, 1927) for an error that depends on the truth as `error_at` says.
    """
    value, null = abs(estimate.value), estimate.null_error
    if null is None:
        half = reach * estimate.error
        return estimate.value - half, estimate.value + half
    wide, excess = reach**2 * _slope(estimate), value**2 - (reach * null) ** 2

    def root(middle: float, sign: int) -> float:
        return (middle + sign * math.sqrt(max(0.0, middle**2 - 4 * excess))) / 2

    high = root(2 * value + wide, 1)
    # Zero lies inside unless the value is significant; beyond zero the variance grows again.
    low = root(2 * value + wide, -1) if excess > 0 else root(2 * value - wide, -1)
    return (low, high) if estimate.value >= 0 else (-high, -low)


@dataclass(frozen=True)
class Verified:
    """A test of no difference.

    Attributes:
        effect: the difference, first arm minus second.
        p: two-sided.
        floor: the smallest p that so many permutations or scenes can give.
        permutations: how many were drawn; 0 where all were enumerated, or none is needed.
        n, scenes: images and independent units.
        how: the test's name.
    """

    effect: float
    p: float
    floor: float
    permutations: int
    n: int
    scenes: int
    how: str


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided tests (TOST) against a margin.

    Attributes:
        effect: the difference, first arm minus second.
        low, high: the 1 - 2 alpha interval; equivalence is that it lies inside the margins.
        margin: half-width of what counts as no difference.
        p: the larger of the two one-sided p-values.
        equivalent: p <= alpha.
        how: where the standard error comes from.
    """

    effect: float
    low: float
    high: float
    margin: float
    p: float
    equivalent: bool
    how: str


def scene_index(scenes: Sequence[str], n: int) -> npt.NDArray[np.intp]:
    """Return each image's scene as a number from 0, in the order of the scenes' names.

    Draws are made per number, so that a result does not depend on the order of the images.

    Raises:
        UsageError: another number of scenes than of images, or a single scene.
    """
    if len(scenes) != n:
        raise UsageError(f"expected one scene for each of {n} images, found {len(scenes)}")
    names, index = np.unique(np.asarray(scenes), return_inverse=True)
    if len(names) < 2:
        raise UsageError(
            f"expected at least two scenes to judge by, found {len(names)} ({n} images); "
            "one scene has no spread: give more photographs"
        )
    return index


def check_shape(values: Values, what: str) -> Values:
    """Return (n,) float64; UsageError for another shape, n < 2, NaN or infinity.

    The error begins with `what`.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1:
        raise UsageError(f"{what}: expected a list of values, found shape {values.shape}")
    if len(values) < 2:
        raise UsageError(
            f"{what}: expected at least two values, of two pictures, for an interval or a test, "
            f"found {len(values)}; give more photographs"
        )
    if not np.isfinite(values).all():
        raise UsageError(
            f"{what}: expected finite values, found {int((~np.isfinite(values)).sum())} that are "
            "not (identical pictures have infinite PSNR); leave those images out in both arms"
        )
    return values


def is_constant(values: Values) -> bool:
    """Return whether all values are one, up to rounding."""
    return float(np.ptp(values)) <= 1e-12 * max(1.0, float(np.abs(values).max()))


def check_values(values: Values, what: str) -> Values:
    """Return (n,) float64; UsageError as `check_shape`, or for a constant."""
    values = check_shape(values, what)
    if is_constant(values):
        raise UsageError(
            f"{what}: all {len(values)} values are {values[0]:g}; a constant has no noise to "
            "test against"
        )
    return values
