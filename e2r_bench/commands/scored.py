"""What `score` prints: a table per folder of results, and how several compare."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from e2r_bench.api.scored_text import gone, summaries

if TYPE_CHECKING:
    from rich.console import Console

    from e2r_bench.report.statements import Contest, Level
    from e2r_bench.studies.entrants import Entrant


def print_scores(
    console: "Console", entrants: "Sequence[Entrant]", contest: "Contest | None"
) -> None:
    """Print a table per folder, what is not measured, protocols, and the comparison below."""
    from e2r_bench.console import print_contest
    from e2r_bench.report.contest_text import order_lines
    from e2r_bench.report.statements import statement
    from e2r_bench.terminal import print_line, print_note, print_table

    for one in entrants:
        if len(entrants) > 1:
            print_line(console, one.name, style="bold")
        rows = [_row(level) for level, _ in summaries(one)]
        rows += [
            (name, "", "not measured", "", "")
            for name in (*one.scores.missing, *one.scores.unmeasured)
        ]
        print_table(console, ("metric", "n", "value", "95% interval", "unit"), rows)
        print_line(console, "")
    if contest is not None:
        print_contest(console, contest)
        # Why a part is not measured stands below its table, once for all.
        for made in (one for one in contest.judged if one.verdict.effect is not None):
            print_line(console, statement(made))
        print_line(console, "")
    said = [line for one in entrants for line in gone(one)]
    said += order_lines(contest) if contest else []
    said += [protocol for one in entrants for _, protocol in summaries(one)]
    for line in dict.fromkeys((*said, *(contest.facts if contest else ()))):
        print_note(console, line)


def _row(level: "Level") -> tuple[str, ...]:
    better = "↑" if level.higher_is_better else "↓"
    interval = "" if level.low is None else f"{level.low:.4f} to {level.high:.4f}"
    return f"{level.metric} {better}", str(level.n), f"{level.value:.4f}", interval, level.unit
