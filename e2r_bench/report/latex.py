"""A comparison as a LaTeX table (booktabs): best, second, and what no test tells from the best."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from e2r_bench.report.contest_text import MARKS, Mark, marks
from e2r_bench.report.labels import number
from e2r_bench.report.statements import Contest, Level, statement

_SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_Column = tuple[str, str, str, bool]


def latex(contest: Contest) -> str:
    """Return a `tabular` for `booktabs`; what its numbers stand on is in comments above it."""
    columns = list(
        dict.fromkeys((one.task, one.metric, one.unit, one.higher_is_better)
                      for one in contest.levels)
    )  # fmt: skip
    lines = [
        *_comments(contest),
        rf"\begin{{tabular}}{{l{'r' * len(columns)}}}",
        r"\toprule",
        *_heads(columns),
        r"\midrule",
        *_rows(contest, columns),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return text that LaTeX prints as it is, on one line."""
    return "".join(_SIGNS.get(sign, sign) for sign in " ".join(text.split()))


def _comments(contest: Contest) -> Iterator[str]:
    said = [
        r"needs \usepackage{booktabs}; bold: best; underlined: second; dagger: not distinguishable "
        "from the best",
        MARKS,
        *contest.facts,
        *contest.unplanned,
        *(statement(one) for one in contest.judged),
    ]
    # A line break in a name would end the comment.
    yield from (f"% {' '.join(line.split())}" for line in said)


def _heads(columns: Sequence[_Column]) -> Iterator[str]:
    tasks = [(task, len(list(group))) for task, group in groupby(columns, key=lambda one: one[0])]
    if any(task for task, _ in tasks):
        spans = (rf"\multicolumn{{{count}}}{{c}}{{{escaped(task)}}}" for task, count in tasks)
        yield f" & {' & '.join(spans)} \\\\"
        start = 2
        rules: list[str] = []
        for _, count in tasks:
            rules.append(rf"\cmidrule(lr){{{start}-{start + count - 1}}}")
            start += count
        yield " ".join(rules)
    yield f"Method & {' & '.join(_head(one) for one in columns)} \\\\"


def _head(column: _Column) -> str:
    _, metric, unit, higher = column
    named = f"{metric} ({unit})" if unit else metric
    arrow = r"$\uparrow$" if higher else r"$\downarrow$"
    return f"{escaped(named)} {arrow}"


def _rows(contest: Contest, columns: Sequence[_Column]) -> Iterator[str]:
    shown = marks(contest)
    known = {(one.task, one.metric, one.arm): one for one in contest.levels}
    for arm in dict.fromkeys(one.arm for one in contest.levels):
        keys = [(task, metric, arm) for task, metric, _, _ in columns]
        cells = [_cell(known.get(key), shown.get(key, Mark())) for key in keys]
        yield f"{escaped(arm)} & {' & '.join(cells)} \\\\"


def _cell(level: Level | None, mark: Mark) -> str:
    if level is None:
        return "--"
    text = number(level.value, level.unit).replace("−", "$-$").replace("∞", r"$\infty$")
    text = rf"\textbf{{{text}}}" if mark.best else text
    text = rf"\underline{{{text}}}" if mark.second else text
    return rf"{text}$^\dagger$" if mark.level else text
