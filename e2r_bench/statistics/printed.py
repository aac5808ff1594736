"""Evidence from published tables: one rounded number per configuration, no picture, no spread.

What such a number is worth is taken from configurations that one expects to be alike. Rounding is
carried through: a printed difference may be one unit of the last digit smaller than it looks.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from e2r_bench.statistics.evidence import Part
from e2r_bench.statistics.results import Estimate
from e2r_bench.statistics.scope import Scope
from e2r_bench.statistics.verdict import Evidence
from e2r_metrics.base.errors import UsageError


@dataclass(frozen=True)
class Printed:
    """Two printed values, and what they are held against.

    Attributes:
        first, second: as printed.
        alike: values of configurations that one expects to be alike, under the same metric.
        rounding: one unit of the last printed digit.
        n: images behind each value.
        simulated: standard error of the difference of two equally good methods at this n, where a
            simulation gives it; 0 for none.
        trainings: behind each value.
    """

    first: float
    second: float
    alike: tuple[float, ...]
    rounding: float
    n: int
    simulated: float = 0.0
    trainings: int = 1


def printed_evidence(part: Part, printed: Printed) -> Evidence:
    """Return the evidence of a printed difference, for `judge`.

    Its error is the wider of two: from the spread of the configurations that are alike, with
    rounding, and as simulated. The p-value takes the difference one rounding unit smaller.

    Raises:
        UsageError: fewer than two alike configurations, a negative rounding, or a value that is not
            finite.
    """
    numbers = [printed.first, printed.second, *printed.alike]
    if len(printed.alike) < 2 or not np.isfinite(numbers).all() or printed.rounding < 0:
        raise UsageError(
            f"{part.name}: expected finite values, two or more configurations that are alike and a "
            f"rounding of at least 0, found {numbers} and {printed.rounding}"
        )
    value = round(printed.first - printed.second, 10)
    error, freedom = _error(printed)
    smaller = max(0.0, abs(value) - printed.rounding * (1 + 1e-9))
    p = 1.0 if smaller == 0 else float(2 * stats.t.sf(smaller / error, freedom))
    half = float(stats.t.isf(0.025, freedom)) * error + printed.rounding
    estimate = Estimate(
        value, error, value - half, value + half, 0.95, printed.n, printed.n,
        f"spread of {len(printed.alike)} configurations that are alike", freedom=freedom,
    )  # fmt: skip
    return Evidence(
        part.name, part.metric, estimate, p, part.margin, part.higher_is_better,
        Scope(trainings=printed.trainings),
    )  # fmt: skip


def _error(printed: Printed) -> tuple[float, float]:
    """Return the error of the difference and its degrees of freedom, whichever reaches further."""
    # Rounding adds a uniform error of its own, so a printed spread of zero is none.
    spread = float(np.hypot(np.std(printed.alike, ddof=1), printed.rounding / np.sqrt(12)))
    found = [(float(np.sqrt(2)) * spread, float(len(printed.alike) - 1))]
    if printed.simulated > 0:
        found.append((printed.simulated, float(printed.n - 1)))
    return max(found, key=lambda pair: pair[0] * float(stats.t.isf(0.025, pair[1])))


def resolvable(printed: Printed, power: float = 0.8) -> float:
    """Return the smallest difference that such a table shows with this power, rounding included."""
    error, freedom = _error(printed)
    quantiles = stats.t.isf(0.025, freedom) + stats.t.ppf(power, freedom)
    return float(quantiles) * error + printed.rounding
