"""Margins from outside the table: those that a caller gives, and those that metrics state."""

from collections.abc import Iterable, Mapping, Set
from typing import Protocol

from e2r_bench.statistics.margins import MARGINS, Margin, known_margin
from e2r_metrics.base.errors import UsageError, unknown

_STATED = "stated by its definition"


class Stating(Protocol):
    """A metric that may state its own margin: a composite, or one of another package."""

    @property
    def name(self) -> str:
        """Return its bare name."""
        ...

    @property
    def variant(self) -> str:
        """Return its variant."""
        ...

    @property
    def unit(self) -> str:
        """Return its unit."""
        ...

    @property
    def margin(self) -> float | None:
        """Return what counts as no difference, None where it states nothing."""
        ...


def given_margins(
    values: Mapping[str, float | Margin], judged: Iterable[str] | None = None
) -> dict[str, Margin]:
    """Return margins that a caller gives: whole ones, or numbers in the metric's own unit.

    Args:
        values: metric id or name -> margin.
        judged: ids or names of the metrics that are judged; None where they are not known yet.

    Raises:
        UsageError: a metric that nobody knows, a number that is not above zero, or a metric that
            is not judged, whose margin would have no effect.
    """
    found: dict[str, Margin] = {}
    bare = {name.partition(":")[0] for name in judged or ()}
    for name, value in values.items():
        if isinstance(value, Margin):
            found[value.metric] = value
            continue
        if not 0 < value < float("inf"):
            raise UsageError(f"margin of {name}: expected a finite number above 0, found {value}")
        known = _known_of(name, bare)
        found[known.metric] = Margin(known.metric, value, known.unit, "given by --margin")
    if judged is not None:
        _refuse_idle(found, bare)
    return found


def _known_of(name: str, judged: Set[str]) -> Margin:
    """Return what is known of a metric's margin, its unit; of a foreign one that is its own."""
    bare = name.partition(":")[0]
    known = known_margin(bare)
    if known is None and bare not in judged:
        raise unknown("metric that is judged here, for a margin:", bare, judged or MARGINS)
    return known or Margin(bare, 0.0, "", "")


def _refuse_idle(given: Mapping[str, Margin], judged: Set[str]) -> None:
    for name in given.keys() - judged:
        raise UsageError(
            f"margin of {name}: expected a metric that is judged here, of "
            f"{', '.join(sorted(judged))}, found another; leave it out, or measure it too"
        )


def stated(metrics: Iterable[Stating], given: Mapping[str, Margin]) -> dict[str, Margin]:
    """Return the margins that metrics state themselves, by id, under those that are given.

    By id, since two variants of one name, as of a program that was edited, may state different
    ones.
    """
    own = {
        f"{row.name}:{row.variant}": Margin(row.name, row.margin, row.unit, _STATED)
        for row in metrics
        if row.margin is not None and row.name not in given
    }
    return {**own, **given}
