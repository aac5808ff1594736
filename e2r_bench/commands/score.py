"""`e2r-bench score`: two folders of images to numbers, in one pass."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from e2r_metrics.score import Scores


def _variants(
    ctx: click.Context, parameter: click.Parameter, value: tuple[str, ...]
) -> dict[str, str]:
    del ctx, parameter
    pairs = [entry.partition("=") for group in value for entry in group.split(",")]
    if any(not (name and equals and variant) for name, equals, variant in pairs):
        raise click.BadParameter(f"expected METRIC=VARIANT such as psnr=y, found {value!r}")
    return {name: variant for name, _, variant in pairs}


@click.command("score", short_help="Score two folders.")
@click.argument("restored", type=click.Path(path_type=Path))
@click.argument("clean", type=click.Path(path_type=Path))
@click.option("--metrics", default="psnr,ssim,lpips", show_default=True, help="Names, by comma.")
@click.option("--profile", default="default", show_default=True, help="default or paper.")
@click.option("--variant", multiple=True, callback=_variants, help="METRIC=VARIANT, e.g. psnr=y.")
@click.option(
    "--format", "form", default="table", show_default=True,
    type=click.Choice(["table", "csv", "json", "parquet"]),
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="File for csv, json or parquet.")
@click.option("--weights", multiple=True, type=click.Path(path_type=Path), help="Weights folder.")
@click.option("--device", default="cpu", show_default=True, help="A torch device.")
@click.option("--offline", is_flag=True, help="Open no connection.")
def command(
    restored: Path,
    clean: Path,
    metrics: str,
    profile: str,
    variant: dict[str, str],
    form: str,
    out: Path | None,
    weights: tuple[Path, ...],
    device: str,
    offline: bool,
) -> None:
    """Score a folder of RESTORED images against a folder of CLEAN ones, paired by name."""
    from e2r_metrics import FeatureStore, Resolver, Session, own_declarations, resolve
    from e2r_metrics.score import score_folders

    if form == "parquet" and out is None:
        raise click.UsageError("--format parquet needs --out FILE")
    rows = resolve([name.strip() for name in metrics.split(",") if name.strip()], profile, variant)
    resolver = Resolver(
        own_declarations(), weights, offline=offline, say=lambda line: click.echo(line, err=True)
    )
    scores = score_folders(restored, clean, rows, Session(resolver, FeatureStore(), device))
    {"table": _table, "csv": _csv, "json": _json, "parquet": _parquet}[form](scores, out)


def _table(scores: "Scores", out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("metric", "n", "value", "95% interval", "unit", title_justify="left")
    for row in scores.summaries:
        better = "↑" if row.metric.higher_is_better else "↓"
        interval = "" if row.low != row.low else f"{row.low:.4f} to {row.high:.4f}"
        table.add_row(
            f"{row.metric.id} {better}", str(row.n), f"{row.value:.4f}", interval, row.metric.unit
        )
    for name in scores.missing:
        table.add_row(name, "", "not measured", "", "")
    import sys
    from io import StringIO

    width = None if sys.stdout.isatty() and out is None else 160
    text = Console(file=StringIO() if out else None, width=width, emoji=False)
    text.print(table)
    for name, gone in scores.missing.items():
        line = f"{name}: not measured, {gone.reason}; to fetch: {gone.command}"
        text.print(line, markup=False, highlight=False, soft_wrap=True)
    for row in scores.summaries:
        text.print(row.metric.protocol, markup=False, highlight=False, style="dim", soft_wrap=True)
    if isinstance(text.file, StringIO):
        _write(text.file.getvalue(), out)


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


def _csv(scores: "Scores", out: Path | None) -> None:
    import csv
    import io

    buffer = io.StringIO()
    names = ["image", "metric", "variant", "value", "n", "protocol"]
    writer: csv.DictWriter[str] = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_records(scores))
    _write(buffer.getvalue(), out)
    _tell_missing(scores)


def _json(scores: "Scores", out: Path | None) -> None:
    import json
    import math

    def number(value: float) -> float | str | None:
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)

    content = {
        "summary": [
            {
                "metric": row.metric.name,
                "variant": row.metric.variant,
                "n": row.n,
                "value": number(row.value),
                "low": number(row.low),
                "high": number(row.high),
                "higher_is_better": row.metric.higher_is_better,
                "unit": row.metric.unit,
                "protocol": row.metric.protocol,
            }
            for row in scores.summaries
        ],
        "not_measured": {
            name: {"reason": gone.reason, "fetch": gone.command}
            for name, gone in scores.missing.items()
        },
        "values": [{**row, "value": number(row["value"])} for row in _records(scores)],
    }
    _write(json.dumps(content, indent=1, allow_nan=False) + "\n", out)


def _parquet(scores: "Scores", out: Path | None) -> None:
    import io

    import pandas as pd

    buffer = io.BytesIO()
    pd.DataFrame(_records(scores)).to_parquet(buffer, index=False)
    _write(buffer.getvalue(), out)
    _tell_missing(scores)


def _tell_missing(scores: "Scores") -> None:
    for name, gone in scores.missing.items():
        click.echo(f"{name}: not measured, {gone.reason}; to fetch: {gone.command}", err=True)


def _write(content: str | bytes, out: Path | None) -> None:
    from e2r_metrics.base.files import write_bytes

    if out is None:
        click.echo(content, nl=False)
    else:
        write_bytes(out, content.encode() if isinstance(content, str) else content)
