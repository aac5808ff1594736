"""What was run: the facts that travel with every number, from run.json alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from e2r_bench.report.table import label_build
from e2r_bench.runs import Run


@dataclass(frozen=True)
class Fact:
    """A term and what is said of it, one entry a line."""

    term: str
    lines: tuple[str, ...]


def facts(run: Run) -> tuple[Fact, ...]:
    """Return the short list that opens the report."""
    info = run.info
    named = [
        f"{name}: {label_build(name, m) or m.build}"
        for name, m in info.methods.items()
        if not m.control
    ]
    return (
        Fact("Methods", tuple(named) or ("controls only",)),
        Fact("Protocol", (info.protocol,)),
        Fact("Data", tuple(_data(run))),
        Fact("Seeds and steps", (f"seeds {_list(info.seeds)}; steps {_list(info.steps)}",)),
        Fact("Device", (info.device,)),
        Fact("Code", (f"e2r-bench {info.versions.get('e2r-bench', '?')}, git {info.git or '?'}",)),
    )


def details(run: Run) -> tuple[Fact, ...]:
    """Return the long list: settings, versions, weight hashes, metric definitions."""
    info = run.info
    defaulted = {key: value for key, value in info.settings.items() if key not in info.passed}
    weights = {name: digest for m in info.methods.values() for name, digest in m.weights.items()}
    weights |= {name: digest for m in info.metrics.values() for name, digest in m.weights.items()}
    prompts = {f"{name}: {t.prompt}": None for name, t in info.tasks.items()}
    licences = {f"{name}: {m.title}; {m.licence}": None for name, m in info.methods.items()}
    told = (
        Fact("Settings given", tuple(_pairs(info.passed))),
        Fact("Settings defaulted", tuple(_pairs(defaulted))),
        Fact("Prompts", tuple(prompts)),
        Fact("Licences", tuple(licences)),
        Fact("Versions", tuple(_pairs(info.versions))),
        Fact("Weights (sha256)", tuple(_pairs(weights))),
        Fact("Metrics", tuple(m.protocol for m in info.metrics.values())),
    )
    return tuple(fact for fact in told if fact.lines)


def miniatures(run: Run) -> tuple[str, ...]:
    """Return the builds that are our own small stand-ins."""
    found = {m.build: None for m in run.info.methods.values() if m.miniature}
    return tuple(found)


def _data(run: Run) -> Iterator[str]:
    by_set: dict[str, list[str]] = {}
    for name, task in run.info.tasks.items():
        said = f"{task.data}: n = {len(task.images)}, {len(set(task.scenes))} scenes"
        by_set.setdefault(said, []).append(name)
    for said, tasks in by_set.items():
        yield f"{said} ({', '.join(tasks)})"


def _pairs(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        yield f"{key} = {_list(value) if isinstance(value, list | tuple) else value}"


def _list(values: Any) -> str:
    return ", ".join(str(value) for value in values)
