"""What a person sees while a run goes on, and the table at its end."""

import sys
from types import TracebackType

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from e2r_bench.report.contest_text import HEADS, SAYS, tables
from e2r_bench.report.reasons import reasons
from e2r_bench.report.run_tables import footnotes, run_tables
from e2r_bench.report.statements import Contest
from e2r_bench.store.store import Store
from e2r_bench.terminal import print_line, print_note, print_table, spelled, stdout_console


class Console:
    """One live line with overall progress and the time left, on standard error; tables elsewhere.

    Args:
        quiet: without a terminal, say nothing of stages that are over.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=RichConsole(stderr=True, emoji=False, markup=False, highlight=False),
            disable=not sys.stderr.isatty(),
        )
        self._quiet = quiet
        self._stages: dict[str, tuple[int, int]] = {}
        self._line: TaskID | None = None

    def __enter__(self) -> "Console":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print one line above the live one."""
        print_line(self._progress.console, line)

    def watch(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Move the live line; a stage that is announced with 0 done counts for what is left.

        Without a terminal, say when a stage is over.

        Args:
            stage: what is being done; the line shows the last one.
            done, total: of the stage; the line adds up all stages.
            note: shown behind the stage, such as a loss.
        """
        self._stages[stage] = (done, total)
        sums = [sum(counts) for counts in zip(*self._stages.values(), strict=True)]
        said = spelled(f"{stage} {note}".strip(), self._progress.console.encoding)
        if self._line is None:
            self._line = self._progress.add_task(said, total=sums[1])
        self._progress.update(self._line, completed=sums[0], total=sums[1], description=said)
        if 0 < done == total and self._progress.disable and not self._quiet:
            self.say(f"{stage}: {total} of {total}")

    def table(self, store: Store) -> None:
        """Print the summary: a table per task, a row per method and draw, a column per metric."""
        console = stdout_console()
        for made in run_tables(store):
            print_line(console, made.title, style="bold")
            if made.rows:
                print_table(console, made.heads, made.rows)
            for note in made.notes:
                print_note(console, note)
            print_line(console, "")
        for note in footnotes(store):
            print_note(console, note)


def print_contest(console: RichConsole, contest: Contest) -> None:
    """Print what was compared: a table per task and pair, and what keeps parts open."""
    for table in tables(contest):
        print_line(console, table.title, style="bold")
        print_table(console, HEADS, table.rows)
        print_line(console, "")
    for line in (SAYS, *reasons(contest)):
        print_note(console, line)
