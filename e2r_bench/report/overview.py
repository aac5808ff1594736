"""Task by method in one table, from the cards."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal

from e2r_bench.report.headline import Card
from e2r_bench.report.standings import Standing

Shown = Standing | Literal["not planned"] | None


@dataclass(frozen=True)
class OverviewRow:
    """One task and metric.

    Attributes:
        standings: in the methods' order; "not planned" of a method that does not serve the task,
            None where there is none for another reason.
    """

    task: str
    key: str
    higher_is_better: bool
    standings: tuple[Shown, ...]


@dataclass(frozen=True)
class Overview:
    """The table."""

    methods: tuple[tuple[str, int], ...]
    """Each with its colour."""
    rows: tuple[OverviewRow, ...]


def overview_of(cards: Sequence[Card], unplanned: Set[tuple[str, str]]) -> Overview | None:
    """Return the table; None for a single task, whose card says it all.

    Args:
        cards: of the page.
        unplanned: task and name of every arm that does not serve it.
    """
    if len(cards) < 2:
        return None
    parts = [(card.task, part) for card in cards for part in card.parts]
    place = {one.name: one.place for _, part in parts for one in part.standings}
    methods = tuple(sorted(place.items(), key=lambda named: named[1]))
    rows: list[OverviewRow] = []
    for task, part in parts:
        named = {one.name: one for one in part.standings}
        row: tuple[Shown, ...] = tuple(
            "not planned" if (task, name) in unplanned else named.get(name) for name, _ in methods
        )
        rows.append(OverviewRow(task, part.key, part.higher_is_better, row))
    return Overview(methods, tuple(rows))
