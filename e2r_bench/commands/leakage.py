"""`e2r-bench leakage`: test images that stand among training images."""

from pathlib import Path

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE, OUTPUT


@click.command("leakage", short_help="Find test images among training images.")
@click.argument("train", type=FILE)
@click.argument("test", type=FILE)
@click.option("--out", type=OUTPUT, help="Also write leakage.csv there.")
@options.as_json
def command(train: Path, test: Path, out: Path | None, as_json: bool) -> int:
    """Find pictures of TEST that stand in TRAIN: the same pixels, near copies, and crops.

    Both are folders, searched with their subfolders. Exit code 1 when something was found.
    """
    from dataclasses import asdict

    from e2r_bench.studies.leakage import (
        find_leaks,
        refuse_other_leaks,
        summary_lines,
        write_leaks,
    )

    if out is not None:
        refuse_other_leaks(out)
    leaks = find_leaks(train, test)
    if as_json:
        options.print_json(asdict(leaks))
    else:
        for line in summary_lines(leaks):
            click.echo(line)
    if out is not None:
        write_leaks(leaks, out)
    return 1 if leaks.overlaps else 0
