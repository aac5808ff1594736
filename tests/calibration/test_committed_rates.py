"""The committed rates: made by these rules, within the limits they state, and read by the docs."""

import numpy as np
import pytest

from tests.calibration import claims, fast, page, parts, run, sets
from tests.calibration.families import CALIBRATED_ON, drawn, scenes_of

ROWS = page.load()


def _block(name: str) -> list[dict]:
    return ROWS[ROWS.block == name].to_dict("records")


def test_the_page_of_rules_prints_the_committed_rates():
    assert page.parts_of(page.PAGE.read_text("utf-8"))[1] == page.table(page.load()), (
        "run python tests/calibration/page.py"
    )


def test_the_summary_counts_what_is_within_its_limits():
    kept = (ROWS.low <= ROWS.rate) & (ROWS.rate <= ROWS.high)
    assert (kept == ROWS.kept).all()
    words = f"{kept.sum()} of {len(ROWS)} rates"
    assert words in (page.RATES.parent / "README.md").read_text("utf-8")


def test_nothing_but_power_lies_outside_its_limits():
    """What is false may not be shown more often than stated."""
    outside = ROWS[~ROWS.kept & ~ROWS.test.str.startswith("power")]
    assert outside.empty, outside.to_string()


def test_every_block_is_there():
    missing = {name for name, _ in run.blocks_of()} - set(ROWS.block)
    assert not missing


def test_no_claim_and_its_opposite_ever_held_in_two_hundred_configurations():
    assert len({one.name + one.family + str(one.n) for one in claims.configurations()}) == 200
    both = ROWS[ROWS.quantity == "a claim and its opposite both hold"]
    assert (len(both), both.rate.sum()) == (200, 0)


@pytest.mark.parametrize("n", [10, 32])
def test_the_rules_of_today_give_the_committed_rates(n):
    for made, row in zip(parts.one_part(n, "alone", 10_000), _block(f"one part alone {n}"),
                         strict=True):  # fmt: skip
        assert made.quantity == row["quantity"]
        assert made.rate == pytest.approx(row["rate"], abs=0.002)


def test_scenes_that_are_ignored_show():
    """Planted: clustered images taken as if they were alone; the false alarms give it away."""
    index = fast.index_of(scenes_of(68, "clustered"))
    generator = np.random.default_rng(0)
    x = drawn(CALIBRATED_ON["normal"], generator, 4000, 1, index)
    honest = fast.sign_flip(x, index, generator, 499)
    naive = fast.sign_flip(x, np.arange(68), generator, 499)
    assert np.mean(honest <= 0.05) <= 0.065
    assert np.mean(naive <= 0.05) > 0.1


def test_crops_taken_for_pictures_show():
    """Planted in the simulation itself: the reason why a picture's crops stay together."""
    crops = ROWS[ROWS["values"] == "frechet of crops"]
    mistaken = crops.quantity.str.endswith(sets.MISTAKEN)
    assert (mistaken.sum(), (~mistaken).sum()) == (2, 8)
    told = dict(zip(crops.quantity[mistaken], crops.rate[mistaken], strict=True))
    assert told[f"false positives{sets.MISTAKEN}"] > 0.2
    assert told[f"coverage of 90%{sets.MISTAKEN}"] < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _ in run.blocks_of()])
def test_every_block_again(name):
    rates = next(rates for found, rates in run.blocks_of() if found == name)
    for made, row in zip(rates, _block(name), strict=True):
        assert made.rate == pytest.approx(row["rate"], abs=0.01)
