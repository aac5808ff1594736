"""What cannot be judged, said before anything is trained: metrics, scenes, methods."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_bench.arms.claims import Arm
from e2r_bench.arms.running import ArmRunner
from e2r_bench.report.unmeasured import unplanned
from e2r_bench.run.config import Experiment
from e2r_bench.run.plan import Plan, make_plan
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.studies.measure import Unit
from e2r_bench.studies.sides import Criteria
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_metrics import Session


@dataclass(frozen=True)
class Needs:
    """What a claim or study needs.

    Attributes:
        name: of the claim.
        tasks: that it is judged on.
        metrics: each with the proxies that may stand beside it.
        arms: that are not trained here: their weights may be missing.
        all_metrics: whether it takes every metric (a correlation), or any.
    """

    name: str
    tasks: Sequence[str]
    metrics: Sequence[tuple[str, ...]]
    arms: Sequence[Arm]
    all_metrics: bool = False


@dataclass(frozen=True)
class Foreseen:
    """What is known before the run.

    Attributes:
        lines: what cannot be judged, in one block; empty where all can.
        hopeless: names of what no run on this machine can measure.
        scenes: task to its independent units.
    """

    lines: tuple[str, ...]
    hopeless: frozenset[str]
    scenes: Mapping[str, int]


def foreseen(runner: ArmRunner, criteria: Criteria, needs: Sequence[Needs]) -> Foreseen:
    """Look up data, metrics and weights; nothing is trained or run.

    Raises:
        UsageError: the user's mistakes: an unknown task or metric, data that cannot be read.
    """
    base = runner.base
    # The controls alone: what arms need is looked up one by one.
    bare = base.model_copy(update={"methods": ("degraded",), "method": {}})
    plan = make_plan(bare, criteria.session.weights, criteria.session, runner.catalog)
    scenes = _scenes(plan, criteria.unit)
    looked = _looked_up(runner, criteria, needs)
    said: dict[str, dict[str, None]] = {}
    hopeless: set[str] = set()
    for need in needs:
        lines = list(_metrics(need, plan))
        gone = sum(not line.startswith(_PARTLY) for line in lines)
        if gone == len(need.metrics) or (need.all_metrics and lines):
            hopeless.add(need.name)
        for line in (*lines, *_arms(need, looked)):
            said.setdefault(line.removeprefix(_PARTLY), {})[need.name] = None
    found = (f"{', '.join(names)}: {line}" for line, names in said.items())
    lines = tuple(f"    {line}" for line in (*_few(scenes), *found))
    block = ("before the run, what cannot be judged:", *lines) if lines else ()
    return Foreseen(block, frozenset(hopeless), scenes)


def _scenes(plan: Plan, unit: Unit) -> dict[str, int]:
    """Return task to the independent units of its pictures."""
    return {
        pictures.task.name: len({
            one.scene if unit == "scene" else one.id for one in pictures.sources
        })
        for pictures in plan.tasks
    }  # fmt: skip


def _few(scenes: Mapping[str, int]) -> Iterator[str]:
    few = [f"{task} {n}" for task, n in scenes.items() if n < MIN_SCENES]
    if few:
        yield (
            f"{', '.join(few)} scenes: no verdict of any kind below {MIN_SCENES}; "
            "give more photographs with --data"
        )


def few_scenes(experiment: Experiment, session: "Session") -> Iterator[str]:
    """Yield, before a run, what its pictures are too few for.

    Args:
        experiment: the run.
        session: finds the weights.

    Raises:
        UsageError: the user's mistakes.
    """
    yield from _few(_scenes(make_plan(experiment, session.weights, session), "scene"))


_PARTLY = "by proxy: "


def _metrics(need: Needs, plan: Plan) -> Iterator[str]:
    """Yield a line for each metric that cannot be measured, and what stands in its place."""
    for name, *proxies in need.metrics:
        reason = _missing(name, plan, need.tasks)
        if reason is None:
            continue
        there = [proxy for proxy in proxies if _missing(proxy, plan, need.tasks) is None]
        if there and not need.all_metrics:
            yield f"{_PARTLY}{name} {reason}; {there[0]} stands in, under its own name"
        else:
            yield f"{name} {reason}"


def _missing(name: str, plan: Plan, tasks: Sequence[str]) -> str | None:
    bare = name.partition(":")[0]
    for task in tasks:
        ids = [metric.id for metric in plan.metrics[task] if metric.name == bare]
        if not ids:
            return f"is not asked for; give --metrics {bare}"
        for key in ids:
            if key in plan.missing:
                gone = plan.missing[key]
                return f"not measured: {gone.words}"
    return None


Looked = Mapping[str, Mapping[str, str] | UsageError]
"""Method -> the tasks that it will not be run on, each with the reason; or why it cannot run."""


def _arms(need: Needs, looked: Looked) -> Iterator[str]:
    """Yield a line for each arm that cannot run, and for the tasks that one does not serve."""
    for arm in need.arms:
        found = looked.get(arm.method, {})
        if isinstance(found, UsageError):
            yield str(found)
        else:
            mine = {task: why for task, why in found.items() if task in need.tasks}
            yield from unplanned({arm.method: mine})


def _looked_up(runner: ArmRunner, criteria: Criteria, needs: Sequence[Needs]) -> Looked:
    """Look up the arms that are not trained here."""
    found: dict[str, Mapping[str, str] | UsageError] = {}
    arms = {arm.method: arm for need in needs for arm in need.arms if arm.training is None}
    for name, arm in arms.items():
        try:
            found[name] = runner.check(arm, criteria.session)
        except UsageError as error:
            found[name] = error
    return found
