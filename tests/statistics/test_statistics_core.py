"""Tests, intervals and equivalence for per-image values: known answers and refusals."""

import itertools
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from e2r_bench.statistics import paired, power
from e2r_bench.statistics.results import Estimate, score_ends
from e2r_metrics.base.errors import UsageError

NAMES = [f"s{k:03}" for k in range(200)]


def _values(n: int, shift: float = 0.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1.0, n)


def test_sign_flip_enumerates_small_sets_exactly():
    values = np.array([0.3, 1.1, -0.2, 0.8, 0.5])
    patterns = np.array(list(itertools.product([1, -1], repeat=5)))
    expected = np.mean(np.abs(patterns @ values) >= abs(values.sum()) - 1e-12)
    found = paired.sign_flip(values, NAMES[:5], np.random.default_rng(0))
    assert (found.p, found.permutations, found.floor) == (expected, 0, 2 / 32)


def test_sign_flip_matches_scipy():
    values = _values(40, 0.3)
    ours = paired.sign_flip(values, NAMES[:40], np.random.default_rng(0), 9999)
    peer = stats.permutation_test(
        (values, np.zeros(40)), lambda a, b: np.mean(a - b), permutation_type="samples",
        n_resamples=9999, rng=np.random.default_rng(1),
    )  # fmt: skip
    assert ours.p == pytest.approx(peer.pvalue, abs=0.02)
    assert ours.effect == pytest.approx(values.mean())


def test_sign_flip_flips_whole_scenes():
    """Ten copies of five scenes know no more than the five."""
    values = np.repeat([0.3, 1.1, 0.2, 0.8, 0.5], 10)
    scenes = np.repeat(NAMES[:5], 10).tolist()
    assert paired.sign_flip(values, scenes, np.random.default_rng(0)).p == 2 / 32


def test_results_do_not_depend_on_the_order_of_images():
    values, scenes = _values(60, 0.2), [NAMES[k // 2] for k in range(60)]
    order = np.random.default_rng(3).permutation(60)
    shuffled = [scenes[k] for k in order]
    one = paired.sign_flip(values, scenes, np.random.default_rng(0), 999)
    two = paired.sign_flip(values[order], shuffled, np.random.default_rng(0), 999)
    assert one.p == two.p
    assert paired.mean_estimate(values, scenes).error == pytest.approx(
        paired.mean_estimate(values[order], shuffled).error, rel=1e-12
    )


def test_mean_interval_of_lone_images_is_students():
    values = _values(30, 0.4)
    ours = paired.mean_estimate(values, NAMES[:30], 0.9)
    peer = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (ours.low, ours.high) == pytest.approx((peer.low, peer.high), rel=1e-12)


def test_copies_of_scenes_do_not_narrow_the_interval():
    values = _values(12)
    alone = paired.mean_estimate(values, NAMES[:12])
    copied = paired.mean_estimate(np.repeat(values, 7), np.repeat(NAMES[:12], 7).tolist())
    assert copied.error == pytest.approx(alone.error, rel=1e-12)
    assert copied.scenes == 12


def test_hodges_lehmann_inverts_the_signed_rank_test():
    """A shift at the interval's end is at the border of rejection by Wilcoxon's own test."""
    values = _values(20, 0.5)
    found = paired.hodges_lehmann(values, NAMES[:20], 0.95)
    inside = stats.wilcoxon(values - found.low - 1e-9, method="exact").pvalue
    outside = stats.wilcoxon(values - found.low + 1e-9, method="exact").pvalue
    assert outside <= 0.05 < inside
    rows, columns = np.triu_indices(20)
    assert found.value == np.median((values[rows] + values[columns]) / 2)


def test_hodges_lehmann_known_table_value():
    """n = 10, 95%: the interval runs from the 9th smallest to the 9th largest Walsh average."""
    assert paired._signed_rank_cut(10, 0.025) == 9


def test_equivalence_needs_more_than_a_large_p():
    noisy, quiet = _values(10) * 5, _values(200) * 0.1
    assert paired.sign_flip(noisy, NAMES[:10], np.random.default_rng(0)).p > 0.05
    few = paired.equivalence(paired.mean_estimate(noisy, NAMES[:10]), 1.0)
    many = paired.equivalence(paired.mean_estimate(quiet, NAMES), 1.0)
    assert (few.equivalent, many.equivalent) == (False, True)
    assert -1 < many.low < many.high < 1
    assert (few.p <= 0.05) == (few.low > -1 and few.high < 1)


def test_detectable_is_what_a_t_test_finds_four_times_in_five():
    n, rng = 30, np.random.default_rng(0)
    effect = power.detectable(1 / np.sqrt(n), n - 1)
    found = [stats.ttest_1samp(rng.normal(effect, 1, n), 0).pvalue <= 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


def test_holm():
    assert paired.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert paired.holm([0.6, 0.7]) == pytest.approx([1.0, 1.0])
    assert paired.holm([]) == []


@pytest.mark.parametrize(
    ("values", "scenes", "said"),
    [
        ([1.0], ["a"], "at least two values"),
        ([1.0, 2.0], ["a", "a"], "at least two scenes"),
        ([2.0, 2.0, 2.0], ["a", "b", "c"], "constant has no noise"),
        ([1.0, np.inf, 2.0], ["a", "b", "c"], "infinite PSNR"),
        ([1.0, 2.0], ["a", "b", "c"], "one scene for each of 2 images"),
    ],
)
@pytest.mark.parametrize("test", ["flip", "mean", "wilcoxon", "hodges"])
def test_degenerate_values_are_refused(values, scenes, said, test):
    values = np.array(values)
    call = {
        "flip": lambda: paired.sign_flip(values, scenes, np.random.default_rng(0)),
        "mean": lambda: paired.mean_estimate(values, scenes),
        "wilcoxon": lambda: paired.wilcoxon(values, scenes),
        "hodges": lambda: paired.hodges_lehmann(values, scenes),
    }[test]
    with pytest.raises(UsageError, match=said):
        call()


def test_arms_of_unequal_n_are_refused():
    with pytest.raises(UsageError, match="found 3 and 4"):
        paired.differences(np.arange(3.0), np.arange(4.0))


def test_an_interval_that_few_scenes_cannot_give_is_refused():
    with pytest.raises(UsageError, match="more than 5 scenes"):
        paired.hodges_lehmann(_values(5), NAMES[:5], 0.95)


def test_a_margin_is_above_zero():
    with pytest.raises(UsageError, match="above 0"):
        paired.equivalence(paired.mean_estimate(_values(9), NAMES[:9]), 0.0)


def _set_estimate(value: float, error: float, null_error: float) -> Estimate:
    return Estimate(value, error, 0.0, 0.0, 0.9, 60, 60, "planted", null_error=null_error)


@given(
    value=st.floats(-3, 3), null=st.floats(0.05, 1), rise=st.floats(1, 3), reach=st.floats(0.5, 3)
)
def test_score_interval_holds_the_truths_within_reach_of_their_own_error(value, null, rise, reach):
    estimate = _set_estimate(value, rise * null, null)
    low, high = score_ends(estimate, reach)
    assert low < value < high
    for end in (low, high):
        assert abs(value - end) == pytest.approx(reach * estimate.error_at(end), rel=1e-6)
    inside = np.linspace(low, high, 52)[1:-1]
    assert all(abs(value - t) <= reach * estimate.error_at(t) for t in inside)
    # At equality rounding decides, here as there.
    assume(abs(abs(value) - reach * null) > 1e-9)
    assert (low <= 0 <= high) == (abs(value) <= reach * null)


def test_error_grows_from_the_null_error_to_the_own_one_and_never_falls():
    estimate = _set_estimate(2.0, 0.5, 0.3)
    assert (estimate.error_at(0), estimate.error_at(2)) == (0.3, pytest.approx(0.5))
    assert estimate.error_at(-2) == estimate.error_at(2)
    assert _set_estimate(2.0, 0.2, 0.3).error_at(5) == 0.3


def test_equivalence_takes_the_error_at_the_margin():
    """An estimate that fell low by chance brings a small error: taken at the value, 1.0 passes."""
    estimate = _set_estimate(0.5, 0.25, 0.2)
    assert estimate.value + 1.6706 * estimate.error < 1.0
    found = paired.equivalence(estimate, 1.0)
    assert found.p == pytest.approx(float(stats.t.sf(0.5 / estimate.error_at(1.0), 59)))
    assert found.equivalent == (found.high < 1.0)


@pytest.mark.parametrize("skew", [-2.0, -1.0, 0.0, 1.0, 2.0])
def test_the_wider_the_margin_the_smaller_the_p(skew):
    """Five skewed scenes, and a difference that is nothing beside the margin."""
    estimate = Estimate(0.2, 0.08, 0.0, 0.4, 0.95, 40, 5, "planted", skew=skew)
    found = [paired.equivalence(estimate, margin).p for margin in np.linspace(0.1, 4, 60)]
    assert all(b <= a + 1e-15 for a, b in pairwise(found))
    assert found[-1] < 0.01
