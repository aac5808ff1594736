"""Shards become one run: what they agree on is checked, and what a serial run leaves is written."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_bench.maps.shares import SHARES
from e2r_bench.run.binding import Inputs, read_inputs, write_inputs
from e2r_bench.run.config import NEUTRAL
from e2r_bench.run.shards import Shard, parse_shard
from e2r_bench.run.shared import with_shared
from e2r_bench.store.costs import put_cost, read_costs
from e2r_bench.store.gaps import lacking
from e2r_bench.store.info import MethodInfo, RunInfo, TaskInfo
from e2r_bench.store.store import FAILURES, ROWS, RUN_JSON, TIMING, Store, create_store, open_store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_bytes, write_json, write_parts

if TYPE_CHECKING:
    from e2r_metrics.base.weights import Resolver

_OWN = NEUTRAL | {"shard"}
_SHOWN = 6


def join(folders: Sequence[Path], out: Path, resolver: "Resolver") -> Store:
    """Check shards and lay them end to end in `out`; called again after a crash, it goes on.

    Args:
        folders: of the shards, in any order.
        out: the run folder to write, held by the caller.
        resolver: of the weights that set metrics will be measured with.

    Returns:
        The run, without summary and report.

    Raises:
        UsageError: a shard is missing, twice, unfinished or of another experiment, or `out` holds
            another run; what differs is named.
    """
    shards = _in_order(folders)
    _refuse_other(shards)
    for name, store in shards.items():
        _refuse_unfinished(name, store)
    info = _joined([store.info for store in shards.values()], out)
    _refuse_other_weights(info, resolver)
    _refuse_other_run(out, info)
    inputs = [read_inputs(store.folder) for store in shards.values()]
    # As in a run, first: they tell whose folder it is, should this be interrupted.
    write_inputs(out, reduce(_both, inputs), _NONE)
    for store in shards.values():
        for part in ("pairs", "images"):
            _copy(store.folder / part, out / part)
    _write_records(list(shards.values()), out)
    merged = with_shared(create_store(out, info))
    merged.order_rows()
    return merged


def _in_order(folders: Sequence[Path]) -> Mapping[str, Store]:
    """Return the shards by name, first to last."""
    found: dict[Shard, Store] = {}
    for folder in folders:
        store = open_store(folder)
        said = store.info.settings.get("shard")
        if said is None:
            raise UsageError(
                f"{folder}: expected a shard, found a whole run; make shards with `e2r-bench run "
                "--shard i/n`"
            )
        shard = parse_shard(str(said))
        if shard in found:
            raise UsageError(f"{folder}: expected another shard, found {said} again")
        found[shard] = store
    of = {shard.of for shard in found}
    if len(of) > 1:
        raise UsageError(
            f"expected shards of one number, found some of {_some(map(str, sorted(of)))}"
        )
    every = [Shard(part, n) for n in of for part in range(1, n + 1)]
    gone = [f"{shard.part}/{shard.of}" for shard in every if shard not in found]
    if gone:
        raise UsageError(
            f"expected all shards, found none of {_some(gone)}; make them, or name them"
        )
    return {f"shard {shard.part}/{shard.of}": found[shard] for shard in every}


def _some(names: Iterator[str] | Sequence[str]) -> str:
    every = list(names)
    more = f", and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _refuse_other(shards: Mapping[str, Store]) -> None:
    first, *others = shards.items()
    differ = [
        f"{key}: {mine!r} in {first[0]}, {yours!r} in {name}"
        for name, store in others
        for key, mine, yours in _differing(_told(first[1].info), _told(store.info))
    ]
    if differ:
        raise UsageError(f"expected shards of one experiment, found {_some(differ)}")


def _told(info: RunInfo) -> dict[str, Any]:
    """Return what shards have to agree on, by a name that says what it is."""
    told = info.model_dump(mode="json")
    flat = {f"settings {k}": v for k, v in told["settings"].items() if k not in _OWN}
    flat |= {f"version of {k}": v for k, v in told["versions"].items()}
    flat |= {key: told[key] for key in ("format", "protocol", "seeds", "steps", "git")}
    flat["methods"] = sorted(told["methods"])
    for name, method in told["methods"].items():
        # A shard knows the tasks that it has pictures of; what is not planned it knows of all.
        kept = {key: value for key, value in method.items() if key != "outside"}
        flat |= {f"{key} of {name}": value for key, value in kept.items()}
    for key in ("metrics", "tasks"):
        for name, one in told[key].items():
            kept = {k: v for k, v in one.items() if k not in ("images", "scenes", "unreadable")}
            flat |= {f"{part} of {name}": value for part, value in kept.items()}
    return flat


def _differing(one: dict[str, Any], two: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what both speak of and disagree on; a shard says nothing of tasks it has none of."""
    yield from ((key, one[key], two[key]) for key in one if key in two and one[key] != two[key])


def _refuse_unfinished(name: str, store: Store) -> None:
    gone = lacking(store)
    if gone:
        raise UsageError(
            f"{name} in {store.folder} is not finished, it lacks {_some(gone)}; give its command "
            "again"
        )


def _joined(infos: Sequence[RunInfo], out: Path) -> RunInfo:
    """Return the description of the whole run; shards in order are pictures in order."""
    tasks: dict[str, TaskInfo] = {}
    for info in infos:
        for name, task in info.tasks.items():
            tasks[name] = _longer(tasks[name], task) if name in tasks else task
    first = infos[0]
    passed = {key: value for key, value in first.passed.items() if key != "shard"}
    own: dict[str, Any] = {
        "settings": {**first.settings, "shard": None, "out": str(out)},
        "passed": passed,
    }
    metrics = {key: metric for info in infos for key, metric in info.metrics.items()}
    # As `describe` orders them: a later shard's task may have metrics of its own.
    last = {key: metrics.pop(key) for key in SHARES if key in metrics}
    own["metrics"] = metrics | last
    own["methods"] = {name: _everywhere(name, infos) for name in first.methods}
    return first.model_copy(update={"tasks": tasks, **own})


def _everywhere(name: str, infos: Sequence[RunInfo]) -> MethodInfo:
    outside = dict.fromkeys(task for info in infos for task in info.methods[name].outside)
    return infos[0].methods[name].model_copy(update={"outside": tuple(outside)})


def _longer(one: TaskInfo, two: TaskInfo) -> TaskInfo:
    return one.model_copy(
        update={
            "images": one.images + two.images,
            "scenes": one.scenes + two.scenes,
            "unreadable": {**one.unreadable, **two.unreadable},
        }
    )


def _refuse_other_weights(info: RunInfo, resolver: "Resolver") -> None:
    """Refuse to measure sets of pictures by other weights than the shards were described with."""
    for key, metric in info.metrics.items():
        if metric.per_image or metric.missing is not None:
            continue
        for name, digest in metric.weights.items():
            if resolver.hashes(name) != digest:
                raise UsageError(
                    f"{key}: expected {name} with SHA-256 {digest[:12]}, as in the shards, found "
                    f"{resolver.hashes(name)[:12]}; give --weights with the same file"
                )


def _refuse_other_run(out: Path, info: RunInfo) -> None:
    if not (out / RUN_JSON).exists():
        return
    # Which pictures two sets share is found once all of them are here.
    if open_store(out).info.model_copy(update={"shared": ()}) != info:
        raise UsageError(f"{out} holds another run; choose another --out")


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*.png"):
        to = target / path.relative_to(source)
        if not (to.is_file() and to.read_bytes() == path.read_bytes()):
            write_bytes(to, path.read_bytes())


def _write_records(shards: Sequence[Store], out: Path) -> None:
    write_parts(out / ROWS, _lines(shards, ROWS))
    write_parts(out / TIMING, _lines(shards, TIMING))
    # Each shard counted what its machine saw; as in one run, the first one's stands.
    for store in reversed(shards):
        for name, cost in read_costs(store.folder).items():
            put_cost(out, name, cost)
    failures = [store.folder / FAILURES for store in shards if (store.folder / FAILURES).is_file()]
    joined = {k: v for path in failures for k, v in json.loads(path.read_text("utf-8")).items()}
    if failures:
        write_json(out / FAILURES, dict(sorted(joined.items())))


def _lines(shards: Sequence[Store], name: str) -> Iterator[bytes]:
    for store in shards:
        if (store.folder / name).is_file():
            with (store.folder / name).open("rb") as stream:
                yield from (line for line in stream if line.endswith(b"\n"))


_NONE = Inputs(sources={}, results={})


def _both(one: Inputs, two: Inputs) -> Inputs:
    sources = {t: {**one.sources.get(t, {}), **two.sources.get(t, {})}
               for t in {**one.sources, **two.sources}}  # fmt: skip
    results = {
        name: {
            task: {
                **one.results.get(name, {}).get(task, {}),
                **two.results.get(name, {}).get(task, {}),
            }
            for task in {**one.results.get(name, {}), **two.results.get(name, {})}
        }
        for name in {**one.results, **two.results}
    }
    return Inputs(sources=sources, results=results)
