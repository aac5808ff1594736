"""Verdicts on parts: planted answers, invariants, and no verdict where nothing can be said."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from e2r_bench.report.words import word_of
from e2r_bench.statistics.diagnose import shape_of, unseen_rate
from e2r_bench.statistics.evidence import Part, paired_evidence, trained_evidence
from e2r_bench.statistics.judge import MIN_SCENES, judge
from e2r_bench.statistics.onesided import danger, interval, p_beyond, reach
from e2r_bench.statistics.results import Estimate
from e2r_bench.statistics.scope import Scope
from e2r_bench.statistics.verdict import Evidence, Unmeasured
from e2r_metrics.base.errors import UsageError
from tests.calibration import families, fast

NAMES = [f"s{k:03}" for k in range(200)]
DB = Part("denoise25 psnr:rgb", "psnr:rgb", 0.5, True)


def _evidence(gain: float, n: int = 40, noise: float = 0.3, seed: int = 0, part: Part = DB):
    values = np.random.default_rng(seed).normal(gain, noise, n)
    return paired_evidence(part, values, np.zeros(n), NAMES[:n], np.random.default_rng(1), 999)


def _label(*args, **more) -> str:
    return judge([_evidence(*args, **more)])[0].label


@pytest.mark.parametrize(
    ("gain", "label"),
    [
        (1.0, "better"),
        (0.3, "better by less than the margin"),
        (0.0, "equivalent"),
        (-0.3, "worse by less than the margin"),
        (-1.0, "worse"),
    ],
)
def test_planted_verdicts(gain, label):
    assert _label(gain) == label


def test_noise_alone_is_not_resolved():
    assert _label(0.1, noise=3.0) == "not resolved"


def test_a_lower_value_is_better_where_the_metric_says_so():
    assert _label(-1.0, part=replace(DB, metric="lpips:alex", higher_is_better=False)) == "better"


@pytest.mark.parametrize("gain", [0.0, 5.0])
def test_no_verdict_of_any_kind_on_too_few_scenes(gain):
    """Five near-zero differences give an equivalence p of 1e-9, and five gains a p of zero."""
    (found,) = judge([_evidence(gain, n=MIN_SCENES - 1, noise=1e-3)])
    assert (found.label, found.p, found.low) == ("not resolved", None, None)
    assert f"below {MIN_SCENES}" in found.notes[0]
    assert judge([_evidence(gain, n=MIN_SCENES, noise=1e-3)])[0].label != "not resolved"


def test_parts_without_a_number_say_why_and_cost_nothing():
    alone = judge([_evidence(0.3)])
    with_others = judge([_evidence(0.3), Unmeasured("x fid", "fid", "no weights"),
                         _evidence(0.3, n=5)])  # fmt: skip
    assert with_others[0] == alone[0]
    assert (with_others[1].label, with_others[1].notes) == ("not measured", ("no weights",))


def test_without_a_margin_the_difference_is_told_and_nothing_is_judged():
    """It costs the other parts nothing, as every part that is not tested."""
    known, bare = _evidence(0.5), replace(_evidence(0.5, seed=1), margin=None)
    verdict, untold = judge([known, bare])
    assert verdict == judge([known])[0]
    assert (untold.label, untold.judged, untold.margin) == ("not resolved", False, None)
    assert untold.effect == bare.estimate.value
    assert untold.alone == interval(bare.estimate, 0.95, None)
    assert (untold.low, untold.high, untold.holm, untold.direction) == (None, None, None, 0)
    assert "its definition states no margin" in untold.notes[0]
    (program,) = judge([replace(bare, metric="vie:command-0123abcd")])
    assert program.notes[0].startswith("no verdict: give margin=NUMBER before the program")
    assert word_of(untold, "dB").text == "no verdict: no margin"
    few = replace(_evidence(0.5, n=9), margin=None)
    assert word_of(judge([few])[0], "dB").text == "no verdict: 9 of 10 scenes"


def test_identical_arms_have_a_defined_answer():
    values = np.linspace(20, 30, 20)
    found = paired_evidence(DB, values, values, NAMES[:20], np.random.default_rng(0))
    assert found.p == 1.0
    (verdict,) = judge([found])
    assert (verdict.label, verdict.effect, verdict.p) == ("equivalent", 0.0, 1.0)
    assert (verdict.low, verdict.high) == (0.0, 0.0)


def test_the_same_gain_everywhere_is_certain():
    values = np.linspace(20, 30, 20)
    found = paired_evidence(DB, values + 1, values, NAMES[:20], np.random.default_rng(0))
    (verdict,) = judge([found])
    assert (verdict.label, verdict.size) == ("better", "more than the margin")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"margin": 0.0}, "margin: expected a number above 0"),
        ({"margin": float("nan")}, "margin: expected a number above 0"),
        ({"p": 1.2}, "p-value"),
        ({"p": float("nan")}, "p-value"),
        ({"estimate": Estimate(float("nan"), 1.0, 0, 0, 0.95, 20, 20, "x")}, "finite difference"),
        ({"estimate": Estimate(0.0, float("nan"), 0, 0, 0.95, 20, 20, "x")}, "finite difference"),
    ],
)
def test_evidence_that_is_none_is_refused(change, said):
    with pytest.raises(UsageError, match=said):
        judge([replace(_evidence(0.3), **change)])


@pytest.mark.parametrize(
    ("first", "second", "scenes", "said"),
    [
        (np.zeros(4), np.zeros(5), NAMES[:4], "found 4 and 5"),
        (np.array([1.0]), np.array([0.0]), NAMES[:1], "at least two values"),
        (np.array([1.0, np.nan]), np.zeros(2), NAMES[:2], "expected finite values"),
        (np.arange(3.0), np.zeros(3), ["a"] * 3, "at least two scenes"),
    ],
)
def test_degenerate_arms_are_refused(first, second, scenes, said):
    with pytest.raises(UsageError, match=said):
        paired_evidence(DB, first, second, scenes, np.random.default_rng(0))


@st.composite
def evidence(draw) -> Evidence:
    value, error = draw(st.floats(-3, 3)), draw(st.floats(0.01, 1))
    scenes, skew = draw(st.integers(MIN_SCENES, 100)), draw(st.floats(-3, 3))
    share = draw(st.sampled_from([None, 0.5, 1.0]))
    null = None if share is None else share * error
    estimate = Estimate(value, error, 0, 0, 0.95, scenes, scenes, "x", skew, null)
    p, higher = draw(st.floats(0, 1)), draw(st.booleans())
    return Evidence("x", "m", estimate, p, 0.5, higher, Scope())


def _swapped(part: Evidence) -> Evidence:
    e = part.estimate
    return replace(part, estimate=replace(e, value=-e.value, skew=-e.skew))


@given(st.lists(evidence(), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_swapping_the_arms_turns_every_direction(parts):
    for one, other in zip(judge(parts), judge([_swapped(p) for p in parts]), strict=True):
        assert other.direction == -one.direction
        assert (other.size, other.holm) == (one.size, pytest.approx(one.holm))
        assert (other.low, other.high) == (pytest.approx(-one.high), pytest.approx(-one.low))


@given(st.lists(evidence(), min_size=1, max_size=4), st.floats(0.01, 100))
@settings(deadline=None, max_examples=40)
def test_the_unit_changes_no_verdict(parts, scale):
    def scaled(part: Evidence) -> Evidence:
        e = part.estimate
        null = None if e.null_error is None else scale * e.null_error
        estimate = replace(e, value=scale * e.value, error=scale * e.error, null_error=null)
        return replace(part, estimate=estimate, margin=scale * part.margin)

    for one, other in zip(judge(parts), judge([scaled(p) for p in parts]), strict=True):
        assert other.p_within == pytest.approx(one.p_within, rel=1e-6, abs=1e-12)
        assert other.holm == pytest.approx(one.holm, rel=1e-6, abs=1e-12)


@given(st.lists(evidence(), min_size=2, max_size=6), st.randoms())
@settings(deadline=None, max_examples=40)
def test_the_order_of_parts_changes_no_verdict(parts, random):
    order = list(range(len(parts)))
    random.shuffle(order)
    found = judge([parts[k] for k in order])
    plain = judge(parts)
    for place, k in enumerate(order):
        assert found[place].label == plain[k].label


@given(st.lists(evidence(), min_size=1, max_size=8))
@settings(deadline=None, max_examples=150)
def test_simultaneous_intervals_agree_with_the_decisions_beside_them(parts):
    for part, found in zip(parts, judge(parts), strict=True):
        assert found.low <= found.high
        beyond_zero = found.low >= 0 or found.high <= 0
        touches = min(abs(found.low), abs(found.high)) == 0 and found.direction == 0
        assert beyond_zero == (found.direction != 0) or touches
        inside = -part.margin <= found.low and found.high <= part.margin
        assert inside == (found.size == "less than the margin")
        if found.size == "more than the margin":
            assert found.low >= part.margin or found.high <= -part.margin
        else:
            assert found.low <= part.margin
            assert found.high >= -part.margin


@given(
    st.floats(-3, 3), st.floats(1e-4, 0.4), st.integers(4, 100), st.sampled_from([-1, 1]),
    st.sampled_from([None, -2.0, 0.0, 1.0]),
)  # fmt: skip
def test_the_interval_inverts_the_test(skew, alpha, scenes, side, shared):
    estimate = Estimate(1.0, 0.3, 0, 0, 0.95, scenes, scenes, "x", skew)
    end = estimate.value - side * reach(estimate, alpha, side, shared) * estimate.error
    assert p_beyond(estimate, end, side, shared) == pytest.approx(alpha, rel=1e-6)


def test_without_skewness_it_is_students_t():
    estimate = Estimate(1.0, 0.3, 0, 0, 0.95, 20, 20, "x")
    assert p_beyond(estimate, 0.2, 1) == pytest.approx(stats.t.sf(0.8 / 0.3, 19))
    half = stats.t.isf(0.025, 19) * 0.3
    assert interval(estimate) == pytest.approx((1 - half, 1 + half))


@pytest.mark.parametrize(("n", "parts", "scenario"), [(20, 5, "alone"), (30, 1, "clustered"),
                                                     (12, 2, "alone")])  # fmt: skip
def test_the_calibrations_fast_rules_are_these(n, parts, scenario):
    """Else the committed rates would be those of other rules."""
    scenes = families.scenes_of(n, scenario)
    index = fast.index_of(scenes)
    generator = np.random.default_rng(n)
    x = families.drawn(families.CALIBRATED_ON["log-normal(1)"], generator, 8, parts, index) + 0.3
    flips = fast.sign_flip(x, index, np.random.default_rng(5), 499)
    found = fast.judge(fast.means_of(x, index), flips, 0.5)
    for draw in range(8):
        verdicts = judge([
            paired_evidence(DB, row, np.zeros(n), scenes, np.random.default_rng(5), 499)
            for row in x[draw]
        ])  # fmt: skip
        assert [v.p for v in verdicts] == pytest.approx(found.p[draw])
        assert [v.p_within for v in verdicts] == pytest.approx(found.p_within[draw])
        assert [v.holm_outside for v in verdicts] == pytest.approx(found.holm_outside[draw])
        assert [v.direction for v in verdicts] == found.direction[draw].tolist()


@pytest.mark.parametrize("trainings", [2, 3, 5])
def test_the_calibrations_fast_recipes_are_these(trainings):
    generator = np.random.default_rng(trainings)
    x = generator.normal(0.3, 0.5, (4, 1, trainings, 20)) + generator.normal(
        0, 0.1, (4, 1, trainings, 1)
    )
    means = fast.trained_means(x)
    for draw in range(4):
        found = trained_evidence(DB, x[draw, 0][:, None], NAMES[:20], np.random.default_rng(0))
        assert found.estimate.error == pytest.approx(means.error[draw, 0])
        assert found.estimate.df == pytest.approx(means.freedom[draw, 0], rel=1e-3)


def test_an_interval_reaches_the_margin_where_the_permutations_leave_the_size_open():
    """Holm's second step shows the direction; no size is shown by a p of 0.03 in the first."""
    far = replace(_evidence(0), estimate=Estimate(3, 0.05, 0, 0, 0.95, 40, 40, "x"), p=0.03)
    near = replace(far, estimate=Estimate(0.55, 0.05, 0, 0, 0.95, 40, 40, "x"), p=0.001)
    found = judge([far, near])[0]
    assert (found.direction, found.size, found.low) == (1, "open", far.margin)


def test_skewness_of_all_parts_guards_each():
    """A sample that missed its tail is not trusted while the others show one."""
    calm = replace(_evidence(0.0), estimate=Estimate(0, 0.1, 0, 0, 0.95, 20, 20, "x", 0.0))
    loud = replace(calm, estimate=replace(calm.estimate, skew=3.0))
    alone, guarded = judge([calm])[0], judge([calm, loud, loud, loud])[0]
    assert guarded.p_within > 2 * alone.p_within


def test_what_no_test_can_see_is_said():
    assert unseen_rate(59) == pytest.approx(0.0495, abs=2e-4)
    assert any("failures rarer than 15%" in note for note in judge([_evidence(1, n=20)])[0].notes)
    assert not any("failures" in note for note in judge([_evidence(1, n=60)])[0].notes)


def test_rare_failures_set_mean_and_typical_picture_against_each_other():
    values = np.r_[np.full(36, 0.3), np.full(4, -8.0)] + np.random.default_rng(0).normal(0, 0.1, 40)
    shape = shape_of(values, NAMES[:40])
    assert shape.contradicts
    assert (shape.improved, shape.far) == (0.9, tuple(NAMES[36:40]))
    assert shape.location > 0 > values.mean()
    lower, upper = shape.improved_low, shape.improved_high
    peer = stats.binomtest(36, 40).proportion_ci(method="wilson")
    assert (lower, upper) == pytest.approx((peer.low, peer.high))


@pytest.mark.parametrize("folder", ["", "/data/clean/"])
def test_scenes_that_lie_far_are_named_without_the_folder_of_all(folder: str):
    values = np.r_[np.random.default_rng(0).normal(0, 0.1, 36), np.full(4, -8.0)]
    names = [f"{folder}s{k:03}.png" for k in range(40)]
    (found,) = judge([paired_evidence(DB, values, 0 * values, names, np.random.default_rng(0), 99)])
    assert (
        "far from the others: 4 of 40 scenes (s036.png, s037.png, s038.png and 1 more); look there"
        in found.notes
    )


def test_the_scope_names_what_was_repeated():
    assert Scope(1, 1).subject == "these two adapters"
    assert "not of the recipe" in Scope(1, 1).notes[0]
    assert Scope(3, 2).subject == "the recipes"
    assert (Scope().subject, Scope(3, 2).notes) == ("these two arms", ())


def _skewed(skew: float, scenes: int = 20) -> Estimate:
    return Estimate(1.0, 0.3, 0, 0, 0.95, scenes, scenes, "x", skew)


@pytest.mark.parametrize(
    ("skew", "shared", "allowed"),
    [
        (-2.0, None, -2 * (2 - 0.5 * 0.5121)),
        (2.0, None, 2 - 0.5 * 0.5121),
        (-0.2, None, 0.0),
        (-2.0, 0.0, -1.5 * (2 - 0.5121)),
        (-0.2, -1.0, -1.25),
        (2.0, -1.0, -1.25),
        (-2.0, 1.0, -1.5 * (2 - 0.5121)),
    ],
)
def test_skewness_counts_in_the_dangerous_direction(skew, shared, allowed):
    """The error of skewness of 20 normal values is 0.5121 (Cramer)."""
    assert danger(_skewed(skew), 1, shared) == pytest.approx(allowed, abs=1e-3)
    mirrored = None if shared is None else -shared
    assert danger(_skewed(-skew), -1, mirrored) == pytest.approx(allowed, abs=1e-3)


def test_beyond_its_standstill_the_transformation_is_no_steeper_than_a_quarter():
    """Else samples that missed their tail by far would pass as the clearest of all."""
    calm = [stats.t.isf(alpha, 9) for alpha in (1e-3, 1e-4)]
    far = [reach(_skewed(-2.5, 10), alpha, 1) for alpha in (1e-3, 1e-4)]
    assert far[1] - far[0] == pytest.approx(4 * (calm[1] - calm[0]))
