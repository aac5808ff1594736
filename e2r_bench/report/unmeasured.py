"""Metrics and tasks without a number: why, and the command that would change it, in one line."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from e2r_bench.store.info import MetricInfo

_NOT_ASKED = "not asked for in this run"


@dataclass(frozen=True)
class Unmeasured:
    """Metrics that are not measured for one reason.

    Attributes:
        keys: metric ids.
        reason: why.
        fetch: the command that gets what is missing; empty where no command would.
    """

    keys: tuple[str, ...]
    reason: str
    fetch: str

    def __str__(self) -> str:
        command = f"; to fetch: {self.fetch}" if self.fetch else ""
        return f"{', '.join(self.keys)} ({self.reason}{command})"


def unmeasured(keys: Iterable[str], metrics: Mapping[str, MetricInfo]) -> tuple[Unmeasured, ...]:
    """Return the reasons why metrics have no number, each with the metrics it holds for."""
    found: dict[tuple[str, str], list[str]] = {}
    for key in keys:
        metric = metrics[key]
        found.setdefault((metric.missing or _NOT_ASKED, metric.fetch or ""), []).append(key)
    return tuple(Unmeasured(tuple(names), *why) for why, names in found.items())


def one_line(missing: Iterable[Unmeasured]) -> Iterator[str]:
    """Yield one line for all of them; nothing where everything is measured."""
    said = "; ".join(map(str, missing))
    if said:
        yield f"not measured: {said}"


def unplanned(unserved: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield a line for each method and reason, as every screen says it.

    Args:
        unserved: instance of a method -> task -> reason.
    """
    for name, tasks in unserved.items():
        yield from (f"{name}: {why}; not planned" for why in dict.fromkeys(tasks.values()))
