"""Trainings as random effects, knees, seeds needed, correlation, power, margins, tables."""

import itertools

import numpy as np
import pytest
from scipy import stats

from e2r_bench.statistics.components import cut_freedom, seeds_needed
from e2r_bench.statistics.correlation import rank_correlation
from e2r_bench.statistics.effects import crossed_estimate, joined_estimate, variance_of_mean
from e2r_bench.statistics.evidence import Part, trained_evidence
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.knee import find_knee
from e2r_bench.statistics.margins import MARGINS, absolute, margin_of
from e2r_bench.statistics.paired import mean_estimate, wilcoxon
from e2r_bench.statistics.power import (
    Spread,
    power_of,
    power_within,
    scenes_needed,
    trainings_needed,
)
from e2r_bench.statistics.printed import Printed, printed_evidence
from e2r_bench.statistics.results import Estimate
from e2r_metrics.base.errors import UsageError

NAMES = [f"s{k:03}" for k in range(200)]
COUNTS = (1, 2, 4, 8, 16, 28, 50)
PART = Part("x", "psnr:rgb", 0.5, True)


def test_variance_of_the_mean_is_the_spread_over_repetitions():
    generator = np.random.default_rng(0)
    sizes, deviations = (4, 3, 12), (0.5, 0.3, 1.0)
    means, said = [], []
    for _ in range(1500):
        values = generator.normal(0, 0.6, sizes)
        for axis, (size, deviation) in enumerate(zip(sizes, deviations, strict=True)):
            shape = [1, 1, 1]
            shape[axis] = size
            values = values + generator.normal(0, deviation, shape)
        means.append(values.mean())
        said.append(variance_of_mean(values).total)
    assert np.mean(said) == pytest.approx(np.var(means), rel=0.12)


def test_one_training_and_seed_is_the_interval_over_scenes():
    values = np.random.default_rng(0).normal(size=30)
    ours = crossed_estimate(values[None, None], NAMES[:30])
    peer = mean_estimate(values, NAMES[:30])
    assert (ours.value, ours.low, ours.high) == pytest.approx((peer.value, peer.low, peer.high))


def test_the_spread_between_trainings_enters_the_verdict():
    generator = np.random.default_rng(0)
    shift = np.array([0.9, -0.1, 0.5])[:, None, None]
    values = generator.normal(0, 0.3, (1, 1, 68)) + shift
    alone = judge([trained_evidence(PART, values[:1], NAMES[:68], generator)])[0]
    recipes = judge([trained_evidence(PART, values, NAMES[:68], generator)])[0]
    assert (alone.label, alone.scope.subject) == ("better", "these two adapters")
    assert (recipes.label, recipes.scope.subject) == ("not resolved", "the recipes")


def test_joined_estimates_carry_the_spread_between_trainings():
    one = Estimate(1.0, 0.1, 0, 0, 0.95, 40, 40, "jackknife", null_error=0.05)
    other = Estimate(3.0, 0.1, 0, 0, 0.95, 40, 40, "jackknife", null_error=0.05)
    found = joined_estimate([one, other])
    assert (found.value, found.error) == (2.0, pytest.approx(np.sqrt(1 + 0.01)))
    assert found.df == pytest.approx(1.0, abs=0.1)
    assert joined_estimate([one]) == one


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 20)), "found shape"),
        (np.full((2, 1, 20), np.nan), "finite"),
        (np.zeros((2, 1, 20)), "constant has no noise"),
    ],
)
def test_trainings_that_say_nothing_are_refused(values, said):
    with pytest.raises(UsageError, match=said):
        crossed_estimate(values, NAMES[:20])


def _curves(place, rise, noise, n=40, seed=0):
    generator = np.random.default_rng(seed)
    curve = 25 + rise * np.minimum(np.arange(7), place) / max(1, place)
    return curve + generator.normal(0, noise, (n, 7)) + generator.normal(0, 2, (n, 1))


@pytest.mark.parametrize(
    ("place", "rise", "settling", "steps"),
    [
        (3, 5.0, "knee", 8),
        (2, 3.0, "knee", 4),
        (3, 0.0, "flat", None),
        (6, 9.0, "not settled", None),
        (3, -5.0, "knee", 8),
    ],
)
def test_planted_knees(place, rise, settling, steps):
    found = find_knee(_curves(place, rise, 0.1), COUNTS, NAMES[:40], 0.2)
    assert (found.settling, found.steps) == (settling, steps)
    assert found.low <= (steps or found.low) <= found.high
    assert found.to_longest[-1].value == 0
    assert found.to_longest[0].value == pytest.approx(-rise, abs=0.2)


def test_noise_alone_has_no_knee():
    found = [find_knee(_curves(3, 0, 1.0, seed=k), COUNTS, NAMES[:40], 0.1) for k in range(40)]
    assert sum(knee.settling in ("knee", "not settled") for knee in found) <= 2
    assert all(knee.low <= 1 for knee in found if knee.settling == "not resolved")


def test_settled_at_the_end_without_any_change_before_is_no_knee():
    values = np.random.default_rng(0).normal(0, 1, (40, 7)) * [3, 3, 3, 3, 0.01, 0.01, 0.01]
    found = find_knee(values, COUNTS, NAMES[:40], 0.1)
    assert (found.settling, found.steps, found.low, found.high) == ("not resolved", None, 1, 16)
    assert "settled by 16 steps" in found.words


def test_the_same_curve_in_every_image_has_a_knee():
    values = np.tile([1.0, 2.0, 3.0, 3.0], (12, 1))
    assert find_knee(values, (1, 2, 4, 8), NAMES[:12], 0.1).steps == 4
    assert find_knee(np.ones((12, 4)), (1, 2, 4, 8), NAMES[:12], 0.1).settling == "flat"


def test_a_knee_on_few_scenes_says_nothing():
    found = find_knee(_curves(3, 5.0, 0.1, n=9), COUNTS, NAMES[:9], 0.2)
    assert (found.settling, found.low, found.high) == ("not resolved", 1, 50)
    assert "9 scenes" in found.words


@pytest.mark.parametrize(
    ("values", "counts", "scenes", "margin", "said"),
    [
        (np.zeros((4, 2)), (1, 2), "abcd", 1, "three or more"),
        (np.zeros((4, 3)), (4, 2, 1), "abcd", 1, "ascending"),
        (_curves(3, 1, 1, 4), COUNTS, "aaaa", 1, "at least two scenes"),
        (_curves(3, 1, 1, 4), COUNTS, "abcd", 0, "margin"),
        (_curves(3, 1, 1, 4) * np.nan, COUNTS, "abcd", 1, "finite"),
    ],
)
def test_a_knee_that_cannot_be_sought_is_refused(values, counts, scenes, margin, said):
    with pytest.raises(UsageError, match=said):
        find_knee(values, counts, list(scenes), margin)


def test_seeds_needed_covers_the_truth_and_plans_ahead():
    generator = np.random.default_rng(0)
    half = float(stats.t.isf(0.025, 15)) / 4 * 1.0001
    found = [seeds_needed(float(generator.normal(size=4).var(ddof=1)), 4, half) for _ in range(300)]
    assert np.mean([s.low <= 16 <= (s.high or 10**9) for s in found]) >= 0.93
    assert np.mean([s.enough < 16 for s in found]) <= 0.2


def test_seeds_known_without_doubt_give_students_number():
    """As many seeds as one likes: the interval closes around the t interval's own number."""
    found = seeds_needed(1.0, 10**6, 1.0)
    t = [stats.t.isf(0.025, n - 1) / np.sqrt(n) for n in (found.enough - 1, found.enough)]
    assert t[1] <= 1.0 < t[0]
    assert found.low == found.enough == found.high
    assert cut_freedom(10**6) < 10**6


def test_two_seeds_do_not_tell_a_spread():
    assert seeds_needed(1.0, 2, 0.5).words.startswith("not resolved")
    with pytest.raises(UsageError, match="two seeds"):
        seeds_needed(1.0, 1, 0.5)
    assert seeds_needed(0.0, 5, 0.5).enough == 2


def test_rank_correlation_is_counted_out():
    one, two = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]
    found = rank_correlation(one, two)
    peer = stats.spearmanr(one, two)
    assert found.rho == pytest.approx(peer.statistic)
    every = [abs(stats.spearmanr(one, order).statistic) for order in itertools.permutations(two)]
    assert found.p == pytest.approx(np.mean(np.array(every) >= found.rho - 1e-9))
    assert found.floor == pytest.approx(2 / 120)
    many = np.random.default_rng(0).normal(size=(2, 30))
    assert rank_correlation(*many).p == pytest.approx(stats.spearmanr(*many).pvalue)


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ([1, 1, 1, 1], [1, 2, 3, 4], "follows nothing"),
        ([1, 2, 3], [1, 2, 3], "at least 4"),
        ([1, 2, 3, 4], [1, 2, 3], "one length"),
        ([1, 2, 3, np.nan], [1, 2, 3, 4], "finite"),
    ],
)
def test_a_correlation_of_nothing_is_refused(one, two, said):
    with pytest.raises(UsageError, match=said):
        rank_correlation(one, two)


def test_scenes_without_a_difference_do_not_count_for_wilcoxons_floor():
    values = np.r_[np.zeros(10), 0.3, 0.5, 0.2, 0.9, 0.7, 0.1]
    found = wilcoxon(values, NAMES[:16])
    assert (found.p, found.floor, found.scenes) == (2 / 64, 2 / 64, 16)


@pytest.mark.parametrize(("effect", "parts"), [(0.3, 1), (0.3, 15), (0.1, 1)])
def test_so_many_scenes_find_it_four_times_in_five(effect, parts):
    needed = scenes_needed(effect, Spread(0.6), parts=parts)
    n = needed.number
    draws = np.random.default_rng(0).normal(effect, 0.6, (4000, n))
    t = draws.mean(1) / draws.std(1, ddof=1) * np.sqrt(n)
    assert np.mean(t > stats.t.isf(0.025 / parts, n - 1)) == pytest.approx(0.8, abs=0.03)
    assert power_of(effect, 0.6 / np.sqrt(n - 1), n - 2, 0.05 / parts) < 0.8


def test_the_spread_between_trainings_limits_what_scenes_can_do():
    spread = Spread(0.6, training=0.37)
    assert scenes_needed(0.3, spread, trainings=3).number is None
    assert "no number of scenes" in scenes_needed(0.3, spread, trainings=3).words
    assert trainings_needed(0.3, spread, 68).number > 10
    with pytest.raises(UsageError, match="effect other than 0"):
        scenes_needed(0.0, spread)


def test_power_to_show_a_small_difference():
    draws = np.random.default_rng(0).normal(0, 0.6, (8000, 40))
    error = draws.std(1, ddof=1) / np.sqrt(40)
    shown = np.abs(draws.mean(1)) + stats.t.isf(0.05, 39) * error < 0.3
    assert power_within(0.3, 0.6 / np.sqrt(40), 39) == pytest.approx(shown.mean(), abs=0.03)


def test_every_metric_has_a_margin_with_unit_and_reason():
    from e2r_metrics import CATALOG

    assert {margin_of(key).metric for key in CATALOG} <= MARGINS.keys()
    assert all(row.reason and row.value > 0 for row in MARGINS.values())


def test_margins_are_in_the_metrics_unit():
    assert absolute(margin_of("psnr:rgb")) == 0.5
    assert absolute(margin_of("fid:clean"), worst=80.0, best=20.0) == pytest.approx(3.0)
    assert absolute(margin_of("kid:unbiased"), 0.1, -0.001) > 0
    for worst, best, said in ((None, 1.0, "measure the degraded input"), (3.0, 3.0, "no gap")):
        with pytest.raises(UsageError, match=said):
            absolute(margin_of("fid"), worst, best)
    with pytest.raises(UsageError, match="did you mean 'psnr'"):
        margin_of("psnrr")


@pytest.mark.parametrize(
    ("first", "second", "label"),
    [(0.90, 0.60, "better"), (0.61, 0.60, "not resolved"), (0.30, 0.60, "worse")],
)
def test_printed_differences(first, second, label):
    printed = Printed(first, second, (0.60, 0.61, 0.59, 0.60), 0.01, 68)
    part = Part("clip_iqa dehaze", "clip_iqa", 0.02, True)
    assert judge([printed_evidence(part, printed)])[0].label == label


def test_rounding_is_carried_through():
    """A difference that is decided only by digits that were not printed is not decided."""
    alike = (0.600, 0.604, 0.598, 0.602)
    exact = Printed(0.62, 0.60, alike, 0.0, 68)
    coarse = Printed(0.62, 0.60, alike, 0.01, 68)
    p = [printed_evidence(PART, printed).p for printed in (exact, coarse)]
    assert p[0] < 0.05 < p[1]
    assert printed_evidence(PART, Printed(0.61, 0.60, (0.6, 0.6), 0.01, 68)).p == 1.0


def test_the_wider_of_two_errors_counts_for_a_table():
    near = Printed(50.0, 60.0, (50.1, 50.0, 50.2, 49.9), 0.01, 68)
    assert printed_evidence(PART, near).p < 0.001
    far = Printed(50.0, 60.0, near.alike, 0.01, 68, simulated=5.0)
    assert printed_evidence(PART, far).p == pytest.approx(2 * stats.t.sf(9.99 / 5, 67), rel=1e-3)
