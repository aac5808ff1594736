"""Claims as a forest: what is drawn is what was judged, with the statements above it."""

from dataclasses import replace

import pytest

from e2r_bench.arms.claims import load_claims
from e2r_bench.arms.forest import forest, marks_of
from e2r_bench.arms.parts import Asked, Part
from e2r_bench.arms.verdicts import Judged
from e2r_bench.statistics.results import Estimate
from e2r_bench.statistics.ruling import rule
from e2r_bench.statistics.scope import Scope
from e2r_bench.statistics.verdict import Evidence, Verdict
from e2r_bench.studies.compare import Comparison

CLAIM = load_claims("edit2restore").claims[0]
BETTER = Verdict(
    "x", "psnr:rgb", "better", 1, 1, "more than the margin", 2.0, 1.0, 3.0, p=0.001, margin=0.5,
    scenes=20, n=20,
)  # fmt: skip
UNMEASURED = Verdict("x", "psnr", "not measured", notes=("no such file",))


def _part(verdict: Verdict, higher: bool = True, metric: str = "psnr") -> Part:
    made = Estimate(verdict.effect or 0.0, 0.1, 0.0, 0.0, 0.95, 20, 20, "t")
    evidence = Evidence("x", metric, made, 0.001, 0.5, higher, Scope())
    return Part(
        Asked("derain", metric, "a", "b"), verdict, Comparison(metric, evidence, (), 0.1, 0)
    )


def _judged(*parts: Part) -> Judged:
    return Judged(CLAIM.id, rule("better", [UNMEASURED]), "as it was judged", (), parts)


def test_marks_are_margins_and_point_to_the_better_arm() -> None:
    lower = replace(BETTER, effect=-2.0, low=-3.0, high=-1.0)
    up, down = marks_of(_judged(_part(BETTER), _part(lower, higher=False, metric="lpips")))
    assert (up.at, up.ends) == (4.0, (2.0, 6.0)) == (down.at, down.ends)
    assert down.label == "lpips: a - b"
    assert up.shown


def test_what_is_not_shown_is_hollow_and_what_has_no_interval_has_no_bar() -> None:
    open_ = replace(BETTER, label="not resolved", direction=0)
    few = replace(open_, low=None, high=None, p=None)
    hollow, bare = marks_of(_judged(_part(open_), _part(few)))
    assert not hollow.shown
    assert hollow.ends is not None
    assert bare.ends is None


@pytest.mark.parametrize("gone", [{"effect": None}, {"margin": 0.0}, {"effect": float("inf")}])
def test_parts_without_a_number_are_counted(gone: dict[str, float | None]) -> None:
    one = _judged(_part(BETTER), _part(replace(BETTER, **gone)))
    assert len(marks_of(one)) == 1
    said = [text.get_text() for text in forest([CLAIM], [one]).axes[0].texts]
    assert said[0] == f"{CLAIM.id}  {CLAIM.statement}"
    assert "1 of 2 parts without a number or a margin" in said


def test_a_claim_of_which_nothing_was_measured_still_stands_with_its_statement() -> None:
    one = _judged(Part(Asked("derain", "psnr", "a", "b"), UNMEASURED))
    figure = forest([CLAIM], [one])
    assert CLAIM.statement in figure.axes[0].texts[0].get_text()
    assert not figure.axes[0].get_yticks().size
