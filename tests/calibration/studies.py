"""Rates of what the studies say: trainings, knees, seeds needed, published tables."""

from collections.abc import Iterator

import numpy as np
from scipy import stats

from e2r_bench.statistics.components import seeds_needed
from e2r_bench.statistics.evidence import Part
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.knee import find_knee
from e2r_bench.statistics.printed import Printed, printed_evidence
from e2r_bench.statistics.results import Values
from e2r_bench.statistics.ruling import rule
from e2r_metrics.base.draws import rng_for
from tests.calibration import fast
from tests.calibration.families import CALIBRATED_ON, scenes_of
from tests.calibration.rates import ANY, FALSE, FALSE_20, WIDE_95, Rate

COUNTS = (1, 2, 4, 8, 16, 28, 50)
SPREADS = (0.0, 0.05, 0.1, 0.2, 0.37)


def trained(trainings: int, n: int, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate recipes without a difference, by the spread between their trainings in dB."""
    for family in ("normal", "log-normal(0.5)"):
        for spread in SPREADS:
            generator = rng_for(seed, f"{trainings} {n} {spread} {family}", "calibration, trained")
            x = (
                spread * generator.standard_normal((draws, 1, trainings, 1))
                + 0.5 * CALIBRATED_ON[family](generator, (draws, 1, 1, n))
                + 0.33 * generator.standard_normal((draws, 1, trainings, n))
            )
            where = {"values": family, "scenario": f"{trainings} trainings, spread {spread}",
                     "n": n}  # fmt: skip
            means = fast.trained_means(x)
            flips = fast.sign_flip(x.mean(-2), np.arange(n), generator, 999)
            found = fast.judge(means, flips, 0.5)
            yield Rate.of("verdict on recipes", "false direction", found.direction[:, 0] != 0,
                          FALSE, **where)  # fmt: skip
            at = fast.judge(fast.trained_means(x + 0.5), flips, 0.5)
            yield Rate.of("verdict on recipes", "false equivalence", at.within[:, 0], FALSE,
                          **where)  # fmt: skip
            both = np.minimum(fast.p_beyond(means, 0.0, 1), fast.p_beyond(means, 0.0, -1))
            yield Rate.of("interval over trainings and scenes", "coverage of 95%",
                          both[:, 0] > 0.025, WIDE_95, **where)  # fmt: skip


def curves(
    knee: int, rise: float, noise: float, shape: tuple[int, int], generator: np.random.Generator
) -> Values:
    """Return (draws, n, counts) values that rise up to a place among the counts, then stay."""
    draws, n = shape
    rising = rise * np.minimum(np.arange(len(COUNTS)), knee) / max(1, knee)
    own = generator.standard_normal((draws, n, len(COUNTS))) * noise
    return 25 + rising + own + 2 * generator.standard_normal((draws, n, 1))


def knees(n: int, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate noise alone, and knees of several heights at 8 of 50 steps."""
    scenes, margin = scenes_of(n, "alone"), 0.1
    for rise in (0.0, 0.3, 2.0, 10.0):
        for noise in (0.05, 0.3):
            generator = rng_for(seed, f"{n} {rise} {noise}", "calibration, knees")
            made = curves(3, rise, noise, (draws, n), generator)
            found = [find_knee(x, COUNTS, scenes, margin) for x in made]
            truth = _settled(rise, margin)
            where = {"values": f"rise {rise} dB, noise {noise} dB",
                     "scenario": f"settled at {truth}, margin {margin} dB", "n": n}  # fmt: skip
            covered = [knee.low <= truth <= knee.high for knee in found]
            yield Rate.of("knee", "coverage of 95%", covered, WIDE_95, **where)
            if rise == 0:
                false = [knee.settling in ("knee", "not settled") for knee in found]
                yield Rate.of("knee", "claimed where nothing changes", false, FALSE, **where)
            else:
                yield Rate.of("knee", "found", [k.settling == "knee" for k in found], ANY, **where)
                flat = [k.settling == "flat" for k in found]
                limits = FALSE if truth > 1 else ANY
                yield Rate.of("knee", "said to be flat", flat, limits, **where)


def _settled(rise: float, margin: float) -> int:
    """Return the smallest count from which the true curve stays within the margin of its end."""
    gaps = rise * (1 - np.minimum(np.arange(len(COUNTS)), 3) / 3)
    outside = np.flatnonzero(gaps > margin * (1 + 1e-9))
    return COUNTS[int(outside[-1]) + 1] if len(outside) else COUNTS[0]


def seeds(count: int, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate studies of seeds whose means spread by 1; the half-width asks for 16 of them."""
    half = float(stats.t.isf(0.025, 15)) / 4 * 1.0000001
    for family in ("normal", "heavy tails (t, 4)", "log-normal(0.5)", "log-normal(1)"):
        generator = rng_for(seed, f"{count} {family}", "calibration, seeds")
        means = CALIBRATED_ON[family](generator, (draws, count))
        found = [seeds_needed(float(row.var(ddof=1)), count, half) for row in means]
        where = {"values": family, "scenario": "16 seeds are needed", "n": count}
        covered = [(s.low or 10**9) <= 16 <= (s.high or 10**9) for s in found]
        limits = ANY if family == "log-normal(1)" else WIDE_95
        yield Rate.of("seeds needed", "coverage of 95%", covered, limits, **where)
        few = [s.enough is not None and s.enough < 16 for s in found]
        limits = ANY if family == "log-normal(1)" else FALSE_20
        yield Rate.of("seeds needed", "plan too small", few, limits, **where)
        half_few = [s.enough is not None and s.enough <= 8 for s in found]
        yield Rate.of("seeds needed", "plan half or less", half_few, limits, **where)


def tables(spread: float, draws: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate published tables of fifteen parts; the spread is in units of the last digit."""
    rounding = 0.01
    generator = rng_for(seed, f"{spread}", "calibration, tables")
    for gap, words in ((0.0, "all alike"), (10.0, "better by ten spreads")):
        decisions: list[str] = []
        for _ in range(draws):
            values = generator.standard_normal((15, 6)) * spread * rounding + 0.6
            values[:, 0] += gap * spread * rounding
            values = np.round(values + generator.uniform(0, 1, (15, 1)) * rounding, 2)
            evidence = [
                printed_evidence(
                    Part(str(k), str(k), 1.0, True),
                    Printed(row[0], row[1], tuple(row[2:]), rounding, 68),
                )
                for k, row in enumerate(values)
            ]
            decisions.append(rule("better", judge(evidence)).decision)
        where = {"values": f"spread {spread} of the last digit", "scenario": words, "n": 68}
        decided = np.array(decisions)
        if gap == 0:
            yield Rate.of("table alone", "falsely decided", decided != "not resolved", FALSE,
                          **where)  # fmt: skip
        else:
            yield Rate.of("table alone", "refuted though true", decided == "refuted", FALSE,
                          **where)  # fmt: skip
            yield Rate.of("table alone", "supported", decided == "supported",
                          (0.8, 1.0) if spread >= 5 else ANY, **where)  # fmt: skip
