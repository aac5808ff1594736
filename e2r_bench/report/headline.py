"""What a reader sees first: per task, fidelity, perception and invention of every method, judged.

Each method is set against one other, the first that the run names (the input, where there is one
method alone), and every pair of methods is judged; see `report.judged`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from e2r_bench.report.arms import (
    Arm,
    Shares,
    arms_of,
    controls_of,
    facts_of,
    measured,
    set_values,
)
from e2r_bench.report.judged import Bench, bench_of
from e2r_bench.report.plane import Plane, plane
from e2r_bench.report.roles import FIDELITY, INVENTION, PERCEPTION, ROLES, Role, chosen
from e2r_bench.report.standings import Ranking, Sets, Standing, mean
from e2r_bench.report.words import Word, overall, printed, word_of
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.store.info import NO_TRUTH
from e2r_bench.store.store import Store


@dataclass(frozen=True)
class Rival:
    """The best arm against the one whose mean comes next.

    Attributes:
        name: who comes next; the input where there is one arm.
        apart: best minus next as printed, with its interval where it was judged.
        word: the verdict.
    """

    name: str
    apart: str
    word: Word


@dataclass(frozen=True)
class Part:
    """Fidelity, perception or invention on one task.

    Attributes:
        role: the kind.
        key, unit, higher_is_better: the metric that stands for it.
        against: what the differences are to; empty where there are none.
        zero: where no difference stands, in % of the scale.
        standings: the arms, the best mean first.
        rival: None where there is nothing to set the best arm against.
    """

    role: Role
    key: str
    unit: str
    higher_is_better: bool
    against: str
    zero: float | None
    standings: tuple[Standing, ...]
    rival: Rival | None

    @property
    def best(self) -> Standing:
        """Return the arm with the best mean."""
        return self.standings[0]


@dataclass(frozen=True)
class Said:
    """What is said of one arm against the first in one breath; `place` is its colour."""

    name: str
    place: int
    against: str
    word: Word


@dataclass(frozen=True)
class Card:
    """One task.

    Attributes:
        n: pictures and scenes, in short.
        caption: the same, with the data.
        few: too few scenes for a verdict of any kind.
        said: the arms' words, all parts together.
        parts: one for each role that was measured.
        missing: roles that no metric of the run speaks of.
        why: what keeps them from being measured.
        plane: perception against distortion, None where either was not measured.
    """

    task: str
    n: str
    caption: str
    few: bool
    said: tuple[Said, ...]
    parts: tuple[Part, ...]
    missing: tuple[str, ...]
    why: str
    plane: Plane | None

    def part(self, role: Role) -> Part | None:
        """Return the part of a role, None where it was not measured."""
        return next((part for part in self.parts if part.role is role), None)


@dataclass(frozen=True)
class Headline:
    """The first screen.

    Attributes:
        cards: one per task, in the order of the run.
        bench: the verdicts of all pairs.
        places: methods by name, each with its colour on the page.
    """

    cards: tuple[Card, ...]
    bench: Bench
    places: Mapping[str, int]

    @property
    def tested(self) -> int:
        """Return how many pairs were tested, all at 5% together."""
        return self.bench.tested


@dataclass(frozen=True)
class _Field:
    """The arms of one task, with the metric that stands for each role."""

    task: str
    arms: tuple[Arm, ...]
    controls: tuple[Arm, ...]
    against: Arm | None
    keys: Mapping[Role, str]

    def judged(self) -> Iterator[tuple[str, str, tuple[Arm, ...]]]:
        """Yield task, metric id and arms of what is judged."""
        alone = self.against is not None and self.against not in self.arms
        arms = (*self.arms, self.against) if alone and self.against is not None else self.arms
        for key in self.keys.values():
            yield self.task, key, tuple(arm for arm in arms if arm.values(self.task, key))


def headline(stores: Mapping[str, Store], shares: Shares) -> Headline:
    """Return the first screen.

    Args:
        stores: origin -> run, as for `report.table.blocks`.
        shares: see `report.arms.Shares`.
    """
    arms, controls = arms_of(stores, shares), controls_of(stores, shares)
    sets = {origin: set_values(store) for origin, store in stores.items()}
    tasks = dict.fromkeys(task for store in stores.values() for task in store.info.tasks)
    fields = [field for one in tasks if (field := _field(one, arms, controls, sets)).arms]
    bench = bench_of(row for field in fields for row in field.judged())
    places = {arm: place for place, arm in enumerate((*arms, *controls))}
    made = (_card(field, sets, bench, places) for field in fields)
    named = {arm.name: place for arm, place in places.items() if arm in arms}
    return Headline(tuple(card for card in made if card.parts), bench, named)


def _field(task: str, arms: Sequence[Arm], controls: Sequence[Arm], sets: Sets) -> _Field:
    here = tuple(arm for arm in arms if task in arm.store.tasks(arm.method))
    whole = (key for known in sets.values() for _, named, key in known if named == task)
    keys = list(dict.fromkeys((*measured(here, task), *whole)))
    roles = {role: key for role in ROLES if (key := chosen(role, keys)) is not None}
    given = next((arm for arm in controls if arm.method == "degraded"), None)
    return _Field(task, here, tuple(controls), here[0] if len(here) > 1 else given, roles)


def _card(field: _Field, sets: Sets, bench: Bench, places: Mapping[Arm, int]) -> Card:
    found = {role: _ranking(field, key, sets, bench, places) for role, key in field.keys.items()}
    ranked = {role: ranking for role, ranking in found.items() if ranking.arms}
    info = field.arms[0].store.info.tasks[field.task]
    scenes = len(set(info.scenes))
    return Card(
        task=field.task,
        n=f"n = {len(info.images)}, {scenes} scenes",
        caption=f"n = {len(info.images)} ({scenes} scenes) of {info.data}",
        few=scenes < MIN_SCENES,
        said=tuple(_said(field, ranked, places)),
        parts=tuple(_part(role, ranking) for role, ranking in ranked.items()),
        missing=tuple(role.title for role in ROLES if role not in ranked),
        why="no metric of this run speaks of it" if info.truth else f"not measured, {NO_TRUTH}",
        plane=_plane(field, sets, places),
    )


def _plane(field: _Field, sets: Sets, places: Mapping[Arm, int]) -> Plane | None:
    across, up = field.keys.get(FIDELITY), field.keys.get(PERCEPTION)
    if across is None or up is None:
        return None
    shown = {arm: places[arm] for arm in (*field.arms, *field.controls)}
    return plane(shown, field.task, across, up, partial(mean, sets=sets))


def _ranking(
    field: _Field, key: str, sets: Sets, bench: Bench, places: Mapping[Arm, int]
) -> Ranking:
    unit, higher = facts_of(field.arms, key)
    means = {arm: m for arm in field.arms if (m := mean(arm, field.task, key, sets)) is not None}
    sign = -1 if higher else 1
    # NaN has no place in an order: it comes last.
    ranked = sorted(means, key=lambda arm: (math.isnan(means[arm]), sign * means[arm]))
    return Ranking(field.task, key, unit, tuple(ranked), means, field.against, bench, places)


def _said(
    field: _Field, ranked: Mapping[Role, Ranking], places: Mapping[Arm, int]
) -> Iterator[Said]:
    against = field.against
    for arm in field.arms:
        if against is not None and arm is not against:
            heard = [
                ranked[role].verdict(arm, against) if role in ranked else None
                for role in (FIDELITY, PERCEPTION, INVENTION)
            ]
            yield Said(arm.name, places[arm], against.name, overall(*heard))


def _part(role: Role, ranking: Ranking) -> Part:
    standings = tuple(ranking.standing(arm) for arm in ranking.arms)
    compared = ranking.against is not None and any(one.word for one in standings)
    return Part(
        role=role,
        key=ranking.key,
        unit=ranking.unit,
        higher_is_better=facts_of(ranking.arms, ranking.key)[1],
        against=ranking.against.name if ranking.against is not None and compared else "",
        zero=ranking.scale().share(0.0),
        standings=standings,
        rival=_rival(ranking),
    )


def _rival(ranking: Ranking) -> Rival | None:
    best, *others = ranking.arms
    second = others[0] if others else ranking.against
    verdict = ranking.verdict(best, second)
    if second is None or verdict is None:
        return None
    return Rival(second.name, printed(verdict, ranking.unit), word_of(verdict, ranking.unit))
