"""`e2r-bench status`: what of a run is done, failed and left, and when it will be over."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import EXISTING_FOLDER

if TYPE_CHECKING:
    from e2r_bench.run.status import Part, Status

_HEADS = ("method on task", "done", "failed", "left", "time left")


@click.command("status", short_help="What of a run is done, failed and left.")
@click.argument("run", type=EXISTING_FOLDER)
@options.as_json
def command(run: Path, as_json: bool) -> None:
    """Say what of RUN is done, failed and left, and how long it will take at its own pace.

    A run that goes on, one that was interrupted, or a shard; nothing is written.
    """
    from dataclasses import asdict

    from e2r_bench.run.status import status_of
    from e2r_bench.store.store import open_store
    from e2r_bench.terminal import print_line, print_table, stdout_console

    status = status_of(open_store(run))
    if as_json:
        more = {"finished": status.finished, "seconds_left": status.seconds_left}
        options.print_json(asdict(status) | more)
        return
    console = stdout_console()
    print_table(console, _HEADS, [_row(part) for part in status.parts])
    for line in _said(status):
        print_line(console, line)


def _row(part: "Part") -> tuple[str, ...]:
    counts = (str(one) for one in (part.done, part.failed, part.left))
    return f"{part.method} on {part.task}", *counts, _time(part.seconds_left)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "not known yet"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _said(status: "Status") -> Iterator[str]:
    yield from status.unplanned
    if status.shard:
        yield f"shard {status.shard}"
    pictures = sum(part.left for part in status.parts)
    if status.finished:
        yield "finished"
    else:
        ahead = f", {_time(status.seconds_left)} of one worker" if pictures else ""
        yield f"{pictures} pictures left{ahead}; {status.rows_left} numbers of pictures left"
    if status.writer:
        yield f"running: {status.writer}"
    elif not status.finished:
        yield "nobody is writing; the command of the run goes on with it"
    failed = sum(part.failed for part in status.parts)
    if failed:
        yield f"{failed} pictures failed; the report names them"
