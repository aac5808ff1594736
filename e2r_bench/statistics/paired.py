"""Per-image metrics of two methods on the same images: tests, intervals and equivalence.

Images of one scene are not independent (three noise levels of one photograph, crops of one
photograph): every function here takes each image's scene and treats scenes as the units.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from e2r_bench.statistics.onesided import interval, p_beyond
from e2r_bench.statistics.results import (
    Equivalence,
    Estimate,
    Values,
    Verified,
    check_values,
    scene_index,
)
from e2r_metrics.base.errors import UsageError

_TIE = 1e-9  # relative: rounding must not decide whether a permutation is as extreme


def differences(first: Values, second: Values) -> Values:
    """Return first - second, both (n,), image by image.

    Raises:
        UsageError: unequal n, n < 2, values that are not finite, or no spread.
    """
    if np.shape(first) != np.shape(second):
        raise UsageError(
            f"paired arms: expected values for the same images, found {len(first)} and "
            f"{len(second)}; compare the images that both have"
        )
    # Two infinite values have no difference; that is refused below, and not warned of.
    with np.errstate(invalid="ignore"):
        return check_values(np.subtract(first, second), "differences of the two arms")


def mean_estimate(values: Values, scenes: Sequence[str], level: float = 0.95) -> Estimate:
    """Return the mean over images with a t interval from the jackknife over scenes.

    With as many images in every scene this is Student's interval of the scenes' means; else it is
    the cluster-robust CR3 error (Bell & McCaffrey, Survey Methodology 28, 2002).

    Args:
        values: (n,) values or differences.
        scenes: the scene of each.
        level: coverage.

    Raises:
        UsageError: see `check_values`, `scene_index`.
    """
    values = check_values(values, "values")
    index = scene_index(scenes, len(values))
    count = int(index.max()) + 1
    mean = float(values.mean())
    sums, sizes = np.bincount(index, values), np.bincount(index)
    without = (values.sum() - sums) / (len(values) - sizes)
    spread = without - without.mean()
    error = float(np.sqrt((count - 1) / count * (spread @ spread)))
    half = float(stats.t.ppf((1 + level) / 2, count - 1)) * error
    return Estimate(
        mean, error, mean - half, mean + half, level, len(values), count, "t over scenes",
        float(stats.skew(-spread, bias=False)) if count > 2 else 0.0,
    )  # fmt: skip


def sign_flip(
    values: Values,
    scenes: Sequence[str],
    generator: np.random.Generator,
    permutations: int = 9999,
) -> Verified:
    """Test whether differences have mean zero, by flipping the signs of whole scenes.

    Exact when the two methods are exchangeable within a scene (Fisher's randomisation test). All
    sign patterns are enumerated where there are no more than `permutations`.

    Args:
        values: (n,) differences, first minus second.
        scenes: the scene of each.
        generator: draws the signs.
        permutations: how many patterns to draw; the smallest p is 1 / (permutations + 1).

    Raises:
        UsageError: see `check_values`, `scene_index`.
    """
    values = check_values(values, "differences")
    index = scene_index(scenes, len(values))
    sums = np.bincount(index, values)
    signs, exact = swap_signs(len(sums), generator, permutations)
    observed = abs(float(sums.sum()))
    extreme = np.abs(signs @ sums) >= observed - _TIE * float(np.abs(sums).sum())
    p, floor = permutation_p(extreme, exact)
    return Verified(
        float(values.mean()), p, floor, 0 if exact else permutations, len(values), len(sums),
        "sign flip over scenes" + (", all patterns" if exact else ""),
    )  # fmt: skip


def swap_signs(
    scenes: int, generator: np.random.Generator, permutations: int
) -> tuple[Values, bool]:
    """Return (patterns, scenes) signs of +-1 and whether they are all there are."""
    if scenes < 40 and 2**scenes <= permutations + 1:
        codes = np.arange(2**scenes)[:, None] >> np.arange(scenes)[None]
        return 1.0 - 2.0 * (codes & 1), True
    return generator.choice(np.array([-1.0, 1.0]), size=(permutations, scenes)), False


def permutation_p(extreme: np.ndarray, exact: bool) -> tuple[float, float]:
    """Return p and its floor; drawn patterns count the observed one in (Phipson & Smyth, 2010)."""
    count, total = int(extreme.sum()), len(extreme)
    if exact:
        return count / total, 2 / total
    return (count + 1) / (total + 1), 1 / (total + 1)


def wilcoxon(values: Values, scenes: Sequence[str]) -> Verified:
    """Test by signed ranks of the scenes' mean differences (Wilcoxon, 1945).

    Scenes without any difference are dropped, and do not count for the smallest possible p.

    Raises:
        UsageError: see `check_values`, `scene_index`; no scene with a difference.
    """
    means = scene_means(values, scenes)
    moved = means[means != 0]
    found: Any = stats.wilcoxon(moved)
    return Verified(
        float(np.mean(values)), float(found.pvalue), min(1.0, 2.0 ** (1 - len(moved))), 0,
        len(values), len(means), "Wilcoxon signed rank over scenes",
    )  # fmt: skip


def hodges_lehmann(values: Values, scenes: Sequence[str], level: float = 0.95) -> Estimate:
    """Return the median of the Walsh averages of scene means, with its signed-rank interval.

    Source: Hodges & Lehmann, Ann. Math. Statist. 34 (1963); the interval inverts the exact
    signed-rank distribution, so it covers at least `level` for symmetric differences.

    Raises:
        UsageError: too few scenes for any interval of that level, or see `check_values`.
    """
    means = scene_means(values, scenes)
    count = len(means)
    rows, columns = np.triu_indices(count)
    walsh = np.sort((means[rows] + means[columns]) / 2)
    cut = _signed_rank_cut(count, (1 - level) / 2)
    if cut < 1:
        raise UsageError(
            f"a {level:.0%} signed-rank interval needs more than {count} scenes; use the t interval"
        )
    low, high = float(walsh[cut - 1]), float(walsh[-cut])
    half = float(stats.norm.ppf((1 + level) / 2))
    return Estimate(
        float(np.median(walsh)), (high - low) / (2 * half), low, high, level, len(values), count,
        "Hodges-Lehmann over scenes",
    )  # fmt: skip


def scene_means(values: Values, scenes: Sequence[str]) -> Values:
    """Return the mean of each scene, in the order of the scenes' names."""
    values = check_values(values, "differences")
    index = scene_index(scenes, len(values))
    return check_values(np.bincount(index, values) / np.bincount(index), "means of scenes")


def _signed_rank_cut(count: int, tail: float) -> int:
    """Return the largest k with P(W < k) <= tail, W the signed-rank statistic of `count` values."""
    chance = np.zeros(count * (count + 1) // 2 + 1)
    chance[0] = 1.0
    for rank in range(1, count + 1):
        moved = np.zeros_like(chance)
        moved[rank:] = chance[: len(chance) - rank]
        chance = (chance + moved) / 2
    return int(np.searchsorted(np.cumsum(chance), tail, side="right"))


def equivalence(estimate: Estimate, margin: float, alpha: float = 0.05) -> Equivalence:
    """Test that a difference is smaller than a margin, by two one-sided t tests.

    Each side takes the error at its margin and allows for skewness, as `onesided.p_beyond` says.

    Source: Schuirmann, J. Pharmacokin. Biopharm. 15 (1987). For per-image metrics `estimate` is
    `mean_estimate` of the differences, for set metrics `jackknife.jackknife_difference`.

    Raises:
        UsageError: a margin that is not above zero.
    """
    if not margin > 0:
        raise UsageError(f"margin: expected a number above 0, found {margin:g}")
    p = max(p_beyond(estimate, side * margin, -side) for side in (-1, 1))
    low, high = interval(estimate, 1 - 2 * alpha)
    return Equivalence(
        estimate.value, low, high, margin, p, p <= alpha, f"TOST, {estimate.how}"
    )  # fmt: skip


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm, Scand. J. Statist. 6, 1979)."""
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted.tolist()
