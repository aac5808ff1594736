"""`e2r-bench study tradeoff`: better, or only prettier, and was it invented?"""

from collections.abc import Sequence
from pathlib import Path

import click

from e2r_bench.commands.types import FILE, NAMES, OUTPUT


@click.command("tradeoff", short_help="Better, or only prettier, and was it invented?")
@click.argument("study", type=FILE)
@click.option("--runs", type=NAMES, help="Only these of its runs; said in the page.  [all]")
@click.option(
    "--methods",
    type=NAMES,
    help="Only these of its methods, or RUN.METHOD; said in the page.  [all]",
)
@click.option("--page", type=OUTPUT, help="Where tables and plane go.  [OUT/tradeoff]")
@click.option("--allow-commands", is_flag=True, help="Start programs that STUDY names.")
@click.option("--redo", is_flag=True, help="Make anew what stands on inputs that changed.")
def command(
    study: Path,
    runs: Sequence[str] | None,
    methods: Sequence[str] | None,
    page: Path | None,
    allow_commands: bool,
    redo: bool,
) -> int:
    """Run what STUDY names, and judge the pairs it names: perception, fidelity, invention.

    STUDY is a TOML file, fixed before anything is run. The same command resumes. Exit code 1 when a
    picture failed; it is named, and the others are there.
    """
    from e2r_bench.api.page_studies import study_tradeoff
    from e2r_bench.commands.arms import told
    from e2r_bench.console import Console

    with Console() as console:
        made = study_tradeoff(
            study, runs=runs or (), methods=methods or (), page=page,
            allow_commands=allow_commands, redo=redo, say=console.say, watch=console.watch,
        )  # fmt: skip
    return told(made)
