"""What claims and studies are made of: two arms on one task under one metric, judged together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.verdict import Unmeasured, Verdict, unmeasured
from e2r_bench.studies.compare import Comparison, compare
from e2r_bench.studies.sides import Criteria, Side
from e2r_metrics.base.errors import UsageError

NOT_MEASURED = "not measured"
Sides = Callable[[str, str], Side]
"""Arm name and task to the arm, running it where needed."""


@dataclass(frozen=True)
class Asked:
    """One comparison, before it is made.

    Attributes:
        task, metric, first, second: what is compared; the metric as it was asked for.
        proxies: measured beside it, under their own names, where it cannot be measured itself.
    """

    task: str
    metric: str
    first: str
    second: str
    proxies: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One comparison and its verdict.

    Attributes:
        asked: what was compared; a proxy's metric is its own.
        verdict: from `judge`, over all parts that were judged with it.
        comparison: the numbers behind it; None where there are none.
        build: what the first arm ran with.
        note: what a proxy is.
    """

    asked: Asked
    verdict: Verdict
    comparison: Comparison | None = None
    build: str = ""
    note: str = ""

    @property
    def measured(self) -> bool:
        """Return whether there is a number."""
        return self.comparison is not None


@dataclass(frozen=True)
class _Found:
    """A part before it is judged."""

    asked: Asked
    evidence: Comparison | Unmeasured
    build: str = ""
    note: str = ""


def judged(asked: Sequence[Asked], sides: Sides, criteria: Criteria) -> list[Part]:
    """Compare and judge all parts that are read together: of a claim, or of a study's table.

    A part that cannot be measured says why and is no number.

    Args:
        asked: what to compare.
        sides: gives the arms; a UsageError there makes its parts unmeasured.
        criteria: how they are compared.
    """
    found = [part for one in asked for part in _measured(one, sides, criteria)]
    verdicts = judge([
        one.evidence if isinstance(one.evidence, Unmeasured) else one.evidence.evidence
        for one in found
    ])  # fmt: skip
    return [
        Part(
            one.asked, verdict, None if isinstance(one.evidence, Unmeasured) else one.evidence,
            one.build, one.note,
        )
        for one, verdict in zip(found, verdicts, strict=True)
    ]  # fmt: skip


def _measured(asked: Asked, sides: Sides, criteria: Criteria) -> Iterator[_Found]:
    """Yield the metric that was asked for, and its proxy where that one cannot be measured."""
    name = f"{asked.task} {asked.metric}: {asked.first} against {asked.second}"
    try:
        first, second = sides(asked.first, asked.task), sides(asked.second, asked.task)
    except UsageError as error:
        yield _Found(asked, Unmeasured(name, asked.metric, f"arm not run: {error}"))
        return
    for metric in (asked.metric, *asked.proxies):
        mine = Asked(asked.task, metric, asked.first, asked.second)
        proxy = metric != asked.metric
        note = f"a proxy under its own name, not {asked.metric}" if proxy else ""
        try:
            made = compare(first, second, asked.task, metric, criteria)
        except UsageError as error:
            yield _Found(mine, unmeasured(name, metric, error), note=note)
            continue
        yield _Found(mine, made, first.arms[0][0].build, note)
        return


_OF_VERDICT = (
    "direction", "size", "effect", "low", "high", "alone", "p", "holm", "p_within", "holm_within",
    "p_outside", "holm_outside", "margin", "detectable", "n", "scenes",
)  # fmt: skip
_OF_SHAPE = ("location", "improved", "improved_low", "improved_high")


def record_of(part: Part, **more: Any) -> dict[str, Any]:
    """Return a part as a line of a table: what was compared, the verdict, and every number."""
    asked, verdict, made = part.asked, part.verdict, part.comparison
    shape = made.evidence.shape if made is not None else None
    scope = verdict.scope
    return {
        "task": asked.task,
        "metric": asked.metric,
        "metric_id": made.metric if made is not None else "",
        "first": asked.first,
        "second": asked.second,
        "verdict": verdict.label,
        **{name: getattr(verdict, name) for name in _OF_VERDICT},
        **{name: getattr(shape, name) if shape else None for name in _OF_SHAPE},
        "spread": made.spread if made is not None else None,
        "by_training": made.by_training if made is not None else None,
        "floor": made.evidence.floor if made is not None else None,
        "permutations": made.permutations if made is not None else None,
        "trainings": scope.trainings if scope else None,
        "seeds": scope.seeds if scope else None,
        "said_of": scope.subject if scope else "",
        "build": part.build,
        "note": "; ".join(note for note in (part.note, *verdict.notes) if note),
        **more,
    }
