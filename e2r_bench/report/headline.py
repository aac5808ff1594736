"""What a reader sees first: per task, fidelity, perception and invention of every method, paired.

Each method is set against one other, the first that the run names (the input, where there is one
method alone): the difference over the same pictures, with its interval. No word such as "better" is
chosen here; a `Judge` may bring them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from e2r_bench.report.arms import (
    Arm,
    Shares,
    arms_of,
    controls_of,
    difference,
    measured,
    set_values,
)
from e2r_bench.report.plane import Plane, plane
from e2r_bench.report.roles import FIDELITY, INVENTED, PERCEPTION, ROLES, Role, chosen
from e2r_bench.report.standings import (
    Comparison,
    Judge,
    Ranking,
    Scale,
    Standing,
    apart_of,
    printed,
    unjudged,
)
from e2r_bench.store.store import Store


@dataclass(frozen=True)
class Part:
    """Fidelity, perception or invention on one task.

    Attributes:
        role: the kind.
        key, unit, higher_is_better: the metric that stands for it.
        against: what the differences are to.
        zero: where no difference stands, in % of the scale.
        standings: the arms, the best mean first.
        runner_up: whose mean comes next, or the input where there is one arm; empty without.
        apart: its difference to the best mean as printed, empty where none can be given.
        level: whether that interval includes zero.
    """

    role: Role
    key: str
    unit: str
    higher_is_better: bool
    against: str
    zero: float
    standings: tuple[Standing, ...]
    runner_up: str
    apart: str
    level: bool

    @property
    def best(self) -> Standing:
        """Return the arm with the best mean."""
        return self.standings[0]


@dataclass(frozen=True)
class Card:
    """One task.

    Attributes:
        caption: n, scenes and pictures.
        parts: one for each role that was measured.
        missing: roles that no metric of the run speaks of.
        plane: perception against distortion, None where either was not measured.
    """

    task: str
    caption: str
    parts: tuple[Part, ...]
    missing: tuple[str, ...]
    plane: Plane | None


def cards(
    stores: Mapping[str, Store],
    shares: Shares,
    judge: Judge = unjudged,
) -> tuple[Card, ...]:
    """Return a card per task, in the order of the first run.

    Args:
        stores: origin -> run, as for `report.table.blocks`.
        shares: see `report.arms.Shares`.
        judge: gives the words; see `Judge`.
    """
    arms, controls = arms_of(stores, shares), controls_of(stores, shares)
    sets = {origin: set_values(store) for origin, store in stores.items()}
    tasks = dict.fromkeys(task for store in stores.values() for task in store.info.tasks)
    found: list[Card] = []
    for task in tasks:
        here = tuple(arm for arm in arms if task in arm.store.info.tasks)
        lead = here[0] if len(here) > 1 else _input(controls)
        card = _card(Comparison(task, here, controls, lead, judge, sets))
        if card.parts:
            found.append(card)
    return tuple(found)


def _input(controls: Sequence[Arm]) -> Arm | None:
    return next((arm for arm in controls if arm.method == "degraded"), None)


def _card(comparison: Comparison) -> Card:
    sets = (
        key
        for known in comparison.sets.values()
        for _, task, key in known
        if task == comparison.task
    )
    keys = list(dict.fromkeys((*measured(comparison.arms, comparison.task), *sets)))
    by_role = {role: key for role in ROLES if (key := chosen(role, keys)) is not None}
    parts = tuple(_part(comparison, role, key) for role, key in by_role.items())
    drawn = None
    if FIDELITY in by_role and PERCEPTION in by_role:
        shown = (*comparison.arms, *comparison.controls)
        drawn = plane(
            shown, comparison.task, by_role[FIDELITY], by_role[PERCEPTION], comparison.mean
        )
    info = comparison.arms[0].store.info.tasks[comparison.task]
    caption = (
        f"n = {len(info.images)} ({len(set(info.scenes))} scenes) of {info.data}; [95% intervals]"
    )
    missing = tuple(role.title for role in ROLES if role not in by_role)
    return Card(comparison.task, caption, tuple(p for p in parts if p.standings), missing, drawn)


def _part(comparison: Comparison, role: Role, key: str) -> Part:
    unit, higher = facts_of(comparison.arms, key)
    means = {
        arm: mean for arm in comparison.arms if (mean := comparison.mean(arm, key)) is not None
    }
    ranked = sorted(means, key=lambda arm: -means[arm] if higher else means[arm])
    apart = {arm: found for arm in ranked if (found := apart_of(comparison, arm, key)) is not None}
    ranking = Ranking(comparison, key, unit, means, ranked[0], apart, Scale(list(apart.values())))
    second = ranked[1] if len(ranked) > 1 else comparison.against
    behind = None if second is None else difference(second, ranked[0], comparison.task, key)
    return Part(
        role=role,
        key=key,
        unit=unit,
        higher_is_better=higher,
        against=comparison.against.name if comparison.against is not None and apart else "",
        zero=ranking.scale.share(0.0),
        standings=tuple(ranking.standing(arm) for arm in ranked),
        runner_up=second.name if second is not None and (behind or len(ranked) > 1) else "",
        apart=printed(behind, unit) if behind is not None else "",
        level=behind is not None and behind.low <= 0 <= behind.high,
    )


def facts_of(arms: Sequence[Arm], key: str) -> tuple[str, bool]:
    """Return unit and direction of a metric id, or of the invented share."""
    if key == INVENTED:
        return "% of pixels", False
    metric = next(a.store.info.metrics[key] for a in arms if key in a.store.info.metrics)
    return metric.unit, metric.higher_is_better
