"""Rates of verdicts on one part and on several: directions, sizes, intervals, refutations."""

from collections.abc import Iterator

import numpy as np

from e2r_bench.statistics import paired
from e2r_bench.statistics.diagnose import SKEW_SCENES
from e2r_bench.statistics.results import Values
from e2r_metrics.base.draws import rng_for
from tests.calibration import fast
from tests.calibration.families import CALIBRATED_ON, FAILURES, drawn, scenes_of
from tests.calibration.rates import (
    COVERAGE_90,
    FALSE,
    HIDDEN_SKEW,
    UNSEEN,
    WIDE_90,
    WIDE_95,
    Limits,
    Rate,
)

PERMUTATIONS = 999
NUMBERS = (10, 12, 16, 20, 32, 68, 100)
SYMMETRIC = ("normal", "heavy tails (t, 4)")


def limits_of(values: str, scenes: int) -> Limits:
    """Return what is stated for false decisions on these values and so many scenes."""
    if values in FAILURES and FAILURES[values] < 3 / scenes:
        return UNSEEN
    if values not in SYMMETRIC and scenes < SKEW_SCENES:
        return HIDDEN_SKEW
    return FALSE


def one_part(n: int, scenario: str, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate one part: no difference, and a difference at the margin on either side."""
    index = fast.index_of(scenes_of(n, scenario))
    scenes = int(index.max()) + 1
    for name, draw in CALIBRATED_ON.items():
        generator = rng_for(seed, f"{n} {scenario} {name}", "calibration, one part")
        x = drawn(draw, generator, draws, 1, index)
        means = fast.means_of(x, index)
        flips = fast.sign_flip(x, index, generator, PERMUTATIONS)
        margin = 4 * float(means.error.mean())
        found = fast.judge(means, flips, margin)
        where = {"values": name, "scenario": scenario, "n": n}
        limits = limits_of(name, scenes)
        yield Rate.of("verdict, one part", "false direction", found.direction[:, 0] != 0, limits,
                      **where)  # fmt: skip
        for side in (1, -1):
            moved = fast.means_of(x + side * margin, index)
            false = fast.judge(moved, flips, margin).p_within[:, 0] <= 0.05
            yield Rate.of(f"verdict, one part, truth at {'+-'[side < 0]}margin",
                          "false equivalence", false, limits, **where)  # fmt: skip
        inside = np.minimum(fast.p_beyond(means, 0.0, 1), fast.p_beyond(means, 0.0, -1)) > 0.025
        covered = (1 - limits[1] if limits is not FALSE else WIDE_95[0], 1.0)
        yield Rate.of("interval that allows for skewness", "coverage of 95%", inside[:, 0],
                      covered, **where)  # fmt: skip
        if name in SYMMETRIC:
            yield Rate.of("sign flip", "false positives", flips[:, 0] <= 0.05, FALSE, **where)


def rank_tests(n: int, scenario: str, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate Wilcoxon's test, Hodges and Lehmann's interval, and Student's."""
    scenes = scenes_of(n, scenario)
    index = fast.index_of(scenes)
    for name in SYMMETRIC:
        generator = rng_for(seed, f"{n} {scenario} {name}", "calibration, ranks")
        x = drawn(CALIBRATED_ON[name], generator, draws, 1, index)[:, 0]
        where = {"values": name, "scenario": scenario, "n": n}
        hits = [paired.wilcoxon(row, scenes).p <= 0.05 for row in x]
        yield Rate.of("Wilcoxon", "false positives", hits, FALSE, **where)
        walsh = [paired.hodges_lehmann(row, scenes, 0.9) for row in x]
        covered = [w.low <= 0 <= w.high for w in walsh]
        narrow = COVERAGE_90 if n >= 32 else WIDE_90
        yield Rate.of("Hodges-Lehmann interval", "coverage of 90%", covered, narrow, **where)
        means = [paired.mean_estimate(row, scenes, 0.9) for row in x]
        covered = [m.low <= 0 <= m.high for m in means]
        yield Rate.of("t interval over scenes", "coverage of 90%", covered, WIDE_90, **where)


def several_parts(n: int, parts: int, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate parts of one shape: some false direction, equivalence or refutation among them."""
    index = np.arange(n)
    for name in CALIBRATED_ON:
        generator = rng_for(seed, f"{n} {parts} {name}", "calibration, several parts")
        x = drawn(CALIBRATED_ON[name], generator, draws, parts, index)
        yield from _several(x, name, n, generator)


def mixed_parts(n: int, parts: int, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate parts of different shapes, skewed either way, in one claim."""
    index = np.arange(n)
    generator = rng_for(seed, f"{n} {parts}", "calibration, mixed parts")
    names = ["normal", "heavy tails (t, 4)", "log-normal(0.5)", "log-normal(1)", "normal"]
    columns = [
        (-1) ** k * drawn(CALIBRATED_ON[names[k % 5]], generator, draws, 1, index)
        for k in range(parts)
    ]
    yield from _several(np.concatenate(columns, axis=1), "mixed shapes", n, generator)


def _several(x: Values, name: str, n: int, generator: np.random.Generator) -> Iterator[Rate]:
    index, parts = np.arange(n), x.shape[1]
    means = fast.means_of(x, index)
    flips = fast.sign_flip(x, index, generator, PERMUTATIONS)
    margin = 4 * float(means.error.mean())
    where = {"values": name, "scenario": f"{parts} parts", "n": n}
    limits = limits_of(name, n)
    found = fast.judge(means, flips, margin)
    test = "verdict, several parts"
    yield Rate.of(test, "some false direction", (found.direction != 0).any(1), limits, **where)
    for side in (1, -1):
        moved = fast.means_of(x + side * margin, index)
        at = fast.judge(moved, flips, margin)
        yield Rate.of(f"{test}, truth at {'+-'[side < 0]}margin", "some false equivalence",
                      at.within.any(1), limits, **where)  # fmt: skip
        close = fast.means_of(x + 0.999 * side * margin, index)
        refuted = fast.judge(close, flips, margin).supported()["equivalent refuted"]
        yield Rate.of(f"{test}, truth at {side * 0.999} margin", "equivalence falsely refuted",
                      refuted, limits, **where)  # fmt: skip
