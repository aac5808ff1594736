"""Study of the early filter: is a noise that a judge chose better than the mean one, for its cost?

Cost is counted in evaluations of the model (NFE): n for a draw of n steps, n + M m with a filter of
M candidates of m steps. Three rivals stand beside each judge: the mean draw (n), one run of n + M m
steps, and the mean picture of k draws, with k n as near to n + M m as whole draws allow.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from e2r_baselines.method import Draw
from e2r_bench.report.statements import Contest, Judged, Level, statement
from e2r_bench.statistics.margins import margins_words
from e2r_bench.statistics.verdict import Unmeasured
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_bench.studies.compare import compare
from e2r_bench.studies.contest import Found, judged, level_of, permutations_for
from e2r_bench.studies.filter_settings import AVERAGED, PLAIN, Asked
from e2r_bench.studies.measure import MeasuredArm, measured_metrics, units_of
from e2r_bench.studies.sides import Criteria, Side
from e2r_bench.studies.writing import write_study
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import eight_bit, read_image, write_png

_UNREAD = frozenset({"lost_share", "unfaithful_share"})
"""Measured in every run, and no question of this study: every part costs the others power."""


def average(run: Store, asked: Asked) -> None:
    """Write the mean picture of the first `averaged` draws of each image, as 8 bits.

    An image that lacks a draw has none; what is there already is made again.
    """
    draws = [Draw(seed, asked.steps) for seed in asked.seeds[: asked.averaged]]
    (run.folder / AVERAGED).mkdir(exist_ok=True)
    for task in run.tasks(PLAIN):
        for image in run.images(task):
            cells = [Cell(PLAIN, task, draw, image) for draw in draws]
            if len(draws) == asked.averaged and all(run.has(cell) for cell in cells):
                pictures = [read_image(run.path(cell)).astype(np.float32) for cell in cells]
                mean = eight_bit(np.mean(pictures, axis=0) / 255)
                write_png(run.folder / AVERAGED / task / f"{image}.png", mean)


@dataclass(frozen=True)
class _Arm:
    """One way to spend evaluations.

    Attributes:
        name: in words.
        evaluations: NFE of one picture.
        draws: its arm at each seed.
    """

    name: str
    evaluations: int
    draws: tuple[MeasuredArm, ...]

    @property
    def label(self) -> str:
        """Return name and cost."""
        return f"{self.name} (NFE {self.evaluations})"

    @property
    def side(self) -> Side:
        """Return it as it is compared."""
        return Side(self.label, (self.draws,))

    def values(self, task: str, metric: str) -> Mapping[str, float]:
        """Return image -> mean over the seeds, of images that have all of them."""
        found = [draw.values(task, metric) for draw in self.draws]
        images = [name for name in found[0] if all(name in one for one in found)]
        return {name: float(np.mean([one[name] for one in found])) for name in images}


def _arms(run: Store, rivals: Store, asked: Asked) -> tuple[list[_Arm], list[_Arm]]:
    """Return the chosen draws, and what they are set against."""
    n, more = asked.steps, asked.evaluations
    against = [
        _Arm("the mean draw", n, _draws(run, PLAIN, n, asked)),
        _Arm(f"the mean draw of {more} steps", more, _draws(rivals, PLAIN, more, asked)),
    ]
    if AVERAGED in rivals.info.methods:
        single = (MeasuredArm(rivals, AVERAGED, Draw(0, 0)),)
        count = asked.averaged
        against.append(_Arm(f"the mean picture of {count} draws", count * n, single))
    chosen = [
        _Arm(
            f"chosen by {judge}" + (", an UPPER BOUND" if run.info.methods[name].control else ""),
            run.info.methods[name].evaluations(n),
            _draws(run, name, n, asked),
        )
        for name, judge in asked.chosen().items()
    ]
    return chosen, against


def _draws(store: Store, method: str, steps: int, asked: Asked) -> tuple[MeasuredArm, ...]:
    return tuple(MeasuredArm(store, method, Draw(seed, steps)) for seed in asked.seeds)


def filter_contest(run: Store, rivals: Store, asked: Asked, criteria: Criteria) -> Contest:
    """Judge every chosen draw against every rival, task by task and metric by metric, together.

    Args:
        run: of `Asked.first`.
        rivals: of `Asked.second`.
        asked: what is studied.
        criteria: session, unit and margins; permutations are chosen here.
    """
    chosen, against = _arms(run, rivals, asked)
    keys = [
        (task, key, info.unit, info.higher_is_better)
        for task in run.tasks(PLAIN) for key, info in measured_metrics(run, task)
        if info.per_image and info.name not in _UNREAD
    ]  # fmt: skip
    count = permutations_for(len(keys) * len(chosen) * len(against))
    criteria = replace(criteria, permutations=count, incomplete=True)
    parts = [
        _found(one, rival, key, criteria) for key in keys for one in chosen for rival in against
    ]
    levels = [_level(run, arm, key) for key in keys for arm in (*against, *chosen)]
    metrics = list(dict.fromkeys(key for _, key, _, _ in keys))
    facts = (
        f"{asked.method}: {run.info.methods[PLAIN].build}"
        + (" (MINIATURE)" if run.info.methods[PLAIN].miniature else ""),
        f"{len(asked.seeds)} seeds; M = {asked.candidates} candidates of m = {asked.filter_steps} "
        f"steps, n = {asked.steps}; NFE counts evaluations of the model, each of which is two "
        "passes where guidance is classifier-free",
        f"protocol {run.info.protocol}",
        f"margins: {margins_words(metrics, criteria.margins)}",
    )
    return Contest(judged(parts), (), tuple(levels), facts)


_Key = tuple[str, str, str, bool]


def _found(one: _Arm, rival: _Arm, key: _Key, criteria: Criteria) -> Found:
    task, metric, unit, better = key
    head = (task, metric, unit, better, one.label, rival.label)
    try:
        made = compare(one.side, rival.side, task, metric, criteria)
    except UsageError as error:
        name = f"{task} {metric}: {one.label} against {rival.label}"
        return Found(*head, Unmeasured(name, metric, str(error)))
    return Found(*head, made.evidence, made.spread)


def _level(run: Store, arm: _Arm, key: _Key) -> Level:
    values = arm.values(*key[:2])
    if not values:
        return Level(*key, arm.label, float("nan"), None, None, 0)
    return level_of(key, arm.label, values, units_of(run, key[0], list(values)))


def study_filter(run: Store, rivals: Store, asked: Asked, criteria: Criteria) -> Contest:
    """Judge the filters of a run and write `<run>/studies/filter`; see `filter_contest`."""
    found = filter_contest(run, rivals, asked, criteria)
    said = "\n".join(f"- {statement(one)}" for one in found.judged)
    text = "\n\n".join((f"{__doc__}".partition("\n\n")[2].strip(), "; ".join(found.facts), said))
    records = [_record(level, found.judged) for level in found.levels]
    write_study(run.folder / "studies" / "filter", "Early filter", text, records, {})
    return found


def _record(level: Level, parts: Sequence[Judged]) -> dict[str, Any]:
    """Return an arm's line: its own number, and what it is against each rival."""
    made: dict[str, Any] = {
        "task": level.task, "metric": level.metric, "arm": level.arm, "n": level.n,
        "mean": level.value, "low": level.low, "high": level.high,
    }  # fmt: skip
    mine = (one for one in parts if (one.task, one.metric, one.first)
            == (level.task, level.metric, level.arm))  # fmt: skip
    return made | {f"against {one.second}": " ".join(_against(one)) for one in mine}


def _against(one: Judged) -> Iterator[str]:
    verdict = one.verdict
    if verdict.effect is not None:
        yield f"{verdict.effect:+.4g}"
    if verdict.low is not None and verdict.high is not None:
        yield f"[{verdict.low:+.4g}, {verdict.high:+.4g}]"
    yield verdict.label
