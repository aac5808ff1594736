"""A comparison of arms as text: tables for a terminal, Markdown, LaTeX, CSV and JSON."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from e2r_bench.report.labels import number, spread
from e2r_bench.report.markdown import escape
from e2r_bench.report.orders import ORDERS
from e2r_bench.report.reasons import reasons
from e2r_bench.report.statements import (
    Contest,
    Judged,
    Level,
    interval_words,
    p_words,
    record,
    signed,
    size,
    statement,
)
from e2r_bench.statistics.judge import MIN_SCENES
from e2r_bench.statistics.power import Spread, scenes_needed

HEADS = ("metric", "difference", "95% interval", "verdict", "p (Holm)", "finds", "n (scenes)")
SAYS = (
    "the first minus the second, paired by picture, scenes as the units; intervals and p hold for "
    "all parts together; finds: what one part of this n finds four times in five"
)
MARKS = (
    "marks: all pairs of methods judged together; a difference that no test shows is not equality"
)


@dataclass(frozen=True)
class Table:
    """The metrics of one pair on one task.

    Attributes:
        title: task and arms.
        rows: under `HEADS`.
    """

    title: str
    rows: tuple[tuple[str, ...], ...]


def tables(contest: Contest) -> Iterator[Table]:
    """Yield a table per task and pair, in their order."""
    groups: dict[tuple[str, str, str], list[Judged]] = {}
    for one in contest.judged:
        groups.setdefault((one.task, one.first, one.second), []).append(one)
    for (task, first, second), found in groups.items():
        title = f"{task}: {first} against {second}".removeprefix(": ")
        yield Table(title, tuple(_row(one) for one in found))


def _row(one: Judged) -> tuple[str, ...]:
    found = one.verdict
    arrow = "↑" if one.higher_is_better else "↓"
    n = f"{found.n} ({found.scenes})" if found.n is not None else ""
    return (
        f"{one.metric} {arrow}",
        f"{signed(found.effect, one)} {one.unit}".strip() if found.effect is not None else "",
        interval_words(one),
        found.label,
        p_words(found.holm).removeprefix("p = ") if found.holm is not None else "",
        size(found.detectable, one) if found.detectable else "",
        n,
    )


def order_lines(contest: Contest) -> Iterator[str]:
    """Yield how stable the orders of the arms are."""
    if contest.orders:
        yield ORDERS
    yield from (one.words for one in contest.orders)


def power_lines(contest: Contest) -> Iterator[str]:
    """Yield, for each part, what it could have found and how many scenes one margin takes."""
    for one in contest.judged:
        found = one.verdict
        told = [f"{one.where}, {one.first} against {one.second}"]
        if found.detectable and found.scenes:
            told.append(
                f"{found.scenes} scenes find {size(found.detectable, one)} four times in five, one "
                "part by itself"
            )
        if one.spread and found.margin:
            parts = one.parts or len(contest.judged)  # of too few scenes none was read
            spread_of = Spread(one.spread)
            needed = scenes_needed(found.margin, spread_of, parts=parts, least=MIN_SCENES)
            told.append(
                f"{needed.words}, read with {parts} part{'s' if parts > 1 else ''}, where scenes "
                f"differ as these {found.scenes} do"
            )
        elif found.effect is not None and found.margin is None:
            told.append("no margin is known of it")
        elif len(told) == 1:
            told.append("no spread between scenes is known of it")
        yield ": ".join((told[0], "; ".join(told[1:])))


@dataclass(frozen=True)
class Mark:
    """What a table says of a number beside it, among the arms of its column.

    Attributes:
        best, second: by their means.
        level: not distinguishable from the best.
    """

    best: bool = False
    second: bool = False
    level: bool = False


def marks(contest: Contest) -> dict[tuple[str, str, str], Mark]:
    """Return marks by task, metric and arm; none where nothing could be judged."""
    columns: dict[tuple[str, str], list[Level]] = {}
    for level in contest.levels:
        columns.setdefault((level.task, level.metric), []).append(level)
    pairs = {(one.task, one.metric, frozenset((one.first, one.second))): one
             for one in contest.every if one.verdict.judged}  # fmt: skip
    found: dict[tuple[str, str, str], Mark] = {}
    for (task, metric), levels in columns.items():
        sign = -1 if levels[0].higher_is_better else 1
        ranked = sorted(levels, key=lambda one, sign=sign: sign * one.value)
        for place, one in enumerate(ranked):
            pair = pairs.get((task, metric, frozenset((one.arm, ranked[0].arm))))
            known = pair is not None or (place == 0 and any(k[:2] == (task, metric) for k in pairs))
            if known:
                same = pair is not None and pair.verdict.direction == 0
                found[task, metric, one.arm] = Mark(place == 0, place == 1, same)
    return found


def markdown(contest: Contest) -> str:
    """Return the comparison as CommonMark with tables: numbers, differences, words, facts."""
    parts = [*_markdown_levels(contest)]
    for table in tables(contest):
        parts += [f"**{escape(table.title)}**", _markdown_table(HEADS, table.rows)]
    parts.append(escape(SAYS))
    parts.append("\n".join(f"- {escape(statement(one))}" for one in contest.judged))
    told = (*reasons(contest), *order_lines(contest), *contest.facts)
    parts += ["\n".join(f"- {escape(line)}" for line in told)]
    return "\n\n".join(parts) + "\n"


def _markdown_levels(contest: Contest) -> Iterator[str]:
    shown, arms = marks(contest), list(dict.fromkeys(level.arm for level in contest.levels))
    columns = list(dict.fromkeys((one.task, one.metric) for one in contest.levels))
    known = {(one.task, one.metric, one.arm): one for one in contest.levels}
    heads = ["method", *(f"{task} {metric}".strip() for task, metric in columns)]
    rows: list[list[str]] = []
    for arm in arms:
        cells = [(known.get((*c, arm)), shown.get((*c, arm), Mark())) for c in columns]
        rows.append([escape(arm), *(_markdown_cell(*cell) for cell in cells)])
    yield _markdown_table([escape(head) for head in heads], rows, escaped=True)
    if shown:
        yield f"**best**, *second*, ≈ not distinguishable from the best; {MARKS}"


def _markdown_cell(level: Level | None, mark: Mark) -> str:
    if level is None:
        return ""
    text = escape(level_words(level))
    text = f"**{text}**" if mark.best else f"*{text}*" if mark.second else text
    return f"{text} ≈" if mark.level else text


def level_words(level: Level) -> str:
    """Return a number as printed, with half of its interval where it has one."""
    text = number(level.value, level.unit)
    if level.low is None or level.high is None:
        return text
    return f"{text} ± {spread((level.high - level.low) / 2, level.value, level.unit)}"


def _markdown_table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], escaped: bool = False
) -> str:
    keep = str if escaped else escape
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(keep(cell) for cell in line)} |" for line in lines)


def csv_text(contest: Contest) -> str:
    """Return a line per paired statement."""
    rows = [_flat(record(one)) for one in contest.judged]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["alone"] or (None, None)
    kept = {k: v for k, v in row.items() if k not in ("alone", "notes")}
    return {**kept, "alone_low": low, "alone_high": high, "notes": "; ".join(row["notes"])}


def json_text(contest: Contest) -> str:
    """Return statements, numbers and facts."""
    return json.dumps(json_content(contest), indent=1, allow_nan=False) + "\n"


def json_content(contest: Contest) -> dict[str, Any]:
    """Return the same before it is text."""
    content = {
        "compared": [record(one) for one in contest.judged],
        "levels": [asdict(one) for one in contest.levels],
        "orders": [asdict(one) for one in contest.orders],
        "unplanned": list(contest.unplanned),
        "facts": list(contest.facts),
    }
    return {key: _finite(rows) for key, rows in content.items()}


def _finite(value: Any) -> Any:
    """Return what JSON can hold: identical pictures have infinite PSNR."""
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    odd = isinstance(value, float) and value - value != 0
    return str(value) if odd else value
