"""A rate, the limits that are stated for it, and the summary of all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from e2r_bench.statistics.diagnose import HIDDEN
from e2r_bench.studies.writing import markdown_table
from e2r_metrics.base.files import write_text

Limits = tuple[float, float]
FALSE: Limits = (0.0, 0.065)
"""False positives at the 5% level."""
FALSE_20: Limits = (0.0, 0.215)
COVERAGE_90: Limits = (0.88, 0.92)
WIDE_90: Limits = (0.88, 1.0)
"""Too wide is allowed, too narrow is not."""
WIDE_95: Limits = (0.935, 1.0)
HIDDEN_SKEW: Limits = (0.0, HIDDEN)
"""Skewness below 40 scenes: a verdict there says so."""
UNSEEN: Limits = (0.0, 1.0)
"""Failures rarer than 3 / n: no test can see them, and the verdict says so."""
POWER: Limits = (-0.10, 1.0)
ANY: Limits = (0.0, 1.0)
ANY_POWER: Limits = (-1.0, 1.0)


@dataclass(frozen=True)
class Rate:
    """How often a rule did what it promises, or what it must not do.

    Attributes:
        test: what was tested.
        values: what it was tested on.
        scenario: how images, parts or trainings are arranged.
        n: images.
        quantity: what is counted.
        rate: in [0, 1]; a difference of powers may be below 0.
        low, high: the limits that are stated.
        simulations: how many draws.
        kept: the rate lies within the limits.
    """

    test: str
    values: str
    scenario: str
    n: int
    quantity: str
    rate: float
    low: float
    high: float
    simulations: int
    kept: bool

    @staticmethod
    def of(
        test: str,
        quantity: str,
        hits: Sequence[bool] | np.ndarray,
        limits: Limits,
        values: str,
        scenario: str,
        n: int,
    ) -> "Rate":
        """Return the rate of hits, one for each simulation."""
        rate = float(np.mean(hits))
        kept = limits[0] <= rate <= limits[1]
        return Rate(test, values, scenario, n, quantity, rate, *limits, len(hits), kept)


def run_blocks(blocks: Iterator[tuple[str, Iterator[Rate]]], folder: Path) -> None:
    """Run what is not in `folder`/rates.csv yet, writing the summary after every block."""
    path = folder / "rates.csv"
    done = pd.read_csv(path) if path.is_file() else pd.DataFrame({"block": []})
    for name, rates in blocks:
        if name in set(done.block):
            continue
        rows = pd.DataFrame([{"block": name} | asdict(rate) for rate in rates])
        done = pd.concat([done, rows], ignore_index=True) if len(done) else rows
        summarise(done, folder)
        print(name, flush=True)


def summarise(table: pd.DataFrame, folder: Path) -> None:
    """Write rates.csv with every rate, and README.md with what lies outside its limits."""
    write_text(folder / "rates.csv", table.to_csv(index=False))
    out = table[~table.kept]
    groups = table.groupby(["test", "quantity"], sort=False)
    lines = [
        {
            "test": test, "quantity": quantity, "rates": len(group),
            "smallest": round(float(group.rate.min()), 4),
            "largest": round(float(group.rate.max()), 4),
            "outside their limits": int((~group.kept).sum()),
        }
        for (test, quantity), group in groups
    ]  # fmt: skip
    text = (
        "# Calibration of every test, interval and verdict\n\n"
        f"{len(table) - len(out)} of {len(table)} rates lie within the limits that are stated for "
        "them (`low` and `high` in `rates.csv`). False decisions at the 5% level: at most 6.5%. "
        "Intervals: at least 93.5% of 95%, 88 to 92% of 90% where nothing differs. Two limits are "
        "wider, and a verdict says so in words: skewness below 40 scenes (16%), and "
        "failures rarer than 3 / n, which no test can see.\n\n"
        "Made, and gone on with where it stopped, by `python tests/calibration/run.py "
        "results/calibration`; what is simulated stands beside that file. `clustered` has one to "
        "four images a scene, with noise in common. `frechet of crops` has one to eight crops a "
        "picture, with half of their variance in common; `crops taken for pictures` is what that "
        "mistake does, and has no limit.\n\n"
    )
    text += markdown_table(lines)
    text += (
        "\n## Outside the limits\n\n"
        "Power counts every verdict that is not given. The oracles know more than any test can: "
        "the family's own critical values, or what these scenes add to every training.\n\n"
    )
    text += (
        markdown_table(out.drop(columns=["block", "kept"]).to_dict("records"))
        if len(out)
        else "None.\n"
    )
    write_text(folder / "README.md", text)
