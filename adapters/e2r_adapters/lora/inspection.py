"""What an adapter file holds and what diffusers would make of it, read from its header alone.

Source: the loading rules are those of diffusers 0.36 to 0.42, `FluxLoraLoaderMixin`.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.lora.header import (
    DIFFUSERS_ENTRY,
    PART,
    RECORD_KEY,
    Shapes,
    entry,
    linears,
    read_header,
)
from e2r_adapters.lora.problems import Layout, PartReport, problems_of

_PREFIXES = {
    "transformer": ("transformer.", "lora_unet_"),
    "text_encoder": ("text_encoder.", "lora_te_", "lora_te1_"),
}
# Marks of the foreign layouts, in the order in which diffusers tests them.
_MARKS: Mapping[Layout, str] = {
    "kohya": ".lora_down.weight",
    "xlabs": "processor",
    "bfl-control": "query_norm.scale",
    "fal": "base_model",
}


@dataclass(frozen=True)
class AdapterReport:
    """What stands in an adapter file.

    Attributes:
        path: the file.
        layout: whose key names it has.
        dtypes: of its tensors, as safetensors names them.
        transformer, text_encoder: None where the file has no key for it.
        base: which base model the shapes fit; a guess unless `record` says.
        record: what e2r-bench wrote about the training; None for other people's files.
        outcome: what diffusers would do with it.
        problems: reasons not to use it; empty for a sound file.
    """

    path: str
    layout: Layout
    dtypes: tuple[str, ...]
    transformer: PartReport | None
    text_encoder: PartReport | None
    base: str
    record: Mapping[str, Any] | None
    outcome: str
    problems: tuple[str, ...]


def inspect(path: Path) -> AdapterReport:
    """Read an adapter's header.

    Args:
        path: a safetensors file.

    Raises:
        UsageError: it is missing or not a safetensors file.
    """
    shapes, dtypes, header = read_header(path)
    layout = _layout(shapes)
    metadata = entry(path, header, DIFFUSERS_ENTRY) or {}
    record = entry(path, header, RECORD_KEY)
    alphas = {key for key in shapes if key.endswith(".alpha")}
    parts = {name: _part(name, shapes, metadata, alphas, path) for name in KONTEXT.lora.parts}
    problems = problems_of(shapes, layout, parts, metadata, KONTEXT.lora)
    return AdapterReport(
        path=str(path),
        layout=layout,
        dtypes=dtypes,
        transformer=parts["transformer"],
        text_encoder=parts["text_encoder"],
        base=_base(shapes, record),
        record=record,
        outcome=_outcome(parts, layout, problems),
        problems=problems,
    )


def _layout(shapes: Shapes) -> Layout:
    for layout, mark in _MARKS.items():
        if any(mark in key for key in shapes):
            return layout
    return "diffusers" if any(PART.match(key) for key in shapes) else "unknown"


def _part(
    name: str, shapes: Shapes, metadata: Mapping[str, Any], alphas: set[str], path: Path
) -> PartReport | None:
    """Sum up one network's LoRA; None if there is none."""
    found = linears(shapes, name)
    if not found:
        return None
    own = {k.removeprefix(f"{name}."): v for k, v in metadata.items() if k.startswith(f"{name}.")}
    ranks = tuple(sorted({a[0] for a, _ in found.values()}))
    alpha = own.get("lora_alpha")
    if alpha is None:
        alpha = _tensor_alpha(path, [key for key in alphas if key.startswith(_PREFIXES[name])])
    rank = own.get("r", ranks[0])
    # Rank-stabilised LoRA: Kalajdzievski, 2023.
    divisor = rank**0.5 if own.get("use_rslora") else rank
    mixed = bool(own.get("rank_pattern") or own.get("alpha_pattern"))
    return PartReport(
        ranks=ranks,
        alpha=alpha,
        # With nothing recorded diffusers takes alpha = rank, hence 1.
        scale=None if mixed else 1.0 if alpha is None else alpha / divisor,
        targets=dict(Counter(re.sub(r"^.*?(blocks|layers)\.\d+\.", "", t) for t in found)),
        linears=len(found),
        parameters=sum(a[0] * a[1] + b[0] * b[1] for a, b in found.values()),
        metadata=own,
    )


def _tensor_alpha(path: Path, keys: list[str]) -> float | None:
    """Return the alpha that all `keys` share; None if they differ or there are none."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        values = {float(file.get_tensor(key)) for key in keys}
    return values.pop() if len(values) == 1 else None


def _base(shapes: Shapes, record: Mapping[str, Any] | None) -> str:
    """Say which base the file is for; from its record, else from the width it expects."""
    if record and record.get("base"):
        return str(record["base"])
    facts = KONTEXT.lora
    inputs = linears(shapes, "transformer").items()
    widths = {a[1] for name, (a, _) in inputs if facts.width_of in name}
    if len(widths) == 1 and (known := facts.bases.get(min(widths))):
        return known
    return f"unknown, of width {sorted(widths)}" if widths else "unknown"


def _outcome(
    parts: Mapping[str, PartReport | None], layout: Layout, problems: tuple[str, ...]
) -> str:
    if problems:
        return "fails, or acts otherwise than it was trained; see the problems"
    if layout == "kohya":
        return "load_lora_weights converts it and folds alpha / rank into A"
    said = [f"{name} at {_scale(part)}" for name, part in parts.items() if part]
    return f"load_lora_weights loads {' and '.join(said)}"


def _scale(part: PartReport) -> str:
    return "scales that differ by layer" if part.scale is None else f"scale {part.scale:g}"
