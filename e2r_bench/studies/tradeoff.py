"""Better, or only prettier, and was it invented? Named pairs of methods, judged together.

Perception and distortion are at odds (Blau & Michaeli, CVPR 2018): a method that looks better may
be further from the truth, and what it added may be made up. Of each pair and task three differences
are judged, all with Holm's procedure over the study: perception, fidelity, and invention.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_bench.maps.selection import shown_draw
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.verdict import Evidence, Unmeasured, Verdict, unmeasured
from e2r_bench.store.store import Store
from e2r_bench.studies.compare import compare
from e2r_bench.studies.measure import MeasuredArm
from e2r_bench.studies.sides import Criteria, Side
from e2r_bench.studies.tradeoff_file import Pair, Tradeoff
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_metrics import Session

PERMUTATIONS = 9999


@dataclass(frozen=True)
class Contest:
    """A pair on a task.

    Attributes:
        pair, task: who, and on what.
        perception, fidelity, invention: the verdicts, first against second.
        words: what they say together.
    """

    pair: Pair
    task: str
    perception: Verdict
    fidelity: Verdict
    invention: Verdict
    words: str


def contests(
    study: Tradeoff, stores: Mapping[str, Store], session: "Session"
) -> tuple[Contest, ...]:
    """Judge every pair of the study on those of its tasks that were run, all together.

    Args:
        study: what is judged; pairs that were left out are not.
        stores: run name -> run, of all that it holds.
        session: computes features, where a metric is one of whole sets.

    Raises:
        UsageError: a metric that has no margin.
    """
    told = study.content
    names = (told.perception, told.fidelity, told.invention)
    criteria = Criteria(session, permutations=PERMUTATIONS)
    asked = [
        (pair, task, stores[run])
        for pair in told.pair
        for task in pair.tasks
        if (run := study.run_of(pair, task)) is not None
    ]
    verdicts = judge([
        _part(store, pair, task, name, criteria) for pair, task, store in asked for name in names
    ])  # fmt: skip
    three = zip(verdicts[::3], verdicts[1::3], verdicts[2::3], strict=True)
    return tuple(
        Contest(pair, task, looks, close, made, words(pair, names, (looks, close, made)))
        for (pair, task, _), (looks, close, made) in zip(asked, three, strict=True)
    )


def _part(
    store: Store, pair: Pair, task: str, name: str, criteria: Criteria
) -> Evidence | Unmeasured:
    first, second = (
        Side(method, ((MeasuredArm(store, method, shown_draw(store, method)),),))
        for method in (pair.first, pair.second)
    )
    try:
        return compare(first, second, task, name, criteria).evidence
    except UsageError as reason:
        label = f"{task} {name}: {pair.first} against {pair.second}"
        return unmeasured(label, name, reason)


def words(pair: Pair, names: Sequence[str], verdicts: Sequence[Verdict]) -> str:
    """Say what the three directions of a pair say together, in a sentence that stands alone.

    Args:
        pair: who.
        names: of perception, fidelity and invention.
        verdicts: in that order, first against second.
    """
    looks, close, made = (verdict.direction for verdict in verdicts)
    if any(verdict.label == "not measured" for verdict in verdicts):
        return "not measured"
    first, second = pair.first, pair.second
    if looks < 0 or (looks == 0 and close < 0):
        first, second, looks, close, made = second, first, -looks, -close, -made
    invented = {-1: " and invented more", 1: " and invented less", 0: ""}[made]
    if looks > 0 and close < 0:
        return f"{first} is only prettier than {second}{invented}: {_who(names, first, second)}"
    if looks > 0 and close > 0:
        return f"{first} is better than {second}, prettier and closer{invented}"
    if looks > 0:
        return f"{first} is prettier than {second}{invented}; which is closer is not resolved"
    if close > 0:
        return f"{first} is closer than {second}{invented}; which is prettier is not resolved"
    return f"{first} and {second}: neither is shown to be prettier or closer{invented}"


def _who(names: Sequence[str], first: str, second: str) -> str:
    return f"{names[0]} prefers {first}, {names[1]} prefers {second}"
