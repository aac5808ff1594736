"""Margins from outside the table: given ones, and those that metrics state themselves."""

from dataclasses import dataclass

import pytest

from e2r_bench.statistics.given import given_margins, stated
from e2r_bench.statistics.margins import (
    MARGINS,
    fixed_margins,
    known_margin,
    known_margins,
    margins_words,
)
from e2r_metrics import UsageError


@dataclass(frozen=True)
class Row:
    """A metric from outside, as `stated` reads it."""

    name: str
    variant: str
    margin: float | None
    unit: str = ""


OLD, NEW, BARE = Row("vie", "command-a", 2.0), Row("vie", "command-b", 0.5), Row("x", "own", None)
IDS = ["psnr:rgb", "vie:command-a", "vie:command-b", "x:own"]


def test_two_variants_of_a_name_keep_the_margins_that_each_states() -> None:
    for rows in ((OLD, NEW, BARE), (NEW, OLD, BARE)):
        known = stated(rows, {})
        found = [known_margin(key, known) for key in IDS]
        assert [margin and margin.value for margin in found] == [0.5, 2.0, 0.5, None]


def test_a_given_margin_goes_before_those_that_are_stated() -> None:
    known = stated((OLD, NEW), given_margins({"vie": 7.0}, IDS))
    assert {known_margin(key, known) for key in IDS[1:3]} == {known["vie"]}
    assert (known["vie"].value, known["vie"].reason) == (7.0, "given by --margin")


@pytest.mark.parametrize("judged", [IDS, tuple(IDS), dict.fromkeys(IDS)])
def test_whatever_is_judged_may_be_given_a_margin(judged: list[str]) -> None:
    found = given_margins({"vie": 0.5, "x:own": 3.0, "psnr": 1.0}, judged)
    assert {name: one.value for name, one in found.items()} == {"vie": 0.5, "x": 3.0, "psnr": 1.0}
    assert (found["psnr"].unit, found["x"].unit) == ("dB", "")


@pytest.mark.parametrize(
    ("name", "judged", "said"),
    [
        ("vei", IDS, "'vei': did you mean 'vie'"),
        ("pnsr", None, "'pnsr': did you mean 'psnr'"),
        ("lpips", IDS, "margin of lpips: expected a metric that is judged here, of psnr, vie, x"),
    ],
)
def test_a_margin_that_nothing_is_judged_by_is_refused(
    name: str, judged: list[str] | None, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        given_margins({name: 0.5}, judged)
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="expected a finite number above 0"):
            given_margins({"vie": value}, IDS)


def test_margins_are_told_by_name_and_by_id_where_variants_differ() -> None:
    known = stated((OLD, NEW, BARE), {})
    assert known_margins(IDS, known).rows == (
        "psnr 0.5 dB", "vie 2", "vie:command-b 0.5",
    )  # fmt: skip
    assert margins_words(IDS, known).startswith("psnr 0.5 dB, vie 2, vie:command-b 0.5 (sha256 ")
    # Of metrics of the table, ids and names have one digest: what earlier studies say still holds.
    ours = ["psnr:rgb", "psnr:y", "lpips:alex"]
    assert fixed_margins(ours) == fixed_margins(["lpips", "psnr"])
    assert dict(fixed_margins(ours).margins) == {name: MARGINS[name] for name in ("lpips", "psnr")}
    with pytest.raises(UsageError, match="give one for metric 'x'"):
        fixed_margins(IDS, known)
