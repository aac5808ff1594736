"""Rates of the tests and intervals of set metrics, on features with a known truth.

Features follow a power law, as those of image networks do; methods share part of their error image
by image; scenes add their own part to both pictures and errors.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from e2r_bench.statistics import jackknife, paired, sets
from e2r_bench.statistics.blocks import Blocks, Kind, make_blocks
from e2r_bench.statistics.results import Values
from e2r_metrics.base.draws import rng_for
from e2r_metrics.prdc import KINDS
from tests.calibration.families import scenes_of
from tests.calibration.rates import ANY, COVERAGE_90, FALSE, WIDE_90, Rate

DIMENSION = 64
PERMUTATIONS = 99
MISTAKEN = ", crops taken for pictures"


def equal_rates(
    kind: Kind, n: int, scenario: str, simulations: int, seed: int = 1, crops: bool = False
) -> Iterator[Rate]:
    """Simulate features of two methods that are equally good; of pictures, or of their crops."""
    scenes, pictures = scenes_of(n, scenario), _pictures(n, crops)
    rows = [scenes[picture] for picture in pictures]
    generator = rng_for(seed, f"{_values(kind, crops)} {n} {scenario}", "calibration, sets")
    where = {"values": _values(kind, crops), "scenario": scenario, "n": n}
    flips: list[bool] = []
    covered: list[bool] = []
    for _ in range(simulations):
        blocks = make_blocks(kind, *_arms(kind, generator, rows, 0.0), pictures)
        flips.append(sets.swap_test(blocks, scenes, generator, PERMUTATIONS).p <= 0.05)
        made = jackknife.jackknife_difference(blocks, scenes, 0.9)
        covered.append(made.low <= 0 <= made.high)
    yield Rate.of("swap permutation", "false positives", flips, FALSE, **where)
    yield Rate.of("jackknife and swaps", "coverage of 90%", covered, COVERAGE_90, **where)


def crops_as_pictures(n: int, simulations: int, seed: int = 1) -> Iterator[Rate]:
    """Plant the mistake: crops of equally good methods, each taken for a picture of its own."""
    pictures = _pictures(n, crops=True)
    names, rows = [f"crop {k}" for k in range(len(pictures))], [f"i{k}" for k in pictures]
    generator = rng_for(seed, f"{n}", "calibration, crops as pictures")
    where = {"values": _values("frechet", crops=True), "scenario": "alone", "n": n}
    flips: list[bool] = []
    covered: list[bool] = []
    for _ in range(simulations):
        blocks = make_blocks("frechet", *_arms("frechet", generator, rows, 0.0))
        flips.append(sets.swap_test(blocks, names, generator, PERMUTATIONS).p <= 0.05)
        made = jackknife.jackknife_difference(blocks, names, 0.9)
        covered.append(made.low <= 0 <= made.high)
    yield Rate.of("swap permutation", f"false positives{MISTAKEN}", flips, ANY, **where)
    yield Rate.of("jackknife and swaps", f"coverage of 90%{MISTAKEN}", covered, ANY, **where)


def _pictures(n: int, crops: bool) -> npt.NDArray[np.intp]:
    """Return of which picture each row is: one row each, or one to eight crops."""
    return np.repeat(np.arange(n), 1 + np.arange(n) % 8 if crops else 1)


def _values(kind: Kind, crops: bool) -> str:
    return f"{kind} of crops" if crops else kind


def unequal_rates(
    kind: Kind, n: int, scenario: str, simulations: int, seed: int = 1, crops: bool = False
) -> Iterator[Rate]:
    """Simulate features of two methods that differ by the margin; of pictures, or of crops."""
    scenes, pictures = scenes_of(n, scenario), _pictures(n, crops)
    rows = [scenes[picture] for picture in pictures]
    what = f"{_values(kind, crops)} {n} {scenario}"
    generator = rng_for(seed, what, "calibration, sets that differ")
    where = {"values": _values(kind, crops), "scenario": scenario, "n": n}

    def drawn() -> Blocks:
        return make_blocks(kind, *_arms(kind, generator, rows, 1.0), pictures)

    worse = [jackknife.jackknife_difference(drawn(), scenes, 0.9) for _ in range(simulations)]
    # The truth of a nonlinear statistic at this n is its mean over many repetitions.
    more = [sets.difference(drawn()) for _ in range(2 * simulations)]
    truth = float(np.mean([estimate.value for estimate in worse] + more))
    covered = [e.low <= truth <= e.high for e in worse]
    yield Rate.of("jackknife and swaps", "coverage of 90%, methods differ", covered, WIDE_90,
                  **where)  # fmt: skip
    accepted = [paired.equivalence(e, abs(truth)).equivalent for e in worse]
    yield Rate.of("TOST, jackknife and swaps", "false equivalence", accepted, FALSE, **where)


def _arms(
    kind: Kind, generator: np.random.Generator, scenes: Sequence[str], extra: float
) -> tuple[Values, Values, Values]:
    """Return arms where the metric is not at its end.

    Balls of neighbours hold all that errs little, and a small spread is what recall misses.
    """
    if kind == "recall":
        return simulated_arms(generator, scenes, extra, error=0.2, kept=0.6)
    return simulated_arms(generator, scenes, extra, error=0.6 if kind in KINDS else 0.2)


def simulated_arms(
    generator: np.random.Generator,
    scenes: Sequence[str],
    extra: float,
    dimension: int = DIMENSION,
    error: float = 0.2,
    kept: float = 0.9,
) -> tuple[Values, Values, Values]:
    """Return features (n, D) of two methods and of the truth.

    Both methods keep `kept` of every feature and err by `error` of its spread in common and as much
    alone; the first one errs by `extra` of its noise more.
    """
    _, index = np.unique(scenes, return_inverse=True)
    scale = np.arange(1, dimension + 1) ** -0.7

    def drawn() -> Values:
        own = generator.standard_normal((len(scenes), dimension))
        if index.max() + 1 == len(scenes):
            return own * scale
        shared = generator.standard_normal((int(index.max()) + 1, dimension))
        return (own + shared[index]) / np.sqrt(2) * scale

    clean = drawn() + scale
    common = drawn()
    first, second = (
        kept * clean + error * (common + (1 + more) * drawn()) for more in (extra, 0.0)
    )
    return first, second, clean


def relative_error(n: int, repetitions: int, seed: int = 0) -> float:
    """Return the spread of FID's difference between two equally good methods, over its level.

    With 2048 dimensions, 200 repetitions (60 at n = 500): `studies.tables.FID_RELATIVE_ERROR`.
    """
    generator = rng_for(seed, f"{n}", "relative error of FID")
    scenes = scenes_of(n, "alone")
    gaps: list[float] = []
    levels: list[float] = []
    for _ in range(repetitions):
        arms = simulated_arms(generator, scenes, 0.0, dimension=2048)
        blocks = make_blocks("frechet", *arms)
        gaps.append(sets.difference(blocks))
        levels.append(sets.distance_of(blocks, 0))
    return float(np.std(gaps) / np.mean(levels))
