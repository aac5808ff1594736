"""How stable the orders of a page's or comparison's arms are, task by task and metric by metric."""

from collections.abc import Iterator, Sequence

from e2r_bench.report.arms import Arm, facts_of, measured
from e2r_bench.report.roles import INVENTED
from e2r_bench.statistics.stability import Stability, stabilities
from e2r_metrics.base.draws import rng_for

ORDERS = (
    "how stable the order is describes these scenes, it is no test: all arms see the same resamples"
)


def orders_of(arms: Sequence[Arm], parts: Sequence[tuple[str, str]]) -> tuple[Stability, ...]:
    """Return how stable the orders of three arms or more are; scenes are the units.

    Args:
        arms: as on a page.
        parts: task and metric id of each order; those without values per picture have none.
    """
    return tuple(made for part in parts for made in _order(arms, *part))


def _order(arms: Sequence[Arm], task: str, key: str) -> list[Stability]:
    values = {arm.name: found for arm in arms if (found := arm.values(task, key))}
    _, higher = facts_of(arms, key)
    draws = rng_for(0, f"{task} {key}", "order")
    return stabilities((task, key), values, arms[0].store.scenes(task), higher, draws)


def measured_parts(arms: Sequence[Arm]) -> Iterator[tuple[str, str]]:
    """Yield task and metric id of everything that a page's arms have values per picture of."""
    tasks = dict.fromkeys(task for arm in arms for task in arm.store.info.tasks)
    shared = [task for task in tasks if all(task in arm.store.info.tasks for arm in arms)]
    yield from ((task, key) for task in shared for key in measured(arms, task) if key != INVENTED)
