"""A run's table for papers and programs: every number with its interval, n and protocol."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from e2r_bench.report.entries import Entry
from e2r_bench.report.labels import number
from e2r_bench.report.latex import escaped
from e2r_bench.report.markdown import escape
from e2r_bench.report.table import Block, Column, Line, blocks
from e2r_bench.report.unmeasured import one_line
from e2r_bench.store.store import Store

_SAYS = "[low, high]: 95% intervals with scenes as the units; a mean over seeds is one number"
_MINIATURE = "our own small stand-in, trained on procedural images; not the model"


@dataclass(frozen=True)
class Value:
    """One number of a run's table, alone.

    Attributes:
        task, data, method, build, drawn: what was restored, by what.
        miniature, control: what its method is.
        metric: metric id.
        unit, higher_is_better, protocol: how it is read.
        value, low, high: None where there is none; of infinity, which JSON lacks, there is none.
        n: pictures behind it.
        status: "ok", "failed" or "not measured".
        notes: what a reader must know before comparing it.
    """

    task: str
    data: str
    method: str
    build: str
    drawn: str
    miniature: bool
    control: bool
    metric: str
    unit: str
    higher_is_better: bool
    value: float | None
    low: float | None
    high: float | None
    n: int
    status: str
    notes: str
    protocol: str


def values(store: Store) -> Iterator[Value]:
    """Yield every number of the table in the report's order."""
    for block in blocks({"": store}):
        for line in block.lines:
            for column, entry in zip(block.columns, line.entries, strict=True):
                yield _value(store, block, line, column, entry)


def _value(store: Store, block: Block, line: Line, column: Column, entry: Entry) -> Value:
    notes = [*line.notes, *entry.notes]
    infinite = entry.status == "ok" and entry.value is None
    return Value(
        task=block.task,
        data=store.info.tasks[block.task].data,
        method=line.method,
        build=store.info.methods[line.method].build,
        drawn=line.drawn,
        miniature=line.miniature,
        control=line.control,
        metric=column.key,
        unit=column.unit,
        higher_is_better=column.higher_is_better,
        value=entry.value,
        low=entry.low,
        high=entry.high,
        n=entry.n,
        status=entry.status,
        notes="; ".join([entry.text, *notes] if infinite else notes),
        protocol=f"{store.info.protocol} {column.protocol}",
    )


def csv_text(store: Store) -> str:
    """Return a line per number, with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Value.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(one) for one in values(store))
    return text.getvalue()


def records(store: Store) -> list[dict[str, Any]]:
    """Return an object per number, for JSON."""
    return [dict(vars(one)) for one in values(store)]


def markdown(store: Store) -> str:
    """Return a table per task; a cell is value, interval and n."""
    return "\n\n".join(part for block in blocks({"": store}) for part in _block(block)) + "\n"


def _block(block: Block) -> Iterator[str]:
    yield f"**{escape(block.task)}**: {escape(block.caption)}; {_SAYS}"
    heads = ["method", *(escape(_head(one)) for one in block.columns)]
    rows = [[escape(one) for one in (_name(line), *_cells(block, line))] for line in block.lines]
    table = [heads, ["---", *["---:"] * len(block.columns)], *rows]
    yield "\n".join(f"| {' | '.join(row)} |" for row in table)
    notes = _notes(block)
    if notes:
        yield "\n".join(f"- {escape(note)}" for note in notes)


def latex(store: Store) -> str:
    """Return a booktabs `tabular` per task, with what its numbers stand on in comments."""
    parts = [_tabular(store, block) for block in blocks({"": store})]
    return "\n".join(parts)


def _tabular(store: Store, block: Block) -> str:
    versions = ", ".join(f"{name} {one}" for name, one in store.info.versions.items())
    said = [
        r"needs \usepackage{booktabs}", f"{block.task}: {block.caption}", _SAYS, *_notes(block),
        *(column.protocol for column in block.columns), f"device {store.info.device}; {versions}",
    ]  # fmt: skip
    heads = ["Method", *(_latex_head(column) for column in block.columns)]
    rows = [
        [escaped(_name(line)), *(_latex_cell(one) for one in _cells(block, line))]
        for line in block.lines
    ]
    lines = [
        # A line break in a name would end the comment.
        *(f"% {' '.join(line.split())}" for line in said),
        rf"\begin{{tabular}}{{l{'r' * len(block.columns)}}}",
        r"\toprule",
        f"{' & '.join(heads)} \\\\",
        r"\midrule",
        *(f"{' & '.join(row)} \\\\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _notes(block: Block) -> Sequence[str]:
    mixed = [f"{one.key}: {one.mixture}" for one in block.columns if one.mixture]
    small = [f"{one.method}: {_MINIATURE}" for one in block.lines if one.miniature]
    return [*mixed, *block.unplanned, *one_line(block.unmeasured), *small]


def _name(line: Line) -> str:
    build = f" ({line.build})" if line.build else ""
    drawn = f" {line.drawn}" if line.drawn else ""
    return f"{line.method}{build}{drawn}"


def _head(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"{column.key}{unit} {'↑' if column.higher_is_better else '↓'}"


def _latex_head(column: Column) -> str:
    arrow = r"$\uparrow$" if column.higher_is_better else r"$\downarrow$"
    unit = f" ({column.unit})" if column.unit else ""
    return f"{escaped(f'{column.key}{unit}')} {arrow}"


def _cells(block: Block, line: Line) -> Iterator[str]:
    for column, entry in zip(block.columns, line.entries, strict=True):
        yield _cell(entry, column.unit)


def _cell(entry: Entry, unit: str) -> str:
    if entry.status != "ok":
        return entry.text
    ranged = entry.low is not None and entry.high is not None
    ends = [number(one, unit) for one in (entry.low, entry.high) if one is not None]
    interval = f" [{', '.join(ends)}]" if ranged else ""
    return f"{entry.text}{interval} (n={entry.n})"


_LATEX: Mapping[str, str] = {"−": "$-$", "∞": r"$\infty$"}


def _latex_cell(text: str) -> str:
    # Braces keep an interval that follows \\ from being read as its argument.
    made = "{" + escaped(text) + "}"
    for sign, spelled in _LATEX.items():
        made = made.replace(sign, spelled)
    return made
