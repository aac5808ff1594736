"""Do the rules keep their promises? Simulations with a known truth, counted.

`python tests/calibration/run.py FOLDER` writes the summary that is committed under
results/calibration/, block by block, and goes on where it stopped.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.calibration import claims, parts, real, sets, studies
from tests.calibration.rates import Rate, run_blocks

REAL = Path(__file__).resolve().parents[2] / "results" / "calibration" / "real_differences.csv"
SCENARIOS = ("alone", "clustered")
KINDS = ("kid", "mmd_u", "mmd_v", "frechet")
KINDS_OF_NEIGHBOURS = ("density", "coverage", "precision", "recall")


def blocks_of(draws: int = 1000) -> Iterator[tuple[str, Iterator[Rate]]]:
    """Yield a name and its rates, the cheap ones first.

    What is cheap runs more often, so that a rule that keeps its promise is seldom seen outside the
    limits by chance.
    """
    for n in parts.NUMBERS:
        for scenario in SCENARIOS:
            if scenario == "alone" or n >= 32:
                yield f"one part {scenario} {n}", parts.one_part(n, scenario, 10 * draws)
    for one in claims.configurations():
        name = f"claim: {one.family}, {one.name}, n {one.n}"
        yield name, claims.rates(one, 2 * draws)
    for trainings in (2, 3, 5, 8):
        for n in (20, 68):
            yield f"trained {trainings} {n}", studies.trained(trainings, n, 2 * draws)
    for spread in (0.2, 1.0, 5.0, 50.0):
        yield f"tables {spread}", studies.tables(spread, draws // 4)
    for count in (3, 4, 5, 8, 16):
        yield f"seeds {count}", studies.seeds(count, draws)
    for n in (10, 20, 68):
        yield f"knees {n}", studies.knees(n, draws // 4)
    for n in (10, 20, 32, 68, 100):
        yield f"ranks alone {n}", parts.rank_tests(n, "alone", 2 * draws)
    for n in (10, 20, 32, 68, 100):
        yield f"real {n}", real.rates(REAL, n, 4 * draws)
    for n in parts.NUMBERS:
        for count in (5, 15, 30):
            yield f"parts {count} {n}", parts.several_parts(n, count, 2 * draws)
            yield f"mixed parts {count} {n}", parts.mixed_parts(n, count, 2 * draws)
    yield from set_blocks(draws)


def set_blocks(draws: int) -> Iterator[tuple[str, Iterator[Rate]]]:
    """Yield the blocks of set metrics; a Frechet distance takes half a second at n = 100."""
    for kind in KINDS:
        equal, unequal = (draws, draws // 4) if kind == "frechet" else (5 * draws, 2 * draws)
        for n in (32, 68, 100):
            for scenario in SCENARIOS:
                yield f"{kind} {scenario} {n}", sets.equal_rates(kind, n, scenario, equal)
                differ = sets.unequal_rates(kind, n, scenario, unequal)
                yield f"{kind} differs, {scenario} {n}", differ

    for kind in KINDS_OF_NEIGHBOURS:
        for scenario in SCENARIOS:
            yield f"{kind} {scenario} 68", sets.equal_rates(kind, 68, scenario, draws)
            differ = sets.unequal_rates(kind, 68, scenario, draws // 4)
            yield f"{kind} differs, {scenario} 68", differ
    for scenario in SCENARIOS:
        yield f"crops {scenario} 68", sets.equal_rates("frechet", 68, scenario, draws, crops=True)
        differ = sets.unequal_rates("frechet", 68, scenario, draws // 4, crops=True)
        yield f"crops differ, {scenario} 68", differ
    yield "crops taken for pictures 68", sets.crops_as_pictures(68, draws // 4)


if __name__ == "__main__":
    run_blocks(blocks_of(), Path(sys.argv[1]))
