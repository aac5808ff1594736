"""The rules of `e2r_bench.statistics` on many draws at once; a test holds them against each other.

Shapes: D draws, k parts, n images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.onesided import ALONE, GROUP, OWN, SHARED, skewness_error
from e2r_bench.statistics.paired import swap_signs
from e2r_bench.statistics.results import Values

_TIE = 1e-9
SLOPE = 0.25
NET = 3
_CHUNK = 4000


@dataclass(frozen=True)
class Means:
    """Mean differences of many draws.

    Attributes:
        value, error, skew: (D, k).
        scenes: independent units.
        shared: (D, 1) or (D, k), or None where every part stands alone.
        freedom: scalar or (D, k).
    """

    value: Values
    error: Values
    skew: Values
    scenes: int
    shared: Values | None = None
    freedom: Values | float | None = None

    @property
    def df(self) -> Values | float:
        return self.scenes - 1 if self.freedom is None else self.freedom


def index_of(scenes: Sequence[str]) -> np.ndarray:
    return np.unique(np.asarray(scenes), return_inverse=True)[1]


def scene_sums(x: Values, index: np.ndarray) -> Values:
    """Return (D, k, scenes) sums."""
    if len(np.unique(index)) == len(index):
        return x
    return x @ (index[:, None] == np.arange(index.max() + 1)).astype(float)


def skewness(x: Values) -> Values:
    """Return the bias-corrected skewness along the last axis."""
    n = x.shape[-1]
    moved = x - x.mean(-1, keepdims=True)
    second = (moved**2).mean(-1)
    third = (moved**3).mean(-1)
    return np.sqrt(n * (n - 1)) / (n - 2) * third / second**1.5


def means_of(x: Values, index: np.ndarray, pooled: bool = True) -> Means:
    """Return means of (D, k, n) differences, with the jackknife over scenes."""
    sums, sizes = scene_sums(x, index), np.bincount(index)
    count = len(sizes)
    without = (sums.sum(-1, keepdims=True) - sums) / (len(index) - sizes)
    spread = without - without.mean(-1, keepdims=True)
    error = np.sqrt((count - 1) / count * (spread**2).sum(-1))
    skew = skewness(-spread)
    return Means(x.mean(-1), error, skew, count, shared_skew(skew, count) if pooled else None)


def shared_skew(skew: Values, scenes: int) -> Values | None:
    parts = skew.shape[-1]
    if parts < GROUP:
        return None
    noise = SHARED[0] * skewness_error(scenes) / np.sqrt(parts)
    return _beyond(skew.mean(-1, keepdims=True), noise)


def _beyond(skew: Values, noise: float) -> Values:
    return np.sign(skew) * np.maximum(0.0, np.abs(skew) - noise)


def p_beyond(means: Means, bound: float, side: int) -> Values:
    """Return (D, k) one-sided p-values, as `onesided.p_beyond`."""
    error = skewness_error(means.scenes)
    noise, times = ALONE if means.shared is None else OWN
    found = _beyond(side * means.skew, noise * error)
    found = np.where(found < 0, times * found, found)
    if means.shared is not None:
        common = side * means.shared
        found = np.minimum(found, np.where(common < 0, SHARED[1] * common, common))
    t = side * (means.value - bound) / means.error
    root = np.sqrt(means.scenes)
    hall = t + found / (6 * root) * (1 + 2 * t**2) + found**2 * t**3 / (27 * means.scenes)
    safe = np.minimum(found, -1e-12)
    still, value = -3 * root / safe, -root / safe + safe / (6 * root)
    hall = np.where(t > still, np.minimum(hall, value + SLOPE * (t - still)), hall)
    return stats.t.sf(np.minimum(t, hall), means.df)


def sign_flip(x: Values, index: np.ndarray, generator: np.random.Generator, many: int) -> Values:
    """Return (D, k) two-sided p-values; one set of patterns serves all draws."""
    sums = scene_sums(x, index)
    shape, flat = sums.shape[:-1], sums.reshape(-1, sums.shape[-1])
    signs, exact = swap_signs(flat.shape[1], generator, many)
    if exact:
        signs = signs[: len(signs) // 2]
    p = np.empty(len(flat))
    for start in range(0, len(flat), _CHUNK):
        part = flat[start : start + _CHUNK]
        least = np.abs(part.sum(1)) - _TIE * np.abs(part).sum(1)
        hits = (np.abs(signs @ part.T) >= least).sum(0)
        p[start : start + _CHUNK] = hits / len(signs) if exact else (hits + 1) / (len(signs) + 1)
    return p.reshape(shape)


def holm(p: Values) -> Values:
    """Return adjusted p-values along the last axis."""
    order = np.argsort(p, axis=-1, kind="stable")
    scaled = np.take_along_axis(p, order, -1) * np.arange(p.shape[-1], 0, -1)
    adjusted = np.minimum(np.maximum.accumulate(scaled, -1), 1.0)
    out = np.empty_like(p)
    np.put_along_axis(out, order, adjusted, -1)
    return out


@dataclass(frozen=True)
class Judged:
    """Decisions of `judge` and raw p-values, (D, k); oriented so that higher is better."""

    direction: np.ndarray
    leans: np.ndarray
    within: np.ndarray
    outside: np.ndarray
    p: Values
    p_within: Values
    holm_outside: Values
    holm: Values

    def supported(self, alpha: float = 0.05) -> dict[str, np.ndarray]:
        """Return (D,) decisions by name, as `ruling.rule`: whether every part passes by itself."""
        passes = self.p <= alpha
        return {
            "better": (passes & (self.leans > 0)).all(-1),
            "worse": (passes & (self.leans < 0)).all(-1),
            "equivalent": (self.p_within <= alpha).all(-1),
            "better refuted": (self.direction < 0).any(-1),
            "worse refuted": (self.direction > 0).any(-1),
            "equivalent refuted": (self.holm_outside <= alpha).any(-1),
        }


def judge(means: Means, flips: Values, margin: float, alpha: float = 0.05) -> Judged:
    """Return the decisions on (D, k) parts, all of one metric."""
    shape = means.value.shape
    if means.scenes < MIN_SCENES:
        none, ones = np.zeros(shape, bool), np.ones(shape)
        return Judged(none * 0, np.sign(means.value), none, none, ones, ones, ones, ones)
    apart = np.minimum(1.0, 2 * np.minimum(p_beyond(means, 0.0, 1), p_beyond(means, 0.0, -1)))
    p = np.maximum(apart, flips)
    p_within = np.maximum(p_beyond(means, margin, -1), p_beyond(means, -margin, 1))
    outside = np.minimum(
        1.0, 2 * np.minimum(p_beyond(means, margin, 1), p_beyond(means, -margin, -1))
    )
    differs, within, beyond = holm(p), holm(p_within), holm(np.maximum(outside, p))
    leans = np.sign(means.value).astype(int)
    return Judged(
        leans * (differs <= alpha), leans, within <= alpha, beyond <= alpha, p, p_within, beyond,
        differs,
    )  # fmt: skip


def trained_means(x: Values) -> Means:
    """Return means of (D, k, trainings, n) differences, as `effects.crossed_estimate`."""
    trainings, n = x.shape[-2:]
    by_training, by_scene = x.mean(-1), x.mean(-2)
    value = by_training.mean(-1)
    rest = x - by_training[..., None] - by_scene[..., None, :] + value[..., None, None]
    a = by_training.var(-1, ddof=1) / trainings
    b = by_scene.var(-1, ddof=1) / n
    both = (rest**2).sum((-1, -2)) / ((trainings - 1) * (n - 1)) / (trainings * n)
    total = np.maximum.reduce([a + b - both, a, b])
    share = np.maximum(0.0, total - b) if trainings > NET else a
    quantiles = stats.t.isf(0.025, np.array([trainings - 1, n - 1]))
    wide = quantiles[0] ** 2 * share + quantiles[1] ** 2 * np.maximum(0.0, total - share)
    wide = np.maximum(wide, quantiles[1] ** 2 * total)
    skew = skewness(by_scene)
    freedom = _inverted(np.sqrt(wide / total), trainings - 1, n - 1)
    return Means(value, np.sqrt(total), skew, n, shared_skew(skew, n), freedom)


def _inverted(quantile: Values, least: float, most: float) -> Values:
    grid = np.geomspace(least, most, 4000)
    return np.interp(-quantile, -stats.t.isf(0.025, grid), grid)
