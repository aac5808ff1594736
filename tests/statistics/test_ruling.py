"""Claims from their parts: every, one, the opposite, and all claims of a file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2r_bench.statistics.evidence import Part, paired_evidence
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.ruling import family, rule
from e2r_bench.statistics.scope import Scope
from e2r_bench.statistics.verdict import Unmeasured
from e2r_metrics.base.errors import UsageError

NAMES = [f"s{k:03}" for k in range(100)]


def _verdicts(gains, n=40, noise=0.3, seed=0, scope=None):
    generator = np.random.default_rng(seed)
    return judge([
        paired_evidence(Part(f"part {k}", "psnr", 0.5, True), generator.normal(gain, noise, n),
                        np.zeros(n), NAMES[:n], np.random.default_rng(1), 999, scope)
        for k, gain in enumerate(gains)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "gains", "decision", "said"),
    [
        ("better", (1, 1, 1), "supported", "better in every part"),
        ("better", (0.3, 1, 1), "supported", "by less than the margin in 1 of 3"),
        ("better", (1, 1, -1), "refuted", "worse in part 2"),
        ("better", (1, 1, -0.3), "refuted", "worse by less than the margin in part 2"),
        ("better", (1, 1, 0), "not resolved", ""),
        ("better", (0, 0, 0), "not resolved", "any difference is below the margin"),
        ("no gain", (1, 1, 1), "refuted", "better in every part"),
        ("no gain", (0.3, 0.3, 0.3), "refuted", "by less than the margin in 3 of 3"),
        ("no gain", (1, 1, -1), "supported", "worse in part 2"),
        ("no gain", (0, 0, 0), "not resolved", "below the margin"),
        ("equivalent", (0, 0, 0), "supported", "every difference is below the margin"),
        ("equivalent", (0.3, 0, 0), "supported", "better by less than the margin in part 0"),
        ("equivalent", (0, 0, 1), "refuted", "by more than the margin: better in part 2"),
    ],
)
def test_planted_claims(kind, gains, decision, said):
    found = rule(kind, _verdicts(gains))
    assert found.decision == decision
    assert found.words.startswith(decision)
    assert said in found.words


def test_every_part_by_itself_is_enough_to_support():
    """An intersection-union test: no adjustment, though Holm would not pass each."""
    for seed in range(200):
        parts = _verdicts((0.11,) * 4, noise=0.3, seed=seed)
        if all(p.p <= 0.05 for p in parts) and any(p.holm > 0.05 for p in parts):
            found = rule("better", parts)
            assert found.decision == "supported"
            assert "each passes by itself" in found.words
            return
    raise AssertionError("no such draw")


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=5), st.integers(0, 10**6), st.integers(8, 40)
)
@settings(deadline=None, max_examples=60)
def test_a_claim_and_its_opposite_never_both_hold(gains, seed, n):
    parts = _verdicts(gains, n, 0.5, seed)
    back = judge_back(gains, n, seed)
    better, none = rule("better", parts).decision, rule("no gain", parts).decision
    assert (better, none) != ("supported", "supported")
    assert {"supported": "refuted", "refuted": "supported"}.get(better, better) == none
    assert (better, rule("better", back).decision) != ("supported", "supported")
    if better == "supported":
        assert rule("better", back).decision == "refuted"


def judge_back(gains, n, seed):
    generator = np.random.default_rng(seed)
    return judge([
        paired_evidence(Part(f"part {k}", "psnr", 0.5, True), np.zeros(n),
                        generator.normal(gain, 0.5, n), NAMES[:n], np.random.default_rng(1), 999)
        for k, gain in enumerate(gains)
    ])  # fmt: skip


def test_one_of_many_parts_refutes_equivalence_only_when_adjusted():
    parts = _verdicts((0.63, *[0.0] * 9), n=68, seed=5)
    assert 0.005 < parts[0].p_outside < 0.05
    assert rule("equivalent", parts).decision == "not resolved"
    assert rule("equivalent", judge_alone(0.63)).decision == "refuted"


def judge_alone(gain):
    return _verdicts((gain,), n=68, seed=5)


def test_what_was_not_measured_is_counted_in_the_words():
    parts = (*_verdicts((1,)), *judge([Unmeasured("x fid", "fid", "no weights")]))
    assert "1 of 2 parts not measured" in rule("better", parts).words
    assert rule("better", parts[1:]).decision == "not measured"
    with pytest.raises(UsageError, match="without parts"):
        rule("better", [])


@pytest.mark.parametrize(("kind", "gain"), [("better", 1), ("no gain", 1), ("equivalent", 0)])
def test_a_part_on_too_few_scenes_leaves_the_claim_open(kind, gain):
    enough, few = _verdicts((gain, gain)), _verdicts((gain,), n=5)
    assert rule(kind, enough).decision != "not resolved"
    assert rule(kind, (*enough, *few)).decision == "not resolved"


def test_the_words_say_whom_they_speak_of():
    assert "these two adapters" in rule("better", _verdicts((1,), scope=Scope(1, 1))).words
    assert "the recipes" in rule("better", _verdicts((1,), scope=Scope(3, 1))).words


def test_all_claims_of_a_file_state_their_number():
    rulings = [rule("better", _verdicts((gain,), seed=k)) for k, gain in enumerate((1, 0.1, 0))]
    found = family(rulings)
    assert "3 claims" in found.words
    assert "0.15 wrong decisions" in found.words
    assert found.adjusted[0] == pytest.approx(3 * rulings[0].p_supported)
