"""`e2r-bench drift`: recompute the golden numbers and say what moved."""

import click


@click.command("drift", short_help="Watch the metrics for drift.")
@click.option("--write-goldens", is_flag=True, help="Write the goldens anew; needs --reason.")
@click.option("--reason", help="Why the numbers are right to move; it is recorded.")
def command(write_goldens: bool, reason: str | None) -> int:
    """Recompute every watched number of the catalog; exit 1 when one moved.

    The goldens ship with the package: images and features made from seeds.
    """
    from e2r_metrics import drift
    from e2r_metrics.goldens import catalog_numbers

    if write_goldens != (reason is not None):
        raise click.UsageError("expected --write-goldens and --reason together, found one of them")
    if reason is not None:
        record = drift.write(reason, drift.GOLDENS, catalog_numbers)
        click.echo(f"{len(record.goldens)} goldens written to {drift.GOLDENS}: {record.reason}")
        return 0
    found = drift.check(drift.GOLDENS, catalog_numbers)
    for line in drift.report(found):
        click.echo(line)
    return 1 if found.moved else 0
