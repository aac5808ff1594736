"""Before a run: scenes and trainings that are needed. After it: what it could have found."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import stats

from e2r_metrics.base.errors import UsageError

_MOST = 100_000
_MOST_TRAININGS = 1000


def detectable(error: float, freedom: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """Return the smallest true difference that a two-sided t test finds with `power`.

    Args:
        error: standard error of the difference at this n.
        freedom: its degrees of freedom, scenes - 1 for a mean over scenes.
        alpha: level of the test.
        power: probability of finding it.
    """
    return float(stats.t.ppf(1 - alpha / 2, freedom) + stats.t.ppf(power, freedom)) * error


def power_of(effect: float, error: float, freedom: float, alpha: float = 0.05) -> float:
    """Return the power of a two-sided t test; a wrong direction does not count as found.

    Raises:
        UsageError: an error or degrees of freedom that are not above zero.
    """
    if not (error > 0 and freedom > 0):
        raise UsageError(
            f"power: expected an error and degrees of freedom above 0, found {error}, {freedom}"
        )
    return float(stats.nct.sf(stats.t.isf(alpha / 2, freedom), freedom, abs(effect) / error))


def power_within(
    margin: float, error: float, freedom: float, truth: float = 0.0, alpha: float = 0.05
) -> float:
    """Return the power to show a difference smaller than the margin (two one-sided tests).

    The error is taken as known, which is close from ten scenes on.

    Raises:
        UsageError: a margin or an error that is not above zero.
    """
    if not (margin > 0 and error > 0):
        raise UsageError(f"expected a margin and an error above 0, found {margin}, {error}")
    quantile = float(stats.t.isf(alpha, freedom))
    above = stats.t.cdf((margin - truth) / error - quantile, freedom)
    below = stats.t.cdf((margin + truth) / error - quantile, freedom)
    return max(0.0, float(above + below - 1))


@dataclass(frozen=True)
class Spread:
    """Standard deviations of a difference, from an earlier run or an assumption.

    Attributes:
        scene: between scenes; with one restoration each it holds all other noise too.
        training: between trainings of the same recipe; 0 where nothing is trained.
        both: what a training does to one scene and not to another.
    """

    scene: float
    training: float = 0.0
    both: float = 0.0

    def error(self, scenes: int, trainings: int) -> float:
        """Return the standard error of the mean over so many scenes and trainings."""
        return math.sqrt(
            self.scene**2 / scenes
            + self.training**2 / trainings
            + self.both**2 / (scenes * trainings)
        )

    def freedom(self, scenes: int, trainings: int) -> float:
        """Return Satterthwaite's degrees of freedom of that error."""
        if trainings < 2:
            return scenes - 1
        ours = (self.training**2 + self.both**2 / scenes) / trainings
        theirs = (self.scene**2 + self.both**2 / trainings) / scenes
        parts = ours**2 / (trainings - 1) + theirs**2 / (scenes - 1)
        return (ours + theirs) ** 2 / parts


@dataclass(frozen=True)
class Needed:
    """How much it takes.

    Attributes:
        number: the smallest that reaches the power; None where none does.
        power: what it reaches, or the most that can be reached.
        words: the same in a line.
    """

    number: int | None
    power: float
    words: str


def scenes_needed(
    effect: float,
    spread: Spread,
    trainings: int = 1,
    parts: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
    least: int = 10,
) -> Needed:
    """Return how many scenes find a true difference, in the first step of Holm's procedure.

    With one training per arm the verdict is about two adapters, and the spread between trainings
    does not count; with more it does, and more scenes may not be enough.

    Args:
        effect: the true difference, in the metric's unit.
        spread: of the differences.
        trainings: independent ones per arm.
        parts: how many are read together.
        alpha, power: of the tests.
        least: scenes below which nothing is said, `judge.MIN_SCENES`.

    Raises:
        UsageError: an effect of zero, or a spread between scenes that is not above zero.
    """
    _check(effect, spread)
    if trainings < 2:
        spread, trainings = Spread(math.hypot(spread.scene, spread.both)), 1

    def reached(scenes: int) -> float:
        return power_of(
            effect, spread.error(scenes, trainings), spread.freedom(scenes, trainings),
            alpha / parts,
        )  # fmt: skip

    return _smallest(reached, (least, _MOST), power, "scenes", effect)


def trainings_needed(
    effect: float,
    spread: Spread,
    scenes: int,
    parts: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> Needed:
    """Return how many trainings of each arm show a difference between the recipes.

    Raises:
        UsageError: as `scenes_needed`.
    """
    _check(effect, spread)

    def reached(trainings: int) -> float:
        return power_of(
            effect, spread.error(scenes, trainings), spread.freedom(scenes, trainings),
            alpha / parts,
        )  # fmt: skip

    return _smallest(reached, (2, _MOST_TRAININGS), power, "trainings", effect)


def _check(effect: float, spread: Spread) -> None:
    if effect == 0 or not spread.scene > 0:
        raise UsageError(
            "power: expected an effect other than 0 and a spread between scenes above 0, found "
            f"{effect} and {spread.scene}"
        )


def _smallest(
    reached: Callable[[int], float],
    ends: tuple[int, int],
    power: float,
    unit: str,
    effect: float,
) -> Needed:
    """Bisect for the smallest number whose power is enough; power grows with the number."""
    low, high = ends
    what, top = f"a difference of {effect:+.3g}", reached(high)
    if top < power:
        words = f"{what}: no number of {unit} finds it in {power:.0%} of runs, at most {top:.0%}"
        return Needed(None, top, words)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= power else (middle + 1, high)
    found = reached(low)
    return Needed(low, found, f"{what}: {low} {unit} find it in {found:.0%} of runs")
