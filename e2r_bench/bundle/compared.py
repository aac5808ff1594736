"""Published numbers beside their recomputations: equal, within tolerance, or not, and why."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from e2r_bench.bundle.reading import Finding
from e2r_bench.bundle.reasons import allowed, reason


@dataclass(frozen=True)
class Number:
    """Which number is compared.

    Attributes:
        kind: of a row or of the summary.
        name: as a person finds it.
        key: metric id.
        interval: whether it is an end of an interval, which statistics compute.
    """

    kind: Literal["row", "summary"]
    name: str
    key: str
    interval: bool = False


@dataclass
class Checked:
    """What was compared.

    Attributes:
        equal: numbers that came out the same, to the last bit.
        within: numbers within their tolerance.
        largest: metric id -> largest distance within tolerance.
        differing: what is another number here.
        unchecked: why -> how many numbers were not compared.
    """

    equal: int = 0
    within: int = 0
    largest: dict[str, float] = field(default_factory=dict)
    differing: list[Finding] = field(default_factory=list)
    unchecked: Counter[str] = field(default_factory=Counter)

    def number(self, one: Number, then: float, now: float, moved: Mapping[str, str]) -> None:
        """Compare a number with its recomputation.

        Args:
            one: which number.
            then: as published.
            now: as computed here.
            moved: packages whose version is another one here.
        """
        if then == now or (math.isnan(then) and math.isnan(now)):
            self.equal += 1
            return
        gap, limit = abs(now - then), allowed(one.key, then, one.interval)
        if gap <= limit:
            self.within += 1
            self.largest[one.key] = max(gap, self.largest.get(one.key, 0.0))
            return
        why = reason(one.key, gap / limit, one.interval, moved)
        told = f"{then!r} published, {now!r} here, allowed {limit:.2g}; {why}"
        self.differing.append(Finding(one.kind, one.name, told))
