"""The planner's policies on a set of pictures: what each is worth, and what it costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from e2r_baselines.degrade import Task
from e2r_bench.statistics.evidence import Part, paired_evidence
from e2r_bench.statistics.judge import judge
from e2r_bench.statistics.paired import mean_estimate
from e2r_bench.statistics.results import Values
from e2r_bench.statistics.verdict import Evidence, Verdict
from e2r_bench.studies.planner import (
    Path,
    Tree,
    all_paths,
    blind_path,
    fixed_path,
)
from e2r_metrics.base.draws import rng_for
from e2r_metrics.base.errors import UsageError
from e2r_metrics.catalog import Metric

Score = Callable[[Tree, Path], float]
_PERMUTATIONS = 9999


@dataclass(frozen=True)
class Ground:
    """One task's pictures and how they are scored.

    Attributes:
        task: the mixture.
        trees: one a picture.
        scenes: of each.
        score: a picture's value after a path, by the metric.
        metric: for its unit and direction.
        margin: in its unit.
    """

    task: Task
    trees: Sequence[Tree]
    scenes: Sequence[str]
    score: Score
    metric: Metric
    margin: float

    @property
    def sign(self) -> int:
        """Return 1 where more is better, else -1."""
        return 1 if self.metric.higher_is_better else -1

    def values(self, paths: Sequence[Path]) -> Values:
        """Return the value of each picture after its path."""
        pairs = zip(self.trees, paths, strict=True)
        return np.array([self.score(tree, path) for tree, path in pairs])


@dataclass(frozen=True)
class Policy:
    """What a way to choose calls is worth: a value, calls and seconds for each picture."""

    name: str
    values: Values
    calls: float
    seconds: float


def policies(ground: Ground) -> list[Policy]:
    """Return every policy on a task; the best single call is the first, the oracle the last."""
    box, parts, trees = ground.trees[0].box, ground.task.parts, ground.trees
    singles = [(part, tool) for part in parts for tool in box.tools[part]]
    singles += [(ground.task.kind, tool) for tool in box.single]
    calls = [
        _by_path(ground, f"one call: {t} for {p}", [((p, t),)] * len(trees)) for p, t in singles
    ]
    best = max(calls, key=lambda one: ground.sign * one.values.mean())
    named = {
        "undo in reverse": fixed_path(parts[::-1], box.tools),
        "as they arose": fixed_path(parts, box.tools),
    }
    fixed = [_by_path(ground, name, [path] * len(trees)) for name, path in named.items()]
    nothing = _by_path(ground, "degraded", [()] * len(trees))
    rest = [one for one in calls if one is not best]
    return [best, nothing, *rest, *fixed, _chance(ground), _blind(ground), _oracle(ground)]


def _by_path(ground: Ground, name: str, paths: Sequence[Path]) -> Policy:
    values = ground.values(paths)
    pairs = list(zip(ground.trees, paths, strict=True))
    seconds = float(np.mean([tree.time_of(path) for tree, path in pairs]))
    return Policy(name, values, float(np.mean([len(path) for path in paths])), seconds)


def _table(ground: Ground) -> tuple[list[Path], Values]:
    """Return every path and (paths, pictures) values."""
    paths = all_paths(ground.task.parts, ground.trees[0].box.tools)
    return paths, np.array([ground.values([path] * len(ground.trees)) for path in paths])


def _chance(ground: Ground) -> Policy:
    """Return chance: the mean over all orders and tools, which needs no sampling."""
    paths, values = _table(ground)
    seconds = float(np.mean([tree.time_of(path) for tree in ground.trees for path in paths]))
    return Policy("any order, any tool", values.mean(axis=0), len(paths[0]), seconds)


def _blind(ground: Ground) -> Policy:
    """Return the planner that sees the picture alone; it pays for the step that it takes back."""
    found = [blind_path(tree, tree.box.tools) for tree in ground.trees]
    values = ground.values([path for path, _ in found])
    pairs = list(zip(ground.trees, found, strict=True))
    seconds = float(np.mean([sum(t.seconds[one] for one in called) for t, (_, called) in pairs]))
    return Policy("blind", values, float(np.mean([len(called) for _, called in found])), seconds)


def _oracle(ground: Ground) -> Policy:
    """Return the best path of each picture, chosen by the truth: nobody can do better with these.

    It pays for all of them; what begins alike is run once.
    """
    paths, values = _table(ground)
    made = {path[: k + 1] for path in paths for k in range(len(path))}
    seconds = float(np.mean([sum(tree.seconds[one] for one in made) for tree in ground.trees]))
    best = values.max(axis=0) if ground.sign > 0 else values.min(axis=0)
    return Policy("oracle", best, len(made), seconds)


def records(ground: Ground, found: Sequence[Policy]) -> list[dict[str, Any]]:
    """Return a row a policy: its mean, gain over the best single call, regret to the oracle."""
    single, oracle = found[0], found[-1]
    return [
        {
            "task": ground.task.name, "policy": one.name, "metric": ground.metric.id,
            **_interval("mean", one.values, ground.scenes),
            **_interval("gain", ground.sign * (one.values - single.values), ground.scenes),
            **_interval("regret", ground.sign * (oracle.values - one.values), ground.scenes),
            "calls": one.calls, "seconds": one.seconds, "n": len(one.values),
            "scenes": len(set(ground.scenes)),
        }
        for one in found
    ]  # fmt: skip


def _interval(name: str, values: Values, scenes: Sequence[str]) -> dict[str, float | None]:
    ends: tuple[float | None, float | None] = (None, None)
    try:
        found = mean_estimate(values, scenes)
        ends = found.low, found.high
    except UsageError:
        pass  # a constant, or a single scene: a mean without an interval
    return {name: float(values.mean()), f"{name}_low": ends[0], f"{name}_high": ends[1]}


def order_effects(grounds: Sequence[Ground]) -> tuple[Verdict, ...]:
    """Judge, over all tasks together, first one then the other against the other way round.

    Of three degradations each two are compared next to each other, the third done last.
    """
    parts: list[Evidence] = []
    for ground in grounds:
        tools = ground.trees[0].box.tools
        for a, b in combinations(ground.task.parts, 2):
            rest = [part for part in ground.task.parts if part not in (a, b)]
            one, two = (
                ground.values([fixed_path([*order, *rest], tools)] * len(ground.trees))
                for order in ((a, b), (b, a))
            )
            label = f"{ground.task.name} {ground.metric.id}: {a} then {b}, against {b} then {a}"
            part = Part(label, ground.metric.id, ground.margin, ground.metric.higher_is_better)
            rng = rng_for(0, label, "permutations")
            parts.append(paired_evidence(part, one, two, ground.scenes, rng, _PERMUTATIONS))
    return judge(parts)
