"""Paired statements: what may be said of one arm against another, in numbers and in words."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from e2r_bench.report.labels import number, spread
from e2r_bench.statistics.stability import Stability
from e2r_bench.statistics.verdict import Verdict

_SMALLEST = 0.0001


@dataclass(frozen=True)
class Judged:
    """One arm against another on one task under one metric, as `statistics.judge` decided.

    Attributes:
        task: empty where two folders were compared.
        metric: its id.
        unit, higher_is_better: of the metric.
        first, second: the arms; differences are the first minus the second.
        verdict: over all parts that were read together.
        parts: how many those were.
        spread: standard deviation of the differences between scenes; None for set metrics.
        first_steps, second_steps: of their samplers; None where steps change nothing.
    """

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    first: str
    second: str
    verdict: Verdict
    parts: int
    spread: float | None = None
    first_steps: int | None = None
    second_steps: int | None = None

    @property
    def where(self) -> str:
        """Return task and metric."""
        return f"{self.task} {self.metric}".strip()


@dataclass(frozen=True)
class Level:
    """One arm's own number: a mean over pictures, or the distance of the whole set.

    Attributes:
        task, metric, unit, higher_is_better: as in `Judged`.
        arm: its name.
        value, low, high: with a 95% interval over scenes; None without one.
        n: pictures that were measured; of several seeds, of the one with the fewest.
        steps: as in `Judged`.
    """

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    arm: str
    value: float
    low: float | None
    high: float | None
    n: int
    steps: int | None = None


@dataclass(frozen=True)
class Contest:
    """A comparison of several arms.

    Attributes:
        judged: the pairs that were asked for.
        every: all pairs, judged together: what a table's marks stand on.
        levels: each arm's own numbers.
        facts: what the numbers stand on: builds, data, protocols, margins, versions.
        orders: how stable the order of three arms or more is.
        unplanned: which arms do not serve which task, and so are in no pair of it.
    """

    judged: tuple[Judged, ...]
    every: tuple[Judged, ...]
    levels: tuple[Level, ...]
    facts: tuple[str, ...]
    orders: tuple[Stability, ...] = ()
    unplanned: tuple[str, ...] = ()


def signed(value: float, one: Judged) -> str:
    """Return a difference, or an end of its interval, with its sign and the digits it deserves."""
    text = f"{value:+.{_digits(one)}f}"
    # Rounded to nothing, it has no sign either.
    return (text if float(text) else text[1:]).replace("-", "−")


def p_words(p: float) -> str:
    """Return a p-value as printed; what rounds to nothing is said to be small, not zero."""
    return f"p = {p:.2g}" if p >= _SMALLEST else f"p < {_SMALLEST:g}"


def size(value: float, one: Judged) -> str:
    """Return a length in the metric's unit, such as a margin, with its unit."""
    text = f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"
    return f"{text} {one.unit}".strip()


def _digits(one: Judged) -> int:
    found = one.verdict
    usual = len(number(0.0, one.unit).partition(".")[2])
    ends = _ends(one)
    if ends is None:
        return usual
    half = (ends[1] - ends[0]) / 2
    return len(spread(half, found.effect or 0.0, one.unit).partition(".")[2])


def _ends(one: Judged) -> tuple[float, float] | None:
    """Return the simultaneous interval; that of the part alone where nothing was judged."""
    low, high = one.verdict.low, one.verdict.high
    return one.verdict.alone if low is None or high is None else (low, high)


def interval_words(one: Judged) -> str:
    """Return the interval of `_ends` in brackets; empty where there is none."""
    ends = _ends(one)
    return "" if ends is None else f"[{signed(ends[0], one)}, {signed(ends[1], one)}]"


def claim(one: Judged) -> str:
    """Return the verdict as a clause that names both arms."""
    label, beyond = one.verdict.label, one.verdict.size == "more than the margin"
    if label == "equivalent":
        return f"{one.first} and {one.second} are equivalent"
    if label in ("not resolved", "not measured"):
        return f"{one.first} against {one.second} is {label}"
    word = "better" if one.verdict.direction > 0 else "worse"
    size_words = " by more than the margin" if beyond else label.removeprefix(word)
    return f"{one.first} is {word} than {one.second}{size_words}"


def statement(one: Judged) -> str:
    """Return what may be quoted: it stands alone, with interval, n, adjusted p and margin."""
    found = one.verdict
    head = f"{one.where}: {claim(one)}"
    if found.effect is None:
        return f"{head}: {'; '.join(found.notes)}"
    unit = f" {one.unit}" if one.unit else ""
    told = " ".join(filter(None, (signed(found.effect, one) + unit, interval_words(one))))
    return f"{head}: {told}; {', '.join(_facts(one))}"


def _facts(one: Judged) -> Iterable[str]:
    found = one.verdict
    yield f"n = {found.n} in {found.scenes} scenes"
    if found.holm is None:
        yield from found.notes
    else:
        together = f"over {one.parts} parts" if one.parts > 1 else "one part"
        yield f"{p_words(found.holm)} of no difference ({together}, Holm)"
        yield f"{p_words(found.holm_within or 0.0)} of a difference beyond the margin"
    if found.margin is not None:
        yield f"margin {size(found.margin, one)}"
    if found.detectable:
        yield f"finds {size(found.detectable, one)} four times in five"


_OF_VERDICT = (
    "direction", "size", "effect", "low", "high", "alone", "p", "holm", "p_within", "holm_within",
    "p_outside", "holm_outside", "margin", "detectable", "n", "scenes",
)  # fmt: skip


def record(one: Judged) -> dict[str, Any]:
    """Return a statement as a line of a table; numbers that are not finite become None."""
    found = one.verdict
    numbers = {name: _plain(getattr(found, name)) for name in _OF_VERDICT}
    head = {k: v for k, v in asdict(one).items() if k not in ("verdict", "parts", "spread")}
    return {
        **head, "verdict": found.label, **numbers, "parts": one.parts, "spread": one.spread,
        "notes": list(found.notes), "statement": statement(one),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
