"""Do the tests keep their promises? Simulations with a known truth, counted.

`python tests/calibration/run.py FOLDER` writes the summary that is committed under
results/calibration/. Features follow a power law, as those of image networks do; methods share
part of their error image by image; scenes add their own part to both pictures and errors.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from e2r_bench.statistics import jackknife, paired, sets
from e2r_bench.statistics.blocks import Kind, make_blocks
from e2r_bench.statistics.results import Estimate, Values
from e2r_metrics.base.draws import rng_for

if TYPE_CHECKING:
    from pathlib import Path

NUMBERS = (32, 68, 100)
DIMENSION = 64
PERMUTATIONS = 99
Scenario = Literal["alone", "clustered"]
Quantity = Literal[
    "false positives", "coverage of 90%", "coverage of 90%, methods differ", "false equivalence"
]
_PER_SCENE = (1, 2, 3, 4)
_SHAPES: dict[str, Callable[[np.random.Generator, int], Values]] = {
    "normal": lambda generator, n: generator.standard_normal(n),
    "heavy tails (t, 4)": lambda generator, n: generator.standard_t(4, n) / np.sqrt(2),
    "skewed (gamma, 6)": lambda generator, n: (generator.gamma(6.0, 1.0, n) - 6) / np.sqrt(6),
}


@dataclass(frozen=True)
class Rate:
    """How often a test did what it promises, or what it must not do.

    Attributes:
        test: what was tested.
        values: what it was tested on.
        scenario: "alone": every image its own scene; "clustered": one to four images a scene.
        n: images.
        quantity: what is counted. Limits are 0.065; 0.88 to 0.92; at least 0.88, since where
            methods differ the interval may be too wide but never too narrow; 0.065.
        rate: in [0, 1].
        simulations: how many were run.
    """

    test: str
    values: str
    scenario: Scenario
    n: int
    quantity: Quantity
    rate: float
    simulations: int

    @property
    def kept(self) -> bool:
        """Return whether the rate lies within its limits."""
        if self.quantity == "coverage of 90%":
            return 0.88 <= self.rate <= 0.92
        if self.quantity == "coverage of 90%, methods differ":
            return self.rate >= 0.88
        return self.rate <= 0.065


def scenes_of(n: int, scenario: Scenario) -> list[str]:
    """Return scene names for n images: one each, or one to four in turn."""
    if scenario == "alone":
        return [f"{k:04}" for k in range(n)]
    sizes = np.resize(_PER_SCENE, n)
    return [f"{k:04}" for k in np.repeat(np.arange(n), sizes)[:n]]


def paired_rates(n: int, scenario: Scenario, simulations: int, seed: int = 0) -> Iterator[Rate]:
    """Simulate per-image differences: no difference, a planted one, and one at the margin."""
    scenes = scenes_of(n, scenario)
    for name, shape in _SHAPES.items():
        generator = rng_for(seed, f"{n} {scenario} {name}", "calibration, paired")
        made = [_differences(generator, shape, scenes) for _ in range(simulations)]
        rates = _paired_counts(made, scenes, generator, name.startswith("skewed"))
        for (test, quantity), hits in rates.items():
            yield Rate(test, name, scenario, n, quantity, float(np.mean(hits)), simulations)


def _differences(
    generator: np.random.Generator,
    shape: Callable[[np.random.Generator, int], Values],
    scenes: Sequence[str],
) -> Values:
    """Return differences with mean zero; half of the variance belongs to scenes, where shared."""
    _, index = np.unique(scenes, return_inverse=True)
    count = int(index.max()) + 1
    own = shape(generator, len(scenes))
    return own if count == len(scenes) else own + shape(generator, count)[index]


def _paired_counts(
    made: Sequence[Values], scenes: Sequence[str], generator: np.random.Generator, skewed: bool
) -> dict[tuple[str, Quantity], list[bool]]:
    means = [paired.mean_estimate(values, scenes, 0.9) for values in made]
    margin = 4 * float(np.mean([estimate.error for estimate in means]))
    at_margin = [paired.mean_estimate(values + margin, scenes) for values in made]
    counts: dict[tuple[str, Quantity], list[bool]] = {
        ("t interval over scenes", "coverage of 90%"): [m.low <= 0 <= m.high for m in means],
        ("TOST over scenes", "false equivalence"): [
            paired.equivalence(estimate, margin).equivalent for estimate in at_margin
        ],
    }
    if skewed:
        return counts  # two exchangeable methods differ symmetrically: no null is skewed
    counts["sign flip", "false positives"] = [
        paired.sign_flip(values, scenes, generator, PERMUTATIONS).p <= 0.05 for values in made
    ]
    counts["Wilcoxon", "false positives"] = [
        paired.wilcoxon(values, scenes).p <= 0.05 for values in made
    ]
    walsh = [paired.hodges_lehmann(values, scenes, 0.9) for values in made]
    counts["Hodges-Lehmann interval", "coverage of 90%"] = [w.low <= 0 <= w.high for w in walsh]
    return counts


def set_rates(
    kind: Kind, n: int, scenario: Scenario, simulations: int, seed: int = 1
) -> Iterator[Rate]:
    """Simulate features of two methods: equally good ones, and ones that differ by the margin."""
    scenes = scenes_of(n, scenario)
    generator = rng_for(seed, f"{kind} {n} {scenario}", "calibration, sets")
    named = (kind, scenario, n)
    flips: list[bool] = []
    level: list[Estimate] = []
    for _ in range(simulations):
        blocks = make_blocks(kind, *simulated_arms(generator, scenes, 0.0))
        flips.append(sets.swap_test(blocks, scenes, generator, PERMUTATIONS).p <= 0.05)
        level.append(jackknife.jackknife_difference(blocks, scenes, 0.9))
    yield _rate("swap permutation", "false positives", flips, *named)
    yield _rate(
        "jackknife and swaps", "coverage of 90%", [e.low <= 0 <= e.high for e in level], *named
    )
    worse = [
        jackknife.jackknife_difference(
            make_blocks(kind, *simulated_arms(generator, scenes, 1.0)), scenes, 0.9
        )
        for _ in range(simulations)
    ]
    # The truth of a nonlinear statistic at this n is its mean over many repetitions.
    more = [
        sets.difference(make_blocks(kind, *simulated_arms(generator, scenes, 1.0)))
        for _ in range(2 * simulations)
    ]
    truth = float(np.mean([estimate.value for estimate in worse] + more))
    covered = [e.low <= truth <= e.high for e in worse]
    yield _rate("jackknife and swaps", "coverage of 90%, methods differ", covered, *named)
    accepted = [paired.equivalence(e, abs(truth)).equivalent for e in worse]
    yield _rate("TOST, jackknife and swaps", "false equivalence", accepted, *named)


def _rate(
    test: str, quantity: Quantity, hits: Sequence[bool], kind: str, scenario: Scenario, n: int
) -> Rate:
    return Rate(test, kind, scenario, n, quantity, float(np.mean(hits)), len(hits))


def simulated_arms(
    generator: np.random.Generator,
    scenes: Sequence[str],
    extra: float,
    dimension: int = DIMENSION,
) -> tuple[Values, Values, Values]:
    """Return features (n, D) of two methods and of the truth.

    Both methods lose a tenth of every feature and err by 0.3 of its spread, half of it in common;
    the first one errs by `extra` of its noise more.
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
        0.9 * clean + 0.2 * common + 0.2 * (1 + more) * drawn() for more in (extra, 0.0)
    )
    return first, second, clean


def relative_error(n: int, repetitions: int, seed: int = 0) -> float:
    """Return the spread of FID's difference between two equally good methods, over its level.

    With 2048 dimensions this gave `tables.FID_RELATIVE_ERROR`: 200 repetitions, 60 at n = 500.
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


def blocks_of(numbers: Sequence[int], simulations: int) -> Iterator[tuple[str, Iterator[Rate]]]:
    """Yield a name and its rates, the cheap ones first.

    What is cheap runs more often, so that a test that keeps its promise is seldom seen outside the
    limits by chance: per-image tests four times, kernel distances five times.
    """
    scenarios: tuple[Scenario, ...] = ("alone", "clustered")
    for n in numbers:
        for scenario in scenarios:
            yield f"paired {scenario} {n}", paired_rates(n, scenario, 4 * simulations)
    kinds: tuple[Kind, ...] = ("kid", "mmd_u", "mmd_v", "frechet")
    for kind in kinds:
        times = 1 if kind == "frechet" else 5
        for n in numbers:
            for scenario in scenarios:
                yield f"{kind} {scenario} {n}", set_rates(kind, n, scenario, times * simulations)


def main(folder: str, simulations: int = 1000) -> None:
    """Run what is not in `folder`/rates.json yet, writing the summary after every block."""
    import json
    from pathlib import Path

    from e2r_metrics.base.files import write_text

    path = Path(folder) / "rates.json"
    done = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name, rates in blocks_of(NUMBERS, simulations):
        if name in done:
            continue
        done[name] = [asdict(rate) | {"kept": rate.kept} for rate in rates]
        write_text(path, json.dumps(done, indent=1) + "\n")
        _summarise([row for rows in done.values() for row in rows], Path(folder))


def _summarise(rows: Sequence[Mapping[str, Any]], folder: "Path") -> None:
    import pandas as pd

    from e2r_bench.studies.writing import markdown_table
    from e2r_metrics.base.files import write_text

    kept = sum(row["kept"] for row in rows)
    text = (
        "# Calibration of every test and interval\n\n"
        f"{kept} of {len(rows)} rates lie within their limits: false positives and false "
        "equivalence at most 6.5% at the 5% level; 90% intervals cover 88 to 92% where nothing "
        "differs, and at least 88% where methods differ (too wide is allowed there). `clustered` "
        "has one to four images a scene, with noise in common. Made, and gone on with where it "
        "stopped, by `python tests/calibration/run.py results/calibration`; what is "
        "simulated stands in that module.\n\n"
    )
    write_text(folder / "README.md", text + markdown_table(rows))
    write_text(folder / "rates.csv", pd.DataFrame(list(rows)).to_csv(index=False))


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
