"""Which arms of a comparison meet which, and on which tasks: those that both serve."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from e2r_bench.report.arms import Arm, arms_of, controls_of
from e2r_bench.report.unmeasured import unplanned
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError, unknown


def chosen_arms(
    stores: Mapping[str, Store], methods: Sequence[str], against: str | None
) -> tuple[Arm, ...]:
    """Return the arms, those that are asked for in the order asked; a lone one meets the input.

    Raises:
        UsageError: an unknown name, or fewer than two arms.
    """
    restorers, controls = arms_of(stores, {}), controls_of(stores, {})
    known = {arm.name: arm for arm in (*restorers, *controls)}
    for name in (*methods, *([against] if against else [])):
        if name not in known:
            raise unknown("method of the run", name, known)
    chosen = [known[name] for name in methods] or list(restorers)
    if against is not None and known[against] not in chosen:
        chosen.insert(0, known[against])
    if len(chosen) == 1 and "degraded" in known and chosen[0].method != "degraded":
        chosen.insert(0, known["degraded"])
    if len(set(chosen)) < 2:
        raise UsageError(f"compare: expected two methods or more, found {', '.join(known)}")
    return tuple(dict.fromkeys(chosen))


def led_pairs(arms: Sequence[Arm], against: str | None) -> list[tuple[Arm, Arm]]:
    """Return each arm with the one it is set against: its namesake in the first run, or the lead.

    Only where nothing else was asked for does a namesake come first.
    """
    lead = next((arm for arm in arms if arm.name == against), arms[0])
    first = {arm.method: arm for arm in arms if arm.origin == lead.origin}
    found: list[tuple[Arm, Arm]] = []
    for arm in arms:
        other = first.get(arm.method, lead) if against is None else lead
        found += [(arm, other if other is not arm else lead)] if arm is not lead else []
    return found


def namesakes(arms: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Return each method of a later run with the one of its name in the first.

    Raises:
        UsageError: a method of the first run that no other has, so that it would go unchecked.
    """
    first = {arm.method: arm for arm in arms if arm.origin == arms[0].origin}
    found = [(a, first[a.method]) for a in arms if a.origin != arms[0].origin and a.method in first]
    gone = sorted(first.keys() - {arm.method for arm, _ in found})
    if gone:
        raise UsageError(
            f"{', '.join(gone)}: expected every method of {arms[0].store.folder} in the other run; "
            "run it there too, under the same name (--methods NAME=METHOD)"
        )
    return found


def meeting(
    pairs: Iterable[tuple[Arm, Arm]], task: str, gate: bool = False
) -> Iterator[tuple[Arm, Arm]]:
    """Yield the pairs whose arms both serve a task.

    Args:
        pairs: of arms.
        task: its name.
        gate: one that serves it is enough: in a gate, what is gone must fail, not be left out.
    """
    for one, two in pairs:
        gone = [task in arm.unserved for arm in (one, two)]
        if not (all(gone) if gate else any(gone)):
            yield one, two


def left_out(arms: Iterable[Arm], tasks: Set[str]) -> Iterator[str]:
    """Yield which arms were not planned on some of the tasks, and what that means for pairs."""
    said = {arm.name: {t: why for t, why in arm.unserved.items() if t in tasks} for arm in arms}
    yield from (f"{line}: two are compared on tasks that both serve" for line in unplanned(said))


def strangers(
    store: Store, methods: Sequence[str], against: str | None, tasks: Sequence[str]
) -> tuple[str, ...]:
    """Return why no two of a run's methods meet on any of the tasks; nothing where some do."""
    arms = chosen_arms({"": store}, methods, against)
    pairs = led_pairs(arms, against)
    if any(True for task in tasks for _ in meeting(pairs, task)):
        return ()
    return tuple(left_out(arms, set(tasks)))
