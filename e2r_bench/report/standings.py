"""Where each arm stands in one metric of one task: its mean, and its differences to others."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from e2r_bench.report.arms import Arm, mean_of
from e2r_bench.report.judged import Bench
from e2r_bench.report.labels import number
from e2r_bench.report.words import Word, printed, word_of
from e2r_bench.statistics.verdict import Verdict

Sets = Mapping[str, Mapping[tuple[str, str, str], float]]
"""Origin -> (method, task, metric id) -> value of a set metric."""


@dataclass(frozen=True)
class Standing:
    """One arm in one part of a card.

    Attributes:
        name, build: of the arm.
        place: its number among the arms of the page, for its order and colour.
        value: its mean as printed.
        best: whether no other arm has a better mean.
        level: whether the tests cannot tell it from the best one.
        apart: the difference to the arm that others are set against as printed, with its interval
            where it was judged; empty for that arm itself.
        at, low, high: the same in % of the part's scale, None without.
        word: the verdict of that difference, None for that arm itself.
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
    word: Word | None = None


class Scale:
    """Where differences stand in a drawing, in %: zero and every interval are inside."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        every = [end for one in verdicts for end in (one.effect, one.low, one.high)]
        ends = [0.0, *(end for end in every if end is not None and math.isfinite(end))]
        self._low, self._high = min(ends), max(ends)

    def share(self, value: float | None) -> float | None:
        """Return where a value stands, 0 to 100; None for none."""
        if value is None:
            return None
        room = self._high - self._low
        if math.isclose(room, 0):
            return 50.0
        return min(max(4 + 92 * (value - self._low) / room, 0.0), 100.0)


@dataclass(frozen=True)
class Ranking:
    """The arms that have a number of a metric on a task, the best mean first.

    Attributes:
        arms: in that order.
        against: the arm that the others are set against; it may be a control.
        places: number of each arm on the page.
    """

    task: str
    key: str
    unit: str
    arms: tuple[Arm, ...]
    means: Mapping[Arm, float]
    against: Arm | None
    bench: Bench
    places: Mapping[Arm, int]

    def verdict(self, arm: Arm, other: Arm | None) -> Verdict | None:
        """Return an arm's verdict against another; None for itself."""
        if other is None or other is arm:
            return None
        return self.bench.of(self.task, self.key, arm, other)

    def scale(self) -> Scale:
        """Return the scale on which all differences of this part are drawn."""
        found = (self.verdict(arm, self.against) for arm in self.arms)
        return Scale([verdict for verdict in found if verdict is not None])

    def standing(self, arm: Arm) -> Standing:
        """Return where an arm stands."""
        apart, behind, scale = self.verdict(arm, self.against), self._behind(arm), self.scale()
        return Standing(
            name=arm.name,
            build=arm.build,
            place=self.places[arm],
            value=number(self.means[arm], self.unit) + self._fewer(arm),
            best=arm is self.arms[0],
            level=behind is not None and behind.judged and behind.direction == 0,
            apart="" if apart is None else printed(apart, self.unit),
            at=None if apart is None else scale.share(apart.effect),
            low=None if apart is None else scale.share(apart.low),
            high=None if apart is None else scale.share(apart.high),
            word=None if apart is None else word_of(apart, self.unit),
        )

    def _behind(self, arm: Arm) -> Verdict | None:
        return self.verdict(arm, self.arms[0])

    def _fewer(self, arm: Arm) -> str:
        """Return n where pictures failed: the card says it for all others."""
        found = len(arm.values(self.task, self.key))
        asked = len(arm.store.images(self.task))
        return f" (n={found})" if 0 < found < asked else ""


def mean(arm: Arm, task: str, key: str, sets: Sets) -> float | None:
    """Return an arm's number, of a per-image or a set metric."""
    known = sets.get(arm.origin, {}).get((arm.method, task, key))
    return mean_of(arm, task, key) if known is None else known
