"""Several arms against one of them: paired, and judged together. The one way to compare methods."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from e2r_bench import __version__
from e2r_bench.report.arms import Arm, set_levels
from e2r_bench.report.orders import orders_of
from e2r_bench.report.statements import Contest, Judged, Level
from e2r_bench.report.unlike import namesake_weights, unlike_settings
from e2r_bench.statistics.given import stated
from e2r_bench.statistics.judge import ALPHA, judge
from e2r_bench.statistics.margins import margins_words
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.verdict import Evidence, Unmeasured, unmeasured
from e2r_bench.store.store import Store
from e2r_bench.studies.compare import compare
from e2r_bench.studies.measure import MeasuredArm, measured_metrics
from e2r_bench.studies.pairing import (
    chosen_arms,
    led_pairs,
    left_out,
    meeting,
    namesakes,
)
from e2r_bench.studies.sides import Criteria, Side
from e2r_metrics.base.errors import UsageError, unknown

_LEAST = 999


@dataclass(frozen=True)
class Found:
    """One part before it is judged.

    Attributes:
        task, metric, unit, higher_is_better, first, second: as in `Judged`.
        evidence: what was measured, or why nothing was.
        spread: standard deviation of the differences between scenes.
        steps: of both, as in `Judged`.
    """

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    first: str
    second: str
    evidence: Evidence | Unmeasured
    spread: float | None = None
    steps: tuple[int | None, int | None] = (None, None)


def judged(found: Sequence[Found]) -> tuple[Judged, ...]:
    """Judge parts that are read together; see `statistics.judge`."""
    verdicts = judge([one.evidence for one in found])
    parts = sum(verdict.judged for verdict in verdicts)
    return tuple(
        Judged(
            one.task, one.metric, one.unit, one.higher_is_better, one.first, one.second, verdict,
            parts, one.spread, *one.steps,
        )
        for one, verdict in zip(found, verdicts, strict=True)
    )  # fmt: skip


def permutations_for(parts: int) -> int:
    """Return how many permutations leave room for Holm's first step over so many parts."""
    return max(_LEAST, round(2 * parts / ALPHA))


@dataclass(frozen=True)
class Asked:
    """What to compare.

    Attributes:
        methods: arms by name, the one that others are set against first; empty for all.
        against: which arm that is instead; None for the first.
        metrics, tasks: names; empty for all that were measured.
        every: judge all pairs too, for a table's marks.
        namesakes: only methods of later runs, each against the one of its name in the first.
    """

    methods: tuple[str, ...] = ()
    against: str | None = None
    metrics: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    every: bool = False
    namesakes: bool = False


def contest(stores: Mapping[str, Store], asked: Asked, criteria: Criteria) -> Contest:
    """Compare the methods of a run, or of several that share a protocol.

    Each stands at its longest schedule, at all of its seeds. Pictures that one arm lacks are left
    out of both, and n says how many are left. Two arms meet on the tasks that both serve.

    Args:
        stores: origin (empty for a single run) -> run.
        asked: which arms, tasks and metrics.
        criteria: session, unit and margins; permutations are chosen here.

    Raises:
        UsageError: an unknown name, or fewer than two arms.
    """
    arms = chosen_arms(stores, asked.methods, asked.against)
    keys = list(_keys(arms, asked))
    pairs = namesakes(arms) if asked.namesakes else led_pairs(arms, asked.against)
    wanted = [(one, two) for at, one in enumerate(arms) for two in arms[:at]]
    gate, gone = asked.namesakes, tuple(left_out(arms, {key.task for key in keys}))
    parts = [(one, two, key) for key in keys for one, two in meeting(pairs, key.task, gate)]
    every = [(one, two, key) for key in keys for one, two in meeting(wanted, key.task, gate)]
    if not parts:
        why = "".join(f"; {line}" for line in gone)
        raise UsageError(f"compare: expected a task and a metric of two methods, found none{why}")
    count = len(every if asked.every else parts)
    margins = stated(arms[0].store.info.metrics.values(), criteria.margins)
    criteria = replace(
        criteria, permutations=permutations_for(count), incomplete=True, margins=margins
    )
    made = [_found(*part, criteria) for part in parts]
    found = [_found(*part, criteria) for part in every if asked.every]
    levels = tuple(_levels(arms, keys))
    facts = tuple(_facts(arms, pairs, keys, criteria))
    orders = orders_of(arms, [(key.task, key.metric) for key in keys])
    return Contest(judged(made), judged(found), levels, facts, orders, gone)


@dataclass(frozen=True)
class _Key:
    task: str
    metric: str
    unit: str
    higher_is_better: bool


def _keys(arms: Sequence[Arm], asked: Asked) -> Iterator[_Key]:
    """Yield the tasks and metrics that the first arm's run was measured by, task by task."""
    store = arms[0].store
    for name in asked.tasks:
        if name not in store.info.tasks:
            raise unknown("task of the run", name, store.info.tasks)
    bare = {key.partition(":")[0] for key in store.info.metrics}
    for name in asked.metrics:
        if name not in bare and name not in store.info.metrics:
            raise unknown("metric of the run", name, bare)
    for task in asked.tasks or tuple(store.info.tasks):
        for key, info in measured_metrics(store, task):
            if not asked.metrics or {key, info.name} & set(asked.metrics):
                yield _Key(task, key, info.unit, info.higher_is_better)


def _found(first: Arm, second: Arm, key: _Key, criteria: Criteria) -> Found:
    name = f"{key.task} {key.metric}: {first.name} against {second.name}"
    head = (key.task, key.metric, key.unit, key.higher_is_better, first.name, second.name)
    steps = (first.schedule, second.schedule)
    try:
        made = compare(_side(first), _side(second), key.task, key.metric, criteria)
    except UsageError as error:
        return Found(*head, unmeasured(name, key.metric, error), steps=steps)
    return Found(*head, made.evidence, made.spread, steps)


def _side(arm: Arm) -> Side:
    return Side(arm.name, (tuple(MeasuredArm(arm.store, arm.method, d) for d in arm.draws()),))


def _levels(arms: Sequence[Arm], keys: Sequence[_Key]) -> Iterator[Level]:
    sets = {arm.origin: set_levels(arm.store) for arm in arms}
    for key in keys:
        head = (key.task, key.metric, key.unit, key.higher_is_better)
        for arm in arms:
            values = arm.values(key.task, key.metric)
            known = sets[arm.origin].get((arm.method, key.task, key.metric))
            if known is not None:
                value, n = known
                yield Level(*head, arm.name, value, None, None, n, arm.schedule)
            elif values:
                made = level_of(head, arm.name, values, arm.scenes(key.task, list(values)))
                yield replace(made, steps=arm.schedule)


def level_of(
    head: tuple[str, str, str, bool], arm: str, values: Mapping[str, float], scenes: Sequence[str]
) -> Level:
    """Return an arm's mean with its interval over scenes, where it has one."""
    found = np.array(list(values.values()), dtype=np.float64)
    mean = float(found.mean())
    try:
        made = mean_estimate(found, scenes)
    except UsageError:
        return Level(*head, arm, mean, None, None, len(found))
    return Level(*head, arm, mean, made.low, made.high, len(found))


def _facts(
    arms: Sequence[Arm],
    pairs: Iterable[tuple[Arm, Arm]],
    keys: Sequence[_Key],
    criteria: Criteria,
) -> Iterator[str]:
    for arm in arms:
        info = arm.store.info.methods[arm.method]
        seeds, small = len(arm.draws()), ", MINIATURE" if info.miniature else ""
        drawn = f", {seeds} seeds" if info.stochastic else ""
        steps = f", {arm.steps} steps" if info.stepped else ""
        yield f"{arm.name}: {info.build}{small}{drawn}{steps}; {arm.store.folder}"
    yield from namesake_weights(arms)
    yield from unlike_settings(pairs)
    store = arms[0].store
    for task in dict.fromkeys(key.task for key in keys):
        info = store.info.tasks[task]
        yield f"{task}: {info.data}; {info.degradation}; protocol {store.info.protocol}"
    for name in dict.fromkeys(key.metric for key in keys):
        yield store.info.metrics[name].protocol
    yield f"margins: {margins_words([key.metric for key in keys], criteria.margins)}"
    yield f"e2r-bench {__version__}; units: {criteria.unit}s; {criteria.permutations} permutations"
