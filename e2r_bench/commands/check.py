"""`e2r-bench check`: a gate for one's own model, against a baseline, with an exit code."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE, NAMES, NUMBERS_OF, OUTPUT, flat

if TYPE_CHECKING:
    from e2r_bench.api.check import Gate

_SUMMARY = "GITHUB_STEP_SUMMARY"


@click.command("check", short_help="A gate: is a run no worse than a baseline?")
@click.argument("run", type=FILE)
@click.option("--against", "baseline", type=FILE, required=True, help="The baseline, likewise.")
@click.option("--clean", type=FILE, help="Clean pictures: both are folders of results then.")
@click.option("--tolerance", "tolerances", multiple=True, type=NUMBERS_OF, required=True,
              help="METRIC=NUMBER in the metric's unit, e.g. psnr=0.05,lpips=0.002.")  # fmt: skip
@click.option("--tasks", type=NAMES, help="Only these tasks of a run.")
@click.option("--junit", "junit_file", type=OUTPUT, help="Write the outcome as JUnit XML.")
@click.option("--summary", type=OUTPUT,
              help=f"Append the outcome as Markdown.  [${_SUMMARY}, where it is set]")  # fmt: skip
@options.as_json
@click.option("--profile", default="default", show_default=True, help="default or paper.")
@options.variant
@options.reading
@options.parts
@options.weights
@click.option("--device", default="cpu", show_default=True, help="A torch device, or auto.")
@options.offline
def command(
    run: Path,
    baseline: Path,
    junit_file: Path | None,
    summary: Path | None,
    as_json: bool,
    **asked: Any,
) -> int:
    """Compare RUN with a baseline, paired by picture, and say whether it is worse than allowed.

    Methods of one name are compared. Exit code 1 when a metric is worse by more than its tolerance,
    is shown to be worse without being shown to stay within it, or has no number.
    """
    from e2r_bench.report.gate import junit, step_summary
    from e2r_metrics.base.files import appending, refuse_foreign, write_text

    gate = _gate(run, baseline, asked)
    title = f"{run} against {baseline}"
    if as_json:
        options.print_json(gate.records())
    else:
        _print(gate, title)
    if junit_file is not None:
        refuse_foreign(junit_file, lambda head: head.startswith(b"<?xml") and b"testsuite" in head)
        write_text(junit_file, junit(gate.checks, title))
    target = summary or (Path(os.environ[_SUMMARY]) if os.environ.get(_SUMMARY) else None)
    if target is not None:
        with appending(target) as stream:
            stream.write(step_summary(gate.checks, title))
    return 0 if gate.passed else 1


def _gate(run: Path, baseline: Path, asked: Mapping[str, Any]) -> "Gate":
    """Judge runs or folders; what failed is named on standard error."""
    from e2r_bench.api.check import check
    from e2r_bench.commands.folders import scored_arms, session_of

    tolerances, tasks = flat(asked["tolerances"]), asked["tasks"] or ()
    if asked["clean"] is not None:
        base, new = scored_arms([baseline, run], asked["clean"], tuple(tolerances), asked)
        return check(new, base, tolerances, tasks=tasks)
    gate = check(run, baseline, tolerances, tasks=tasks, session=session_of(asked))
    for cell, reason in gate.failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return gate


def _print(gate: "Gate", title: str) -> None:
    from e2r_bench.report.gate import HEADS, SAYS, rows
    from e2r_bench.report.reasons import reasons
    from e2r_bench.terminal import print_line, print_note, print_table, stdout_console

    console = stdout_console()
    print_line(console, title, style="bold")
    print_table(console, HEADS, list(rows(gate.checks)))
    print_line(console, "")
    for line in (SAYS, *reasons(gate.contest), *gate.contest.facts):
        print_note(console, line)
    failed = sum(not one.passed for one in gate.checks)
    print_line(console, f"{failed} of {len(gate.checks)} checks failed", style="bold")
