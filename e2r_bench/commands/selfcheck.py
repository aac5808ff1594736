"""`e2r-bench selfcheck`: do the weight files on this machine give the published values?"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import EXISTING_FOLDER

if TYPE_CHECKING:
    from e2r_metrics.selfcheck import Check


@click.command("selfcheck", short_help="Compare weights with published values.")
@click.option("--pictures", multiple=True, required=True, type=EXISTING_FOLDER,
              help="Folder with the publishers' pictures; searched through.")  # fmt: skip
@options.weights
@options.offline
@options.as_json
def command(
    pictures: tuple[Path, ...], weights: tuple[Path, ...], offline: bool, as_json: bool
) -> int:
    """Compute values that others published, where their pictures and the weights are here.

    What is absent is listed. Exit code 1 when a value differs, or none could be computed.
    """
    from e2r_metrics import Resolver, Session, own_declarations
    from e2r_metrics.selfcheck import check_all

    resolver = Resolver(
        own_declarations(), weights, offline=offline, say=lambda line: click.echo(line, err=True)
    )
    checks = list(check_all(Session(resolver, store=None), pictures))
    if as_json:
        options.print_json([_record(check) for check in checks])
    else:
        for check in checks:
            click.echo(_line(check))
    computed = [check.status for check in checks if check.value is not None]
    return 0 if computed and set(computed) == {"same"} else 1


def _line(check: "Check") -> str:
    row = check.published
    alone = row.clean == row.restored
    pair = str(row.restored) if alone else f"{row.restored} against {row.clean}"
    asked = f"{row.metric} of {pair}: published {row.value:g} within {row.tolerance:g}"
    here = "" if check.value is None else f"here {check.value:.5f}"
    return f"{check.status}: {asked}; {'; '.join(filter(None, (here, check.note)))}"


def _record(check: "Check") -> dict[str, object]:
    row = check.published
    return {
        "status": check.status, "metric": row.metric, "restored": str(row.restored),
        "clean": str(row.clean), "published": row.value, "tolerance": row.tolerance,
        "source": row.source, "value": check.value, "note": check.note,
    }  # fmt: skip
