"""`e2r-bench adapter`: what stands in a LoRA file, and the same as diffusers writes it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2r_bench.commands import options
from e2r_bench.commands.types import ABOVE_ZERO, FILE

if TYPE_CHECKING:
    from e2r_adapters.lora import AdapterReport, PartReport


@click.group("adapter", short_help="Inspect or convert a LoRA adapter file.")
def command() -> None:
    """Inspect a LoRA adapter file, or convert it to diffusers' own form."""


_alpha = click.option(
    "--alpha", type=ABOVE_ZERO, help="What it was trained with, for a file that does not say."
)


@command.command("inspect", short_help="Rank, alpha, scale, targets, problems.")
@click.argument("file", type=FILE)
@_alpha
@options.as_json
def inspect_file(file: Path, alpha: float | None, as_json: bool) -> int:
    """Say what stands in FILE, what diffusers would do with it, and what is wrong with it.

    The exit code is 1 if something is wrong: alpha lost, unknown keys, keys that do not load.
    """
    from dataclasses import asdict

    from e2r_adapters.lora import inspect

    report = inspect(file, alpha)
    if as_json:
        options.print_json(asdict(report))
    else:
        _print(report)
    return 1 if report.problems else 0


@command.command("convert", short_help="Rewrite it as diffusers does, alpha kept.")
@click.argument("file", type=FILE)
@click.argument("out", type=FILE)
@_alpha
@click.option(
    "--family", help="Whose names they are, where several families have them (kontext, klein, ...)."
)
def convert_file(file: Path, out: Path, alpha: float | None, family: str | None) -> None:
    """Write FILE to OUT as diffusers writes adapters, with the alpha of every layer.

    FILE is a safetensors file of kohya, ComfyUI or ai-toolkit, or PEFT's folder; OUT a
    .safetensors file or a folder. What cannot be converted whole is refused.
    """
    from e2r_adapters.editors.families import family_called
    from e2r_adapters.lora import convert

    _print(convert(file, out, alpha, None if family is None else family_called(family)))


def _print(report: "AdapterReport") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rows = [
        ("file", report.path),
        ("layout", f"{report.layout}, {', '.join(report.dtypes)}"),
        ("family", report.family),
    ]
    for name in ("transformer", "text_encoder"):
        part: PartReport | None = getattr(report, name)
        rows += (
            _rows(name.replace("_", " "), part) if part else [(name.replace("_", " "), "no keys")]
        )
    rows += [("base", report.base), ("diffusers", report.outcome)]
    if report.record:
        told = {k: v for k, v in report.record.items() if k != "profile"}
        told["profile"] = report.record.get("profile", {}).get("name", "")
        rows.append(("training", ", ".join(f"{key} {value}" for key, value in told.items())))
    for name, value in rows:
        table.add_row(name, Text(value))
    for problem in report.problems:
        table.add_row("PROBLEM", Text(problem, style="red"))
    Console().print(table)


def _by_layer(scales: Mapping[str, float]) -> str:
    each = sorted(Counter(scales.values()).items())
    return ", ".join(f"{scale:g} in {count} Linears" for scale, count in each)


def _rows(name: str, part: "PartReport") -> list[tuple[str, str]]:
    several = "differs by layer" if not part.unstated else "not recorded"
    alpha = several if part.alpha is None else f"{part.alpha:g}"
    scale = _by_layer(part.scales) if part.scale is None else f"{part.scale:g}"
    ranks = ", ".join(str(rank) for rank in part.ranks)
    targets = ", ".join(f"{target} x{count}" for target, count in part.targets.items())
    return [
        (name, f"rank {ranks}, alpha {alpha}, scale after load {scale}"),
        ("", f"{part.parameters:,} parameters in {part.linears} Linears"),
        ("", targets),
    ]
