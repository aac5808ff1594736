"""`e2r-bench check`: a gate for one's own model, against a baseline, with an exit code."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE, NAMES, NUMBERS_OF, OUTPUT

if TYPE_CHECKING:
    from e2r_bench.report.gate import Checked
    from e2r_bench.report.statements import Contest
    from e2r_bench.statistics.margins import Margin

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
    from e2r_bench.report.gate import check, junit, step_summary
    from e2r_metrics.base.files import appending, refuse_foreign, write_text

    asked["metrics"] = tuple(name for one in asked["tolerances"] for name in one)
    made, code = _contest(run, baseline, asked)
    checked = check(made)
    title = f"{run} against {baseline}"
    if as_json:
        options.print_json(_told(checked, made))
    else:
        _print(checked, made, title)
    if junit_file is not None:
        refuse_foreign(junit_file, lambda head: head.startswith(b"<?xml") and b"testsuite" in head)
        write_text(junit_file, junit(checked, title))
    target = summary or (Path(os.environ[_SUMMARY]) if os.environ.get(_SUMMARY) else None)
    if target is not None:
        with appending(target) as stream:
            stream.write(step_summary(checked, title))
    return code if all(one.passed for one in checked) else 1


def _contest(run: Path, baseline: Path, asked: Mapping[str, Any]) -> "tuple[Contest, int]":
    margins = _margins(asked["tolerances"])
    if asked["clean"] is not None:
        from e2r_bench.commands.folders import compare_folders

        given = {**asked, "against": None, "degraded": None}
        made, code = compare_folders([baseline, run], asked["clean"], given, False, margins)
        return made.contest, code
    from e2r_bench.commands.folders import session_of
    from e2r_bench.report.compare import origins
    from e2r_bench.store.store import open_store
    from e2r_bench.studies.contest import Asked, contest
    from e2r_bench.studies.sides import Criteria

    stores = origins([open_store(baseline), open_store(run)])
    wanted = Asked(metrics=asked["metrics"], tasks=asked["tasks"] or (), namesakes=True)
    made = contest(stores, wanted, Criteria(session_of(asked), margins=margins))
    failures = list(stores.values())[1].failures()
    for cell, reason in failures.items():
        click.echo(f"failed: {cell}: {reason}", err=True)
    return made, 1 if failures else 0


def _margins(given: "tuple[Mapping[str, float], ...]") -> "dict[str, Margin]":
    """Return tolerances as margins: in the metric's own unit, for distances of sets too."""
    from e2r_bench.statistics.margins import Margin

    return {
        name.partition(":")[0]: Margin(name.partition(":")[0], value, "", "given by --tolerance")
        for one in given
        for name, value in one.items()
    }


def _told(checked: "tuple[Checked, ...]", made: "Contest") -> "dict[str, Any]":
    from e2r_bench.report.statements import record

    rows = [{"outcome": one.outcome, "passed": one.passed, **record(one.part)} for one in checked]
    return {"checks": rows, "facts": list(made.facts)}


def _print(checked: "tuple[Checked, ...]", made: "Contest", title: str) -> None:
    from e2r_bench.report.contest_text import reasons
    from e2r_bench.report.gate import HEADS, SAYS, rows
    from e2r_bench.terminal import print_line, print_table, stdout_console

    console = stdout_console()
    print_line(console, title, style="bold")
    print_table(console, HEADS, list(rows(checked)))
    print_line(console, "")
    for line in (SAYS, *reasons(made), *made.facts):
        print_line(console, line)
    failed = sum(not one.passed for one in checked)
    print_line(console, f"{failed} of {len(checked)} checks failed", style="bold")
