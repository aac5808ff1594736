"""`e2r-bench claims`: what a paper's tables support, and what a run here supports."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from e2r_bench.studies.claims import Claims
    from e2r_bench.studies.tables import TableReading

_TASKS = "denoise25,derain,dehaze"
_METRICS = "psnr,lpips,fd_effnet,mmd_effnet,fid,cmmd,clip_iqa"


@click.command("claims", short_help="Judge a paper's claims, from its tables and from runs.")
@click.argument("file", default="edit2restore")
@click.option("--table-only", is_flag=True, help="Read the published tables; run nothing.")
@click.option("--only", help="Ids of claims, e.g. C1,C3.")
@click.option("--data", default="mini", help="'mini', a folder, or TASK=FOLDER,...")
@click.option("--tasks", default=_TASKS, help="Tasks to judge on.", show_default=True)
@click.option("--metrics", default=_METRICS, help="Metrics to measure.", show_default=True)
@click.option("--limit", type=click.IntRange(min=3), help="The first so many images of each set.")
@click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True,
              help="Of each few-shot training; the profiles' own: 20, miniature 60.")  # fmt: skip
@click.option("--unit", type=click.Choice(["scene", "image"]), default="scene", show_default=True,
              help="What is independent; 'image' speaks for these images only.")  # fmt: skip
@click.option("--permutations", type=click.IntRange(min=99), default=999, show_default=True)
@click.option("--backbone", default="auto", help="auto, kontext-nano, a hub id or a folder.")
@click.option("--device", default="auto", help="A torch device.")
@click.option("--offline", is_flag=True, help="Open no connection.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results/claims"))
def command(file: str, table_only: bool, only: str | None, out: Path, **asked: Any) -> None:
    """Judge the claims of FILE (TOML), by default Edit2Restore's C1 to C9.

    Two readings: what the published tables alone support, and what a run here supports. The run
    trains and restores what is missing below --out, and resumes.
    """
    from e2r_bench.studies.claims import load_claims
    from e2r_bench.studies.tables import read_tables
    from e2r_metrics.base.errors import unknown

    claims = load_claims(file)
    ids = [claim.id for claim in claims.claims]
    chosen = [part.strip() for part in only.split(",")] if only else ids
    for name in chosen:
        if name not in ids:
            raise unknown("claim", name, ids)
    claims = claims.model_copy(
        update={"claims": tuple(claim for claim in claims.claims if claim.id in chosen)}
    )
    readings = read_tables(claims)
    if table_only:
        _print_tables(claims, readings)
        return
    _judge(claims, readings, out, asked)


def _print_tables(claims: "Claims", readings: "list[TableReading]") -> None:
    for claim, reading in zip(claims.claims, readings, strict=True):
        click.echo(f"{claim.id}  {claim.statement}")
        click.echo(f"    the table alone: {reading.verdict}; {reading.counts}")
        click.echo(f"    {reading.detail}")
        if claim.note:
            click.echo(f"    note: {claim.note}")


def _judge(
    claims: "Claims", readings: "list[TableReading]", out: Path, asked: dict[str, Any]
) -> None:
    from e2r_bench.config import make_experiment
    from e2r_bench.studies.judge import judge

    listed = {key: asked[key].split(",") for key in ("tasks", "metrics", "data")}
    plain = {key: asked[key] for key in ("limit", "backbone", "device", "offline")}
    settings = {"methods": ["kontext_lora"], "out": out, **plain, **listed}
    base = make_experiment(settings, "the command line")
    how = (asked["unit"], asked["permutations"], asked["epochs"])
    for line in judge(claims, readings, base, how, click.echo):
        click.echo(line)
