"""Scores made of other metrics, as data: `composites.toml`, or a user's own file of that form."""

import hashlib
import json
import math
import tomllib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from functools import cache
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from e2r_metrics.base.errors import UsageError, unknown
from e2r_metrics.base.files import read_text
from e2r_metrics.rows.types import Composite, Metric, Term

SUFFIX = ".toml"
OWN = Path(__file__).with_name("composites.toml")
PUBLISHED = "published"
"""The variant of composites that come with the package; a user's has a digest of its table."""
_WORDS = ("title", "source", "join", "unit", "against")
_KEYS = (*_WORDS, "scale", "margin", "higher_is_better", "part")
_PART = ("metric", "offset", "weight", "low", "high", "shave")
_CHOICES = {"join": ("sum", "product"), "unit": ("", "dB"), "against": ("clean", "degraded")}

Named = Callable[[str], Metric | None]
"""From the name of a part to its metric; None where nobody has it."""


class _Table(NamedTuple):
    """One table of a file, checked for its keys only."""

    where: str
    name: str
    variant: str
    content: Mapping[str, Any]


def composite_names() -> tuple[str, ...]:
    """Return the names of the composites that come with the package."""
    return tuple(_own())


def composite_metric(
    name: str, variant: str, named: Named, taken: Container[str] = ()
) -> Metric | None:
    """Return a composite by its name, or by "FILE.toml" or "FILE.toml:NAME"; None for neither.

    Args:
        name: of ours, or a path that ends in .toml.
        variant: "" or "published" for ours; which table of a file with several.
        named: finds the metrics of its parts.
        taken: names that a user's own may not have.

    Raises:
        UsageError: a file that is none of composites, a table that is not there, or a wrong key.
    """
    if name.endswith(SUFFIX):
        return _metric(_chosen(Path(name), variant, taken), named)
    if name not in composite_names():
        return None
    if variant not in ("", PUBLISHED):
        raise unknown(f"variant of {name}", variant, [PUBLISHED])
    return _metric(_Table(OWN.name, name, PUBLISHED, _own()[name]), named)


@cache
def _own() -> Mapping[str, Mapping[str, Any]]:
    return _tables(OWN)


def _tables(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return the tables of a file by name."""
    try:
        found = tomllib.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: expected a TOML file of composites: {error}") from error
    for name, table in found.items():
        if not isinstance(table, Mapping):
            raise UsageError(
                f"{path}: expected a table per composite, such as [my-score], found {name!r} = "
                f"{table!r}"
            )
    return found


def _chosen(path: Path, name: str, taken: Container[str]) -> _Table:
    tables = _tables(path)
    if not name and len(tables) != 1:
        raise UsageError(
            f"{path}: expected one composite, or {path}:NAME, found {len(tables)}: "
            f"{', '.join(tables)}"
        )
    name = name or next(iter(tables))
    if name not in tables:
        raise unknown(f"composite of {path}", name, tables)
    if "," in name or ":" in name or name in taken or name in composite_names():
        raise UsageError(
            f"{path} [{name}]: expected a name of its own, without comma or colon, found one with, "
            "or a metric's; give it another"
        )
    text = json.dumps(tables[name], sort_keys=True, default=str)
    return _Table(str(path), name, f"own-{_digest(text)}", tables[name])


def _metric(table: _Table, named: Named) -> Metric:
    """Return the row of a composite; each of its keys is checked."""
    where, content = f"{table.where} [{table.name}]", table.content
    words = {key: _word(where, content, key) for key in _WORDS}
    _refuse_others(where, content, _KEYS)
    composite = Composite(
        tuple(_terms(where, content.get("part"), named)),
        "product" if words["join"] == "product" else "sum",
        _number(where, content, "scale", 1.0),
    )
    rows = [term.row for term in composite.terms if term.row is not None]
    both = any(row.scope == "image" for row in rows)
    return Metric(
        table.name, table.variant, words["title"] or table.name, "composites",
        _flag(where, content, "higher_is_better"), _formula(composite),
        words["source"] or table.where, "its parts", "theirs", "image" if both else "single",
        unit=words["unit"], colour="its parts' own", resize="its parts' own",
        weights=tuple(dict.fromkeys(name for row in rows for name in row.weights)),
        symmetric=False, composite=composite,
        against="degraded" if words["against"] == "degraded" else "clean",
        margin=_margin(where, content),
    )  # fmt: skip


def _formula(composite: Composite) -> str:
    """Return the whole score in words, with a digest of what its parts mean."""
    sign = " + " if composite.join == "sum" else " x "
    rows = [term.row.protocol if term.row else term.metric for term in composite.terms]
    scale = "" if composite.scale == 1 else f"{composite.scale:g} x "
    told = sign.join(map(_term_words, composite.terms))
    return f"composite of parts {_digest(''.join(rows))}: {scale}{f'({told})' if scale else told}"


def _term_words(term: Term) -> str:
    name = term.row.id if term.row else term.metric
    shaved = f" without {term.shave} pixels at each border" if term.shave else ""
    size = abs(term.weight)
    weighted = name if size == 1 else f"{size:g} {name}"
    sign = "-" if term.weight < 0 else "+"
    head = f"{term.offset:g} {sign} " if term.offset else sign.strip("+")
    told = f"{head}{weighted}{shaved}"
    ends = [f"{end:g}" for end in (term.low, term.high) if math.isfinite(end)]
    if len(ends) == 2:
        return f"[{told}, within {ends[0]} and {ends[1]}]"
    if ends:
        return f"[{told}, at {'least' if math.isfinite(term.low) else 'most'} {ends[0]}]"
    return f"[{told}]"


def _terms(where: str, parts: object, named: Named) -> Iterator[Term]:
    if not isinstance(parts, list) or not parts or not all(isinstance(p, Mapping) for p in parts):
        raise UsageError(f"{where}: expected its parts as [[{where.split('[')[-1][:-1]}.part]]")
    for count, part in enumerate(parts, 1):
        yield _term(f"{where} part {count}", part, named)


def _term(where: str, part: Mapping[str, Any], named: Named) -> Term:
    _refuse_others(where, part, _PART)
    name = _word(where, part, "metric")
    if not name:
        raise UsageError(f"{where}: expected `metric`, found none")
    shave = part.get("shave", 0)
    if isinstance(shave, bool) or not isinstance(shave, int) or shave < 0:
        raise UsageError(f"{where}: shave: expected a whole number from 0 on, found {shave!r}")
    ends = _number(where, part, "low", -inf), _number(where, part, "high", inf)
    if not ends[0] < ends[1]:
        raise UsageError(f"{where}: expected low below high, found {ends[0]:g} and {ends[1]:g}")
    numbers = _number(where, part, "offset", 0.0), _number(where, part, "weight", 1.0)
    row = named(name)
    return Term(row.id if row else name, row, *numbers, *ends, shave)


def _refuse_others(where: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise unknown(f"key in {where}", key, known)


def _word(where: str, table: Mapping[str, Any], key: str) -> str:
    found = table.get(key, "")
    allowed = _CHOICES.get(key)
    if not isinstance(found, str) or (found and allowed and found not in allowed):
        expected = " or ".join(filter(None, allowed)) if allowed else "a text"
        raise UsageError(f"{where}: {key}: expected {expected}, found {found!r}")
    return " ".join(found.split())


def _number(where: str, table: Mapping[str, Any], key: str, usual: float) -> float:
    found = table.get(key, usual)
    if isinstance(found, bool) or not isinstance(found, int | float) or math.isnan(found):
        raise UsageError(f"{where}: {key}: expected a number, found {found!r}")
    if key in ("scale", "weight") and (found == 0 or math.isinf(found)):
        raise UsageError(f"{where}: {key}: expected a finite number that is not 0, found {found}")
    return float(found)


def _margin(where: str, table: Mapping[str, Any]) -> float | None:
    if "margin" not in table:
        return None
    found = _number(where, table, "margin", 0.0)
    if not 0 < found < inf:
        raise UsageError(f"{where}: margin: expected a number above 0, found {found:g}")
    return found


def _flag(where: str, table: Mapping[str, Any], key: str) -> bool:
    found = table.get(key, True)
    if not isinstance(found, bool):
        raise UsageError(f"{where}: {key}: expected true or false, found {found!r}")
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
