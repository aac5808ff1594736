"""Errors anywhere: planted where the mask says, found by the fitting map, quoted as measured."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kinds import FITTING, KINDS, MARGIN, SIDE, place_in, plant_kind, with_glyphs
from planted_errors import auroc

from e2r_bench.maps.bands import band_split
from e2r_bench.maps.unseen import UNSEEN
from e2r_bench.run.data import read_clean
from e2r_bench.run.mini import mini

TABLE = Path(__file__).parents[2] / "results" / "maps" / "kinds.csv"
PHOTO, OTHER = (read_clean(mini().sources[k]) for k in (2, 5))


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_lies_in_its_region_and_the_fitting_map_finds_it(kind: str) -> None:
    scores = []
    for seed in range(3):
        place = place_in(PHOTO.shape, np.random.default_rng(seed))
        assert min(place.top, place.left) >= MARGIN
        assert max(place.top, place.left) <= 128 - SIDE - MARGIN
        truth = with_glyphs(kind, PHOTO, place)
        spoilt, mask = plant_kind(kind, truth, OTHER, place)
        changed = np.any(spoilt != truth, axis=2)
        assert changed.any()
        assert not changed[mask == 0].any()
        assert mask.sum() == SIDE * SIDE
        again, _ = plant_kind(kind, truth, OTHER, place)
        np.testing.assert_array_equal(again, spoilt)
        scores.append(auroc(getattr(band_split(spoilt, truth), FITTING[kind]), mask))
    assert np.mean(scores) > 0.9


def _mean(output: str, planted: str, which: str) -> str:
    table = pd.read_csv(TABLE).set_index(["output", "planted", "map"])["mean"]
    return f"{table[output, planted, which]:.2f}".removeprefix("0")


def test_what_the_page_quotes_is_what_the_table_says() -> None:
    blind = {
        kind: _mean("denoise50, restored, no truth", kind, "consistency")
        for kind in ("moire", "JPEG", "faint glyphs", "turned by 4 degrees")
    }
    lost = [
        _mean(output, "halos", "lost") for output in ("truth + noise of sigma 5", "denoised (NLM)")
    ]
    twenty_five = {
        _mean("denoise25, restored, no truth", kind, "consistency")
        for kind in ("moire", "turned by 4 degrees")
    }
    with_truth = [
        _mean("denoised (NLM)", kind, FITTING[kind])
        for kind in ("JPEG", "turned by 4 degrees", "faint glyphs")
    ]
    expected = (
        lost,
        [min(blind.values()), max(blind.values()),
         _mean("denoise50, the truth, no truth", "moire", "consistency"), *sorted(twenty_five)],
        with_truth,
    )  # fmt: skip
    for line, numbers in zip(UNSEEN, expected, strict=True):
        assert re.findall(r"(?<=[ (])\.\d\d", line) == numbers
