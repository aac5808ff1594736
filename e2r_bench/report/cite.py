"""What a paper with a run's numbers has to cite: methods, metrics and sets, as BibTeX."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2r_bench.maps.shares import SHARES
from e2r_bench.store.info import RunInfo

_MINI = "mini"
_NO_PAPER = frozenset({"psnr", "l1"})
"""Metrics that nobody is cited for."""


@dataclass(frozen=True)
class Work:
    """One entry of `citations.toml`, whose head says what its parts mean."""

    key: str
    type: str
    source: str
    fields: Mapping[str, str]
    methods: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cited:
    """What a run has to cite.

    Attributes:
        works: each once, in the order of methods, metrics and sets.
        unknown: what it used and no entry is about, such as a folder of somebody's results.
    """

    works: tuple[Work, ...]
    unknown: tuple[str, ...]


def works() -> tuple[Work, ...]:
    """Return all entries, in the file's order."""
    text = Path(__file__).with_name("citations.toml").read_text(encoding="utf-8")
    return tuple(_work(key, table) for key, table in tomllib.loads(text).items())


def _work(key: str, table: Mapping[str, Any]) -> Work:
    own = {"type", "source", "methods", "metrics", "sets"}
    fields = {name: str(value) for name, value in table.items() if name not in own}
    lists = {name: tuple(table.get(name, ())) for name in ("methods", "metrics", "sets")}
    return Work(key, table["type"], table["source"], fields, **lists)


def cited(info: RunInfo) -> Cited:
    """Return the works that a run stands on; controls and what is ours need none."""
    known = works()
    found: dict[str, Work] = {}
    unknown: list[str] = []
    for what, names in _used(info).items():
        for name in names:
            mine = [one for one in known if _is_about(one, what, name)]
            found |= {one.key: one for one in mine}
            if not mine:
                unknown.append(f"{what} {name}")
    return Cited(tuple(found.values()), tuple(unknown))


def _used(info: RunInfo) -> Mapping[str, Iterable[str]]:
    methods = [one.method for one in info.methods.values() if not one.control]
    metrics = [
        key
        for key, one in info.metrics.items()
        if one.missing is None and key not in SHARES and one.name not in _NO_PAPER
    ]
    sets = [_MINI if one.data.startswith(f"{_MINI} (") else one.data for one in info.tasks.values()]
    return {
        "method": dict.fromkeys(methods),
        "metric": metrics,
        "set": dict.fromkeys(sets),
    }


def _is_about(work: Work, what: str, name: str) -> bool:
    if what == "method":
        return name in work.methods
    if what == "metric":
        return name in work.metrics or name.partition(":")[0] in work.metrics
    # A folder has the set's name in any case, and names its part behind a slash.
    return name.partition("/")[0].casefold() in {one.casefold() for one in work.sets}


def bibtex(found: Cited, version: str) -> str:
    """Return entries for a .bib file; what has none is named in comments.

    Args:
        found: what is cited.
        version: of e2r-bench, as run.json has it.
    """
    own = Work("e2rbench", "software", "CITATION.cff", {
        "author": "{The e2r-bench authors}", "title": "{e2r-bench}",
        "version": version, "note": "Apache-2.0",
    })  # fmt: skip
    parts = [_entry(one) for one in (own, *found.works)]
    lines = [f"% no entry here for {' '.join(name.split())}: cite whom it comes from"
             for name in found.unknown]  # fmt: skip
    return "\n\n".join([*parts, *(["\n".join(lines)] if lines else [])]) + "\n"


def _entry(work: Work) -> str:
    return "\n".join([f"@{work.type}{{{work.key},", *_lines(work), "}"])


def _lines(work: Work) -> Iterator[str]:
    yield from (f"  {name} = {{{value}}}," for name, value in work.fields.items())
    kind, _, number = work.source.partition(":")
    if kind == "doi" and "doi" not in work.fields:
        yield f"  doi = {{{number}}},"
    elif kind == "arXiv":
        yield f"  eprint = {{{number}}},"
        yield "  archiveprefix = {arXiv},"
