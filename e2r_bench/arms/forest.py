"""Claims as a forest: each statement with its verdict, and every part of it on one axis below."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from e2r_bench.arms.claims import Claim
from e2r_bench.arms.parts import Part
from e2r_bench.arms.verdicts import Judged
from e2r_bench.report.drawing import new_figure, series_colours
from e2r_bench.statistics.judge import MIN_SCENES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW, _LETTERS, _LINEAR = 0.16, 112, 2
_CAPTION = (
    "difference in margins, to the right in favour of the first arm; linear up to "
    f"{_LINEAR}, logarithmic beyond. Bars: 95%, simultaneous over a claim's parts, none below "
    f"{MIN_SCENES} scenes. Grey: within the margin. Full: shown; hollow: not resolved"
)


@dataclass(frozen=True)
class Mark:
    """One part, in units of its own margin; to the right the first arm is better.

    Attributes:
        label: metric and arms.
        task: which has a colour.
        at: the estimate.
        ends: of the simultaneous interval, ascending; None below `MIN_SCENES`.
        shown: whether direction or size is shown.
    """

    label: str
    task: str
    at: float
    ends: tuple[float, float] | None
    shown: bool


def forest(claims: Sequence[Claim], judged: Sequence[Judged]) -> "Figure":
    """Return all claims below each other, with their statements; tasks keep one colour.

    Args:
        claims: of a file.
        judged: their verdicts, in the same order.
    """
    blocks = [(list(_head(c, one)), marks_of(one)) for c, one in zip(claims, judged, strict=True)]
    tasks = list(dict.fromkeys(mark.task for _, marks in blocks for mark in marks))
    rows = sum(len(head) + len(marks) + 1 for head, marks in blocks)
    figure = new_figure(8.5, _ROW * rows + 1.3)
    axes = figure.subplots()
    colours, at = series_colours(tasks), 0
    names: dict[int, str] = {}
    for head, marks in blocks:
        _write(axes, head, at)
        at += len(head)
        for mark in marks:
            _draw(axes, mark, at, colours)
            names[at] = f"{mark.task}  {mark.label}"
            at += 1
        at += 1
    _scale(axes, at, names)
    _explain(figure, axes, colours)
    return figure


def marks_of(judged: Judged) -> list[Mark]:
    """Return the parts that have a number and a margin to state it in."""
    return [mark for part in judged.parts if (mark := _mark(part)) is not None]


def _mark(part: Part) -> Mark | None:
    verdict, asked = part.verdict, part.asked
    if part.comparison is None or verdict.effect is None or not verdict.margin:
        return None
    if not math.isfinite(verdict.effect):
        return None
    unit = verdict.margin if part.comparison.evidence.higher_is_better else -verdict.margin
    ends = None
    if verdict.low is not None and verdict.high is not None:
        low, high = sorted((verdict.low / unit, verdict.high / unit))
        ends = low, high
    label = f"{asked.metric}: {asked.first} - {asked.second}"
    shown = verdict.label != "not resolved"
    return Mark(label, asked.task, verdict.effect / unit, ends, shown and verdict.judged)


def _head(claim: Claim, one: Judged) -> Iterator[tuple[str, bool]]:
    """Yield the lines above a claim's parts; True for those of its statement."""
    for line in textwrap.wrap(f"{claim.id}  {claim.statement}", _LETTERS):
        yield line, True
    for line in textwrap.wrap(one.line, _LETTERS + 12):
        yield line, False
    missing = len(one.parts) - len(marks_of(one))
    if missing:
        yield f"{missing} of {len(one.parts)} parts without a number or a margin", False


def _write(axes: "Axes", head: Sequence[tuple[str, bool]], at: int) -> None:
    for place, (line, bold) in enumerate(head, at):
        axes.text(
            0.0, place, line, transform=axes.get_yaxis_transform(), fontsize=6.5 if bold else 6,
            weight="bold" if bold else "normal", color="#111" if bold else "#555",
            va="center", parse_math=False, zorder=3, bbox={"fc": "white", "ec": "none", "pad": 0.6},
        )  # fmt: skip


def _draw(axes: "Axes", mark: Mark, at: int, colours: Mapping[str, str]) -> None:
    colour = colours[mark.task]
    if mark.ends is not None:
        axes.plot(mark.ends, [at, at], color=colour, lw=1.8, alpha=0.6, solid_capstyle="butt")
    face = colour if mark.shown else "white"
    axes.plot([mark.at], [at], "o", ms=3.4, color=colour, mfc=face)


def _scale(axes: "Axes", rows: int, names: Mapping[int, str]) -> None:
    axes.axvspan(-1, 1, color="#888", alpha=0.12, lw=0)
    axes.axvline(0, color="#555", lw=0.8)
    axes.set_xscale("symlog", linthresh=_LINEAR)
    reach = max(2.0, *(abs(end) for end in axes.get_xlim()))
    axes.set_xlim(-reach, reach)
    steps = [k * 10**power for power in range(9) for k in (1, 2, 5) if k * 10**power <= reach]
    ticks = [0, *steps, *(-step for step in steps)]
    axes.set_xticks(sorted(ticks), [f"{tick:g}" for tick in sorted(ticks)], fontsize=6)
    axes.set_xticks([], minor=True)
    axes.tick_params(axis="x", top=True, labeltop=True)
    axes.spines[["left", "right"]].set_visible(False)
    axes.set_yticks(list(names), list(names.values()), fontsize=5.5, parse_math=False)
    axes.set_ylim(rows - 0.5, -1)


def _explain(figure: "Figure", axes: "Axes", colours: Mapping[str, str]) -> None:
    for task, colour in colours.items():
        axes.plot([], [], "o", color=colour, ms=3.4, label=task)
    if colours:
        figure.legend(loc="outside upper center", ncols=6, fontsize=6)
    axes.set_xlabel("\n".join(textwrap.wrap(_CAPTION, 125)), fontsize=5.5, color="#555")
