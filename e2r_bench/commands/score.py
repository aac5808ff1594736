"""`e2r-bench score`: two folders of images to numbers, in one pass."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import FILE, NAMES, OUTPUT, joined

if TYPE_CHECKING:
    from e2r_metrics.score import Scores

_HEAD = 10
"""Bytes by which files of each format are known; run.json differs in them."""


@click.command("score", short_help="Score two folders.")
@click.argument("restored", type=FILE)
@click.argument("clean", type=FILE)
@click.option("--metrics", type=NAMES, default="psnr,ssim,lpips", show_default=True,
              help="Names, by comma.")  # fmt: skip
@click.option("--profile", default="default", show_default=True, help="default or paper.")
@options.variant
@options.reading
@options.parts
@options.pooling
@click.option(
    "--format", "form", default="table", show_default=True,
    type=click.Choice(["table", "csv", "json", "parquet"]),
)  # fmt: skip
@click.option("--out", type=OUTPUT, help="File for what is printed otherwise.")
@options.weights
@click.option("--device", default="cpu", show_default=True, help="A torch device, or auto.")
@click.option("--offline", is_flag=True, help="Open no connection.")
def command(restored: Path, clean: Path, form: str, out: Path | None, **asked: Any) -> int:
    """Score a folder of RESTORED images against a folder of CLEAN ones, paired by name.

    Exit code 1 when a picture failed, or nothing could be measured; both are named.
    """
    if form == "parquet" and out is None:
        raise click.UsageError("--format parquet needs --out FILE")
    scores = _score(restored, clean, asked)
    makers: Mapping[str, Callable[[Scores, bool], str | bytes]] = {
        "table": _table, "csv": _csv, "json": _json, "parquet": _parquet,
    }  # fmt: skip
    _write(makers[form](scores, out is None), out)
    for line in _gone(scores) if form != "table" else ():
        click.echo(line, err=True)
    for name, reason in scores.failed.items():
        click.echo(f"failed: {name}: {reason}", err=True)
    return 1 if scores.failed or not scores.summaries else 0


def _score(restored: Path, clean: Path, asked: Mapping[str, Any]) -> "Scores":
    from e2r_bench.run.services import choose_device
    from e2r_metrics import FeatureStore, Resolver, Session, own_declarations, resolve
    from e2r_metrics.score import score_folders

    rows = resolve(asked["metrics"], asked["profile"], joined(asked["variant"]), asked["channel"])
    # The default asks nothing of torch, which takes seconds to import.
    device = "cpu" if asked["device"] == "cpu" else choose_device(asked["device"])
    resolver = Resolver(
        own_declarations(), asked["weights"], offline=asked["offline"],
        say=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    session = Session(resolver, FeatureStore(), device)
    return score_folders(restored, clean, rows, session, options.parts_of(asked))


def _gone(scores: "Scores") -> list[str]:
    """Return a line for each metric that has no value."""
    return [
        f"{name}: not measured, {gone.reason}; to fetch: {gone.command}"
        for name, gone in scores.missing.items()
    ] + [f"{name}: not measured: {reason}" for name, reason in scores.unmeasured.items()]


def _table(scores: "Scores", shown: bool) -> str:
    """Return the table; as wide as the terminal where it is shown on one."""
    import sys
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "n", "value", "95% interval", "unit", title_justify="left")
    for row in scores.summaries:
        better = "↑" if row.metric.higher_is_better else "↓"
        interval = "" if row.low != row.low else f"{row.low:.4f} to {row.high:.4f}"
        table.add_row(
            f"{row.metric.id} {better}", str(row.n), f"{row.value:.4f}", interval, row.metric.unit
        )
    for name in (*scores.missing, *scores.unmeasured):
        table.add_row(name, "", "not measured", "", "")
    terminal = shown and sys.stdout.isatty()
    text = Console(width=Console().width if terminal else 160, file=StringIO(), emoji=False)
    text.print(table)
    lines = [*_gone(scores), *(row.metric.protocol for row in scores.summaries)]
    drawn = text.file.getvalue() if isinstance(text.file, StringIO) else ""
    return drawn + "".join(f"{line}\n" for line in lines)


def _records(scores: "Scores") -> list[dict[str, Any]]:
    """Return one record per image and metric, and one per set metric with `image` empty."""
    n = {row.metric.id: row.n for row in scores.summaries}
    return [
        {
            "image": row.image,
            "metric": row.metric.name,
            "variant": row.metric.variant,
            "value": row.value,
            "n": n[row.metric.id] if not row.image else 1,
            "protocol": row.metric.protocol,
        }
        for row in scores.values
    ]


def _csv(scores: "Scores", shown: bool) -> str:
    import csv
    import io

    del shown
    buffer = io.StringIO()
    names = ["image", "metric", "variant", "value", "n", "protocol"]
    writer: csv.DictWriter[str] = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_records(scores))
    return buffer.getvalue()


def _json(scores: "Scores", shown: bool) -> str:
    import json

    del shown
    content = {
        "summary": [
            {
                "metric": row.metric.name,
                "variant": row.metric.variant,
                "n": row.n,
                "value": _number(row.value),
                "low": _number(row.low),
                "high": _number(row.high),
                "higher_is_better": row.metric.higher_is_better,
                "unit": row.metric.unit,
                "protocol": row.metric.protocol,
            }
            for row in scores.summaries
        ],
        "not_measured": {
            name: {"reason": gone.reason, "fetch": gone.command}
            for name, gone in scores.missing.items()
        }
        | {name: {"reason": why, "fetch": None} for name, why in scores.unmeasured.items()},
        "failed": dict(scores.failed),
        "values": [{**row, "value": _number(row["value"])} for row in _records(scores)],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _number(value: float) -> float | str | None:
    """Return what JSON can hold: it has neither NaN nor infinity."""
    import math

    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def _parquet(scores: "Scores", shown: bool) -> bytes:
    import io

    import pandas as pd

    del shown
    buffer = io.BytesIO()
    pd.DataFrame(_records(scores)).to_parquet(buffer, index=False)
    return buffer.getvalue()


def _write(content: str | bytes, out: Path | None) -> None:
    from e2r_metrics.base.files import refuse_foreign, write_bytes

    if out is None:
        click.echo(content, nl=False)
        return
    # A file name may hold bytes that are no text; they are written escaped.
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    refuse_foreign(out, lambda head: head[:_HEAD] == data[:_HEAD])
    write_bytes(out, data)
