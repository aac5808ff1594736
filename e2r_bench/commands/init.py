"""`e2r-bench init`: a commented file to start from."""

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import click

from e2r_bench.commands.types import OUTPUT


@dataclass(frozen=True)
class Starter:
    """A file that `init` writes.

    Attributes:
        source: its name in `starters/`.
        out: where it goes.
        then: what to give next, with {out}.
    """

    source: str
    out: Path
    then: str


STARTERS = {
    "experiment": Starter(
        "experiment.toml", Path("experiment.toml"), "e2r-bench run {out} --dry-run"
    ),
    "claims": Starter(
        "claims.toml", Path("claims.toml"), "e2r-bench claims {out} --table-only"
    ),
    "drift": Starter("drift.yml", Path(".github/workflows/drift.yml"), "e2r-bench drift"),
}  # fmt: skip


@click.command("init", short_help="Write a commented file to start from.")
@click.argument("kind", type=click.Choice(list(STARTERS)), default="experiment")
@click.option("--out", type=OUTPUT, help="Another file for it.")
def command(kind: str, out: Path | None) -> None:
    """Write a commented experiment (experiment.toml), claims (claims.toml) or drift workflow.

    What is there already is never replaced.
    """
    from e2r_metrics.base.errors import UsageError
    from e2r_metrics.base.files import write_text

    starter = STARTERS[kind]
    target = out or starter.out
    if os.path.lexists(target):
        raise UsageError(f"{target}: expected a new file, found one that is there; give --out FILE")
    text = files("e2r_bench.commands").joinpath("starters", starter.source).read_text("utf-8")
    write_text(target, text)
    click.echo(f"{target}: next, {starter.then.format(out=target)}")
