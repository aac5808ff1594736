"""What was run: the facts that travel with every number, from the run folder alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from e2r_bench.report.beside import beside_data
from e2r_bench.report.labels import label_build
from e2r_bench.report.unmeasured import unplanned
from e2r_bench.store.costs import cost_lines
from e2r_bench.store.info import MethodInfo
from e2r_bench.store.store import INPUTS, Store
from e2r_metrics.base.digests import sha256_of


@dataclass(frozen=True)
class Fact:
    """A term and what is said of it, one entry a line."""

    term: str
    lines: tuple[str, ...]


def facts(store: Store) -> tuple[Fact, ...]:
    """Return the short list that opens the report."""
    info = store.info
    named = [_method(name, m) for name, m in info.methods.items() if not m.control]
    return (
        Fact("Methods", tuple(named) or ("controls only",)),
        Fact("Protocol", (info.protocol,)),
        Fact("Data", tuple(_data(store))),
        *(Fact("Not planned", gone) for gone in (tuple(_unplanned(store)),) if gone),
        Fact("Seeds and steps", (f"seeds {_list(info.seeds)}; steps {_list(info.steps)}",)),
        Fact("Device", (info.device,)),
        *(Fact("Costs", tuple(lines)) for lines in (cost_lines(store),) if lines),
        Fact("Code", (f"e2r-bench {info.versions.get('e2r-bench', '?')}, git {info.git or '?'}",)),
    )


def details(store: Store) -> tuple[Fact, ...]:
    """Return the long list: settings, versions, hashes of weights and inputs, definitions."""
    info = store.info
    defaulted = {key: value for key, value in info.settings.items() if key not in info.passed}
    prompts = {f"{name}: {t.prompt}": None for name, t in info.tasks.items()}
    licences = {f"{name}: {m.title}; {m.licence}": None for name, m in info.methods.items()}
    told = (
        Fact("Settings given", tuple(_pairs(info.passed))),
        Fact("Settings defaulted", tuple(_pairs(defaulted))),
        Fact("Prompts", tuple(prompts)),
        Fact("Published numbers, not measured here", tuple(_published(store))),
        Fact("Degradations", tuple(f"{name}: {t.degradation}" for name, t in info.tasks.items())),
        Fact("Licences", tuple(licences)),
        Fact("Versions", tuple(_pairs(info.versions))),
        Fact("Weights and files of methods (sha256)", tuple(_method_files(store))),
        Fact("Weights of metrics (sha256)", tuple(_metric_files(store))),
        Fact("Sources and ready results (sha256)", tuple(_inputs(store))),
        Fact("Metrics", tuple(m.protocol for m in info.metrics.values())),
    )
    return tuple(fact for fact in told if fact.lines)


def miniatures(store: Store) -> tuple[str, ...]:
    """Return the builds that are our own small stand-ins."""
    found = {m.build: None for m in store.info.methods.values() if m.miniature}
    return tuple(found)


def _method(name: str, info: MethodInfo) -> str:
    build = label_build(name, info) or info.build
    version = f", version {info.version}" if info.version else ""
    options = f"; {', '.join(_pairs(info.options))}" if info.options else ""
    note = f"; {info.note}" if info.note else ""
    return f"{name}: {build}{version}{options}{note}"


def _unplanned(store: Store) -> Iterator[str]:
    yield from unplanned({name: one.unserved for name, one in store.info.methods.items()})


def _method_files(store: Store) -> Iterator[str]:
    """Yield the hashes by instance: two of them may call different files by one name."""
    for method, info in store.info.methods.items():
        yield from (f"{method}: {name} = {digest}" for name, digest in info.weights.items())


def _metric_files(store: Store) -> Iterator[str]:
    found = {name: sha for m in store.info.metrics.values() for name, sha in m.weights.items()}
    yield from _pairs(found)


def _inputs(store: Store) -> Iterator[str]:
    """Yield the digest of the list that holds every input's own: thousands would bury the rest."""
    path = store.folder / INPUTS
    if path.is_file():
        yield f"{INPUTS}, the list of each file's hash = {sha256_of(path)}"


def _data(store: Store) -> Iterator[str]:
    by_set: dict[str, list[str]] = {}
    for name, task in store.info.tasks.items():
        said = f"{task.data}: n = {len(task.images)}, {len(set(task.scenes))} scenes"
        by_set.setdefault(said, []).append(name)
    for said, tasks in by_set.items():
        yield f"{said} ({', '.join(tasks)})"


def _published(store: Store) -> Iterator[str]:
    for name, task in store.info.tasks.items():
        yield from beside_data(name, task.data)


def _pairs(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} = {_list(value) if isinstance(value, list | tuple) else value}"


def _list(values: Any) -> str:
    return ", ".join(str(value) for value in values)
