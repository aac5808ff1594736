"""Tables for a terminal or a pipe: no name and no number is ever cut, at any width or encoding."""

import os
import sys
import textwrap
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from e2r_metrics.base.files import refuse_foreign, write_bytes

PIPED_WIDTH = 160
"""Columns of a table that goes into a file: nobody's window is known there."""
_NARROW = 28
"""A first column is folded to this, or to a third of the window, before a table is divided."""
_GAP = 2
_COMMAND = "e2r-bench "
_HEAD = 5
"""Bytes by which a table of ours is known."""
_SPOKEN = {"±": "+/-", "↑": "(+)", "↓": "(-)", "−": "-", "∞": "inf", "·": "-", "×": "x"}


def stdout_console() -> Console:
    """Return a console on standard output that prints text as it is: no markup, no emoji."""
    known = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if known else PIPED_WIDTH, emoji=False, markup=False, highlight=False)


@contextmanager
def console_to(out: Path | None) -> Generator[Console]:
    """Give the console of standard output; or one whose text goes to a file of ours, at the end.

    Raises:
        UsageError: another file has that name.
    """
    if out is None:
        yield stdout_console()
        return
    text = StringIO()
    yield Console(file=text, width=PIPED_WIDTH, emoji=False, markup=False, highlight=False)
    # A file name may hold bytes that are no text; they are written escaped.
    data = text.getvalue().encode(errors="backslashreplace")
    refuse_foreign(out, lambda head: head[:_HEAD] == data[:_HEAD])
    write_bytes(out, data)


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print one line whole; a terminal wraps it by itself, and what is copied has no break."""
    console.print(spelled(text, console.encoding), style=style, soft_wrap=True)


def print_note(console: Console, text: str) -> None:
    """Print what is read and not copied, such as a protocol: in a window, broken between words.

    A line with a command of ours is left whole, as are all in a pipe or a file.
    """
    if console.width == PIPED_WIDTH or _COMMAND in text:
        print_line(console, text)
        return
    folded = textwrap.wrap(
        spelled(text, console.encoding), max(console.width, _NARROW), subsequent_indent=" " * _GAP,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    for line in folded or [""]:
        print_line(console, line)


def print_entry(console: Console, name: str, details: Mapping[str, str]) -> None:
    """Print a name with a line for each detail below it; a detail that is empty is left out."""
    print_line(console, name, style="bold")
    width = max(map(len, details))
    for term, said in details.items():
        if said:
            print_line(console, f"    {term:<{width}}  {said}")


def print_table(console: Console, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under heads; what does not fit beside each other goes into tables of its own.

    Args:
        console: its width and encoding are kept.
        heads: at least two.
        rows: the first cell of each names it and is repeated in every table; words of it may go
            onto new lines. The others stand on one line each.
    """
    lines = [[spelled(cell, console.encoding) for cell in row] for row in (heads, *rows)]
    widths = [max(cell_len(line[at]) for line in lines) for at in range(len(heads))]
    left = list(range(1, len(heads)))
    while left:
        count = _count(widths, left, console.width)
        # What is wider than the window all the same is wrapped by it rather than cut by us.
        console.print(_table(lines, widths, left[:count], console.width), crop=False)
        left = left[count:]


def _count(widths: Sequence[int], left: Sequence[int], width: int) -> int:
    """Return how many columns fit beside the first one, at least one."""
    least = min(widths[0], max(_NARROW, width // 3))
    count = len(left)
    while count > 1 and least + _taken(widths, left[:count]) > width:
        count -= 1
    return count


def _taken(widths: Sequence[int], columns: Sequence[int]) -> int:
    return sum(widths[at] + _GAP for at in columns)


def _table(
    lines: Sequence[Sequence[str]], widths: Sequence[int], columns: Sequence[int], width: int
) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    room = max(width - _taken(widths, columns), 1)
    table.add_column(lines[0][0], max_width=room, overflow="fold")
    for at in columns:
        table.add_column(lines[0][at], justify="right", no_wrap=True, min_width=widths[at])
    for line in lines[1:]:
        table.add_row(line[0], *(line[at] for at in columns))
    return table


def spelled(text: str, encoding: str) -> str:
    """Return text as a terminal of an encoding can show it; signs it lacks are spelled out.

    A character that is no sign of ours, or that would steer the terminal, shows its code.
    """
    return "".join(_spelled(sign, encoding) for sign in text)


def _spelled(sign: str, encoding: str) -> str:
    if not sign.isprintable():
        return sign.encode("unicode_escape").decode("ascii")
    try:
        sign.encode(encoding)
    except UnicodeEncodeError:
        return _SPOKEN.get(sign) or sign.encode("unicode_escape").decode("ascii")
    return sign
