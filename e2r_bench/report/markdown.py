"""The report as Markdown: verdicts, tables and facts, for an issue or a paper's supplement."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from e2r_bench.report.entries import Entry
from e2r_bench.report.facts import Fact
from e2r_bench.report.failures import Failure
from e2r_bench.report.headline import Card, Headline, Part
from e2r_bench.report.orders import ORDERS
from e2r_bench.report.sections import Section, Verdicts
from e2r_bench.report.standings import Standing
from e2r_bench.report.table import Block, Column, Line
from e2r_bench.report.unmeasured import one_line
from e2r_bench.statistics.stability import Stability

_SHOWN = 40
_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|~])")


def markdown_page(content: Mapping[str, Any]) -> str:
    """Return the page's content as CommonMark with tables; names are escaped."""
    parts = [f"# {escape(content['title'])}", *_miniatures(content["miniatures"])]
    parts += [*_answer(content["headline"]), *map(escape, content["unlike"])]
    if content["verdicts"]:
        parts.append("## Verdicts")
        parts += [part for origin, v in content["verdicts"] for part in _verdicts(origin, v)]
    parts.append("## Metrics")
    parts += [part for block in content["blocks"] for part in _block(block)]
    parts += _orders(content["orders"])
    parts += _failures(content["failures"])
    parts += [part for section in content["sections"] for part in _section(section)]
    parts.append("## What was run")
    for origin, short, long in content["runs"]:
        parts += [f"### {escape(origin)}"] if origin else []
        parts.append("\n".join(line for fact in (*short, *long) for line in _fact(fact)))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _SIGNS.sub(r"\\\1", " ".join(str(text).split()))


def _miniatures(names: Mapping[str, None]) -> Iterator[str]:
    if names:
        yield (
            f"**Miniature.** {escape(' and '.join(names))}: our own small stand-in, trained on "
            "procedural images; such numbers say nothing about the full model."
        )


def _answer(headline: Headline) -> Iterator[str]:
    if not headline.cards:
        return
    yield "## The answer"
    yield (
        "Means over seeds at the longest schedule; differences paired by picture."
        + (
            " Simultaneous 95% intervals over scenes, Holm's p over all "
            f"{headline.tested} pairs that are judged here; ≈: not told apart from the best mean."
            if headline.tested
            else ""
        )
    )
    for card in headline.cards:
        yield f"### {escape(card.task)}"
        yield escape(card.caption)
        yield "\n".join(
            f"- **{escape(one.name)}** against {escape(one.against)}: {escape(one.word.text)}"
            for one in card.said
        )
        yield from (_part(part) for part in card.parts)
        yield from _sentences(card)


def _part(part: Part) -> str:
    better = "↑" if part.higher_is_better else "↓"
    heads = (
        part.role.title,
        f"{part.key} {better}" + (f" ({part.unit})" if part.unit else ""),
        f"minus {part.against}" if part.against else "",
    )
    rows = [
        (one.name, one.value + (" ≈" if one.level else ""), _apart(one)) for one in part.standings
    ]
    return _table(heads, rows)


def _apart(standing: Standing) -> str:
    said = standing.word.text if standing.word is not None else ""
    return ", ".join(part for part in (standing.apart, said) if part)


def _sentences(card: Card) -> Iterator[str]:
    """Yield the verdicts as sentences, with their limits."""
    said = [
        one.word.sentence
        for part in card.parts
        for one in (*part.standings, part.rival)
        if one is not None and one.word is not None
    ]
    if said:
        yield "\n".join(f"- {escape(sentence)}" for sentence in dict.fromkeys(said))


def _verdicts(origin: str, verdicts: Verdicts) -> Iterator[str]:
    if origin:
        yield f"### {escape(origin)}"
    yield _table(verdicts.columns, verdicts.rows)


def _block(block: Block) -> Iterator[str]:
    yield f"### {escape(block.task)}"
    yield escape(block.caption)
    heads = ["method", "build", *(_head(column) for column in block.columns)]
    rows = [[*_names(line), *(_entry(one) for one in line.entries)] for line in block.lines]
    yield _table(heads, rows, escaped=True)
    notes = [
        note
        for c in block.columns
        for note in (c.mixture and f"{c.key}: {c.mixture}", *c.footnotes)
    ]
    notes += (*block.unplanned, *one_line(block.unmeasured))
    yield "\n".join(f"- {escape(note)}" for note in notes if note)


def _names(line: Line) -> list[str]:
    named = " ".join(part for part in (line.origin, line.method, line.drawn) if part)
    notes = f" ({'; '.join(line.notes)})" if line.notes else ""
    return [escape(named + notes), escape("control" if line.control else line.build)]


def _head(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return escape(f"{column.key}{unit}") + (" ↑" if column.higher_is_better else " ↓")


def _entry(entry: Entry) -> str:
    spread = f" ± {entry.spread}" if entry.spread else ""
    notes = f" ({'; '.join(entry.notes)})" if entry.notes and entry.status == "ok" else ""
    return escape(f"{entry.text}{spread}{notes}")


def _orders(orders: Sequence[Stability]) -> Iterator[str]:
    if orders:
        yield escape(ORDERS)
        yield "\n".join(f"- {escape(one.words)}" for one in orders)


def _failures(failures: Sequence[Failure]) -> Iterator[str]:
    if not failures:
        return
    yield "## What failed"
    heads = ("method", "task", "pictures", "reason", "names")
    rows = [
        (
            " ".join(filter(None, (f.origin, f.method))),
            f.task,
            str(len(f.images)),
            f.reason,
            f.named,
        )
        for f in failures[:_SHOWN]
    ]
    yield _table(heads, rows)
    if len(failures) > _SHOWN:
        yield f"And {len(failures) - _SHOWN} more: see report.html."


def _section(section: Section) -> Iterator[str]:
    yield f"## {escape(section.title)}"
    yield section.markdown.strip()
    yield from (f"![](<studies/{section.name}/{plot.name}>)" for plot in section.plots)


def _fact(fact: Fact) -> Iterator[str]:
    yield f"- **{fact.term}:** {escape(fact.lines[0])}"
    yield from (f"  {escape(line)}" for line in fact.lines[1:])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], escaped: bool = False) -> str:
    keep = str if escaped else escape
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(keep(cell) for cell in line)} |" for line in lines)
