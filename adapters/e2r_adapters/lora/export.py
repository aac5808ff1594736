"""Adapters of other dialects written as diffusers writes its own."""

import json
from collections.abc import Mapping
from pathlib import Path

from e2r_adapters.editors.editor import Family
from e2r_adapters.lora.conversion import (
    Converted,
    as_diffusers,
    content_of,
    conversions,
    is_native,
)
from e2r_adapters.lora.dialects import FOREIGN, AdapterFile, read_adapter
from e2r_adapters.lora.header import ADAPTER_FILE
from e2r_adapters.lora.inspection import AdapterReport, inspect, likely_families
from e2r_metrics.base.digests import sha256_of
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import replacing

SUFFIX = ".safetensors"
ORIGIN_KEY = "e2r_converted_from"
"""Header entry of what was converted: a JSON object with the dialect and sha256 of the original."""


def convert(
    source: Path, out: Path, alpha: float | None = None, family: Family | None = None
) -> AdapterReport:
    """Write an adapter of any dialect that is known as diffusers writes its own, alpha kept.

    Args:
        source: a safetensors file, or PEFT's folder.
        out: a `.safetensors` file that is not there yet, or a folder that receives
            `pytorch_lora_weights.safetensors`.
        alpha: what it was trained with, for a file that does not say.
        family: that it is for; needed where several give one dialect's names other meanings.

    Returns:
        What stands in the written file.

    Raises:
        UsageError: it cannot be converted whole, is in diffusers' form already, or `out` is there.
    """
    target = out if out.suffix == SUFFIX else out / ADAPTER_FILE
    if target.exists():
        raise UsageError(f"{target}: expected a place for a new file, found one; name another")
    found = inspect(source, alpha, family)
    if found.problems:
        raise UsageError(f"{source}: {found.problems[0]}")
    adapter = read_adapter(source)
    if is_native(adapter, alpha):
        raise UsageError(
            f"{source}: expected another dialect, found diffusers' own: use it as it is"
        )
    converted = _converted(adapter, family, alpha)
    origin = {"layout": adapter.layout, "sha256": sha256_of(adapter.path)}
    with replacing(target) as stream:
        stream.write(content_of(converted, {ORIGIN_KEY: json.dumps(origin, sort_keys=True)}))
        stream.flush()
        _check(inspect(Path(stream.name), None, family), converted.scales, source)
    return inspect(target, None, family)


def _converted(adapter: AdapterFile, family: Family | None, alpha: float | None) -> Converted:
    """Convert by the rules of the family, or of all that know the names if they agree."""
    if family is not None or adapter.layout not in FOREIGN:
        chosen = family or likely_families(adapter.shapes)[0]
        return as_diffusers(adapter, chosen.lora, alpha)
    likely = likely_families(adapter.shapes)
    by_loader = conversions(adapter, likely, alpha)
    made = list(by_loader.values())
    if any(one.tensors.keys() != made[0].tensors.keys() for one in made):
        names = ", ".join(each.name for each in likely if each.lora.loader in by_loader)
        raise UsageError(
            f"{adapter.path}: expected names of one family, found such as {names} have, for other "
            "Linears in each; say which with --family"
        )
    return made[0]


def _check(report: AdapterReport, scales: Mapping[str, Mapping[str, float]], source: Path) -> None:
    """Stop where the written file says other scales than the one that was read."""
    parts = {"transformer": report.transformer, "text_encoder": report.text_encoder}
    said = {name: part.scales for name, part in parts.items() if part}
    close = said.keys() == scales.keys() and all(
        said[part].keys() == scales[part].keys()
        and all(abs(said[part][name] / scale - 1) < 1e-6 for name, scale in scales[part].items())
        for part in said
    )
    if report.problems or not close:
        why = report.problems[0] if report.problems else "its scales would not be the original's"
        raise UsageError(f"{source}: cannot be written as diffusers writes adapters: {why}")
