"""What a run was made from, by content: a changed input is never answered with an old number.

`inputs.json` holds the SHA-256 of each clean and degraded source and of each ready result of
`folder:`; run.json holds those of weights, adapters and plugins. The next call on the folder hashes
them again, refuses what changed by name, and with `redo` makes anew just what stands on it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from e2r_bench.run.plan import Plan, PlannedMethod
from e2r_bench.run.prepare import TaskSet
from e2r_bench.store.cell import Cell
from e2r_bench.store.costs import COSTS
from e2r_bench.store.info import RunInfo
from e2r_bench.store.store import INPUTS, Store
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import read_text, write_text

_SHOWN = 6
_GONE = "absent"


class Inputs(BaseModel):
    """The content of inputs.json.

    Attributes:
        sources: task -> image -> SHA-256 of the clean and of the degraded file.
        results: instance -> task -> image -> SHA-256 of a ready result.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: Mapping[str, Mapping[str, tuple[str, ...]]]
    results: Mapping[str, Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True)
class Changes:
    """What is not as it was when a run's pictures were made.

    Attributes:
        sources: (task, image) whose clean or degraded file changed, came or went.
        results: (instance, task, image) whose ready result changed, came or went.
        methods: instance -> what changed about it: build, weights, options or version.
    """

    sources: frozenset[tuple[str, str]]
    results: frozenset[tuple[str, str, str]]
    methods: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.sources or self.results or self.methods)

    def touches(self, cell: Cell) -> bool:
        """Return whether a cell's picture stands on something that changed."""
        return (
            (cell.task, cell.image) in self.sources
            or (cell.method, cell.task, cell.image) in self.results
            or cell.method in self.methods
        )

    def lines(self) -> Iterator[str]:
        """Yield what changed, by name."""
        named = [f"{task}/{image}" for task, image in sorted(self.sources)]
        if named:
            yield f"data: {_some(named)}"
        for method in sorted({method for method, _, _ in self.results}):
            mine = [f"{t}/{i}" for m, t, i in sorted(self.results) if m == method]
            yield f"results of {method}: {_some(mine)}"
        yield from (f"{name}: {what}" for name, what in self.methods.items())


def _some(names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def inputs_of(plan: Plan) -> Inputs:
    """Hash everything that the pictures of a plan are made from."""
    results = {m.name: found for m in plan.methods if (found := _results(m, plan.tasks))}
    return Inputs(sources={t.task.name: dict(_sources(t)) for t in plan.tasks}, results=results)


def _sources(pictures: TaskSet) -> Iterator[tuple[str, tuple[str, ...]]]:
    for source in pictures.sources:
        files = (source.clean, source.degraded if pictures.from_files() else None)
        yield source.id, tuple(_digest(file) for file in files if file is not None)


def _results(
    method: PlannedMethod, tasks: Iterable[TaskSet]
) -> Mapping[str, Mapping[str, str]] | None:
    inputs = method.spec.inputs
    if inputs is None:
        return None
    return {
        t.task.name: {s.id: _digest(inputs(t.task.name, s.id)) for s in t.sources} for t in tasks
    }


def _digest(path: Path | None) -> str:
    """Return the hash of a file; one that is not there is recorded too, for it may come."""
    try:
        return _GONE if path is None else sha256_of(path)
    except OSError:
        return _GONE


def read_inputs(folder: Path) -> Inputs:
    """Read a run's inputs.json.

    Raises:
        UsageError: it is damaged or not there: nothing says what the pictures were made from.
    """
    path = folder / INPUTS
    try:
        return Inputs.model_validate_json(read_text(path))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{path}: expected the record of a run's inputs, found none that can be read; choose "
            "another --out"
        ) from error


def write_inputs(folder: Path, before: Inputs | None, now: Inputs) -> Inputs:
    """Write what is known of a run's inputs: of this call, and of earlier ones beside it."""
    old = before or Inputs(sources={}, results={})
    results = {
        name: {**old.results.get(name, {}), **now.results.get(name, {})}
        for name in {**old.results, **now.results}
    }
    joined = Inputs(sources={**old.sources, **now.sources}, results=results)
    write_text(folder / INPUTS, json.dumps(joined.model_dump(mode="json"), indent=1) + "\n")
    return joined


def changes(before: RunInfo, then: Inputs, info: RunInfo, now: Inputs) -> Changes:
    """Compare what a run was made from with what a new call would make it from.

    Args:
        before: run.json as it is.
        then: inputs.json as it is.
        info: run.json as the new call would write it, alone.
        now: the new call's inputs.
    """
    sources = {
        (task, image)
        for task, mine in now.sources.items()
        if task in then.sources
        for image in _differing(then.sources[task], mine)
    }
    results = {
        (name, task, image)
        for name, tasks in now.results.items()
        for task, mine in tasks.items()
        if task in then.results.get(name, {})
        for image in _differing(then.results[name][task], mine)
    }
    methods = {
        name: what
        for name, method in info.methods.items()
        if name in before.methods and (what := _method_change(before, name, method.model_dump()))
    }
    return Changes(frozenset(sources), frozenset(results), methods)


def _differing(one: Mapping[str, object], two: Mapping[str, object]) -> list[str]:
    return [name for name in one.keys() | two.keys() if one.get(name) != two.get(name)]


def _method_change(before: RunInfo, name: str, now: Mapping[str, object]) -> str:
    old = before.methods[name].model_dump()
    told = ("method", "options", "build", "weights", "version")
    differ = [key for key in told if old[key] != now[key]]
    if differ == ["build"] and old["weights"]:
        return ""  # the same files; a later version of e2r-bench says more of them
    return "; ".join(f"{key} {old[key]} -> {now[key]}" for key in differ)


def forget(store: Store, gone: Changes) -> None:
    """Remove the pictures, rows, maps and pairs that stand on what changed."""
    for task, image in gone.sources:
        for path in (store.clean_path(task, image), store.degraded_path(task, image)):
            path.unlink(missing_ok=True)
    store.drop(gone.touches)
    # What its weights cost may be another thing now.
    (store.folder / COSTS).unlink(missing_ok=True)
