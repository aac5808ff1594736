"""`e2r-bench drift`: recompute the golden numbers and say what moved."""

from pathlib import Path

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import OUTPUT


@click.command("drift", short_help="Watch the metrics for drift.")
@click.option("--write-goldens", is_flag=True, help="Write the goldens anew; needs --reason.")
@click.option("--reason", help="Why the numbers are right to move; it is recorded.")
@options.as_json
@click.option("--goldens", type=OUTPUT, help="A file of goldens of your own.  [the package's]")
def command(write_goldens: bool, reason: str | None, goldens: Path | None, as_json: bool) -> int:
    """Recompute every watched number of the catalog; exit 1 when one moved.

    The goldens ship with the package: images and features made from seeds. Your own stand in your
    repository: with --goldens FILE, which pins the numbers of the versions that you have now.
    """
    from dataclasses import asdict

    from e2r_metrics import drift
    from e2r_metrics.goldens import catalog_numbers

    if write_goldens != (reason is not None):
        raise click.UsageError("expected --write-goldens and --reason together, found one of them")
    path = goldens or drift.GOLDENS
    if reason is not None:
        record = drift.write(reason, path, catalog_numbers)
        click.echo(f"{len(record.goldens)} goldens written to {path}: {record.reason}")
        return 0
    found = drift.check(path, catalog_numbers)
    if as_json:
        options.print_json(asdict(found))
        return 1 if found.moved else 0
    for line in drift.report(found):
        click.echo(line)
    return 1 if found.moved else 0
