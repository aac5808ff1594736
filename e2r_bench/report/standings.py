"""Where each arm stands in one metric of one task: its mean, and its difference to another."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from e2r_bench.report.arms import Arm, difference, mean_of
from e2r_bench.report.labels import number, spread
from e2r_bench.statistics.results import Estimate


@dataclass(frozen=True)
class Ruling:
    """What a judge says of an arm against another on one task and metric.

    Attributes:
        label: one of the words of docs/statistics.md, such as "better" or "not resolved".
        statement: the sentence that can be quoted.
    """

    label: str
    statement: str


Judge = Callable[[str, str, Arm, Arm], Ruling | None]
"""From (task, metric id, arm, the arm it is set against) to the ruling, None without one."""


def unjudged(task: str, key: str, arm: Arm, other: Arm) -> Ruling | None:
    """Return no ruling: the judge of a report that was given none."""
    del task, key, arm, other


@dataclass(frozen=True)
class Standing:
    """One arm in one part of a card.

    Attributes:
        name, build: of the arm.
        place: its number among the arms of the task, for its order and colour.
        value: its mean as printed.
        best: whether no other arm has a better mean.
        level: whether its paired interval to the best one includes zero.
        apart: the difference as printed with its interval, empty for the arm that others are set
            against, and where no interval can be given.
        at, low, high: the same in % of the part's scale, None without.
        ruling: what a judge says.
    """

    name: str
    build: str
    place: int
    value: str
    best: bool
    level: bool
    apart: str
    at: float | None = None
    low: float | None = None
    high: float | None = None
    ruling: Ruling | None = None


@dataclass(frozen=True)
class Comparison:
    """Who is compared with whom on a task."""

    task: str
    arms: tuple[Arm, ...]
    controls: tuple[Arm, ...]
    against: Arm | None
    judge: Judge
    sets: Mapping[str, Mapping[tuple[str, str, str], float]]

    def mean(self, arm: Arm, key: str) -> float | None:
        """Return an arm's number, of a per-image or a set metric."""
        known = self.sets.get(arm.origin, {}).get((arm.method, self.task, key))
        return mean_of(arm, self.task, key) if known is None else known


def apart_of(comparison: Comparison, arm: Arm, key: str) -> Estimate | None:
    """Return the paired difference to the arm that others are set against, None where none is."""
    if comparison.against is None or arm is comparison.against:
        return None
    return difference(arm, comparison.against, comparison.task, key)


class Scale:
    """Where differences stand in a drawing, in %: zero and every interval are inside."""

    def __init__(self, estimates: Sequence[Estimate]) -> None:
        ends = [0.0, *(end for one in estimates for end in (one.low, one.high))]
        self._low, self._high = min(ends), max(ends)

    def share(self, value: float) -> float:
        """Return where a value stands, 0 to 100."""
        room = self._high - self._low
        return 50.0 if math.isclose(room, 0) else 4 + 92 * (value - self._low) / room


@dataclass(frozen=True)
class Ranking:
    """The arms of one part, with what their standings are made from."""

    comparison: Comparison
    key: str
    unit: str
    means: Mapping[Arm, float]
    best: Arm
    apart: Mapping[Arm, Estimate]
    scale: Scale

    def standing(self, arm: Arm) -> Standing:
        """Return where an arm stands."""
        apart, share = self.apart.get(arm), self.scale.share
        return Standing(
            name=arm.name,
            build=arm.build,
            place=self.comparison.arms.index(arm),
            value=number(self.means[arm], self.unit) + self._fewer(arm),
            best=arm is self.best,
            level=self._level(arm),
            apart=printed(apart, self.unit) if apart is not None else "",
            at=share(apart.value) if apart is not None else None,
            low=share(apart.low) if apart is not None else None,
            high=share(apart.high) if apart is not None else None,
            ruling=self._ruling(arm),
        )

    def _fewer(self, arm: Arm) -> str:
        """Return n where pictures failed: the card says it for all others."""
        found = len(arm.values(self.comparison.task, self.key))
        asked = len(arm.store.images(self.comparison.task))
        return f" (n={found})" if 0 < found < asked else ""

    def _level(self, arm: Arm) -> bool:
        """Return whether the paired interval to the best arm includes zero."""
        if arm is self.best:
            return False
        found = difference(arm, self.best, self.comparison.task, self.key)
        return found is not None and found.low <= 0 <= found.high

    def _ruling(self, arm: Arm) -> Ruling | None:
        against = self.comparison.against
        if against is None or arm is against:
            return None
        return self.comparison.judge(self.comparison.task, self.key, arm, against)


def printed(apart: Estimate, unit: str) -> str:
    """Return a difference with its sign and its interval, such as "+0.42 [+0.20, +0.64]"."""
    half = (apart.high - apart.low) / 2
    digits = len(spread(half, apart.value, unit).partition(".")[2])
    value, low, high = (
        f"{v:+.{digits}f}".replace("-", "−") for v in (apart.value, apart.low, apart.high)
    )
    return f"{value} [{low}, {high}]"
