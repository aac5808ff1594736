"""What an adapter file holds and what diffusers would make of it, read from its header alone.

Source: the loading rules are those of diffusers 0.36 to 0.42, `FluxLoraLoaderMixin`.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from e2r_metrics.base.errors import UsageError

RECORD_KEY = "e2r_adapters"
"""Header entry of our own adapters: a JSON object that says what they were trained on and how."""

Shapes = Mapping[str, tuple[int, ...]]
Layout = Literal["diffusers", "kohya", "xlabs", "bfl-control", "fal", "unknown"]

DIFFUSERS_ENTRY = "lora_adapter_metadata"
"""Header entry of diffusers: PEFT's settings, of which alpha stands nowhere else."""

_PART = re.compile(r"^(transformer|text_encoder)\.(.+)\.lora_(A|B)\.weight$")
_KOHYA = re.compile(r"^(lora_unet|lora_te1?)_(.+)\.lora_(down|up)\.weight$")
_PARTS = {
    "transformer": "transformer",
    "text_encoder": "text_encoder",
    "lora_unet": "transformer",
    "lora_te": "text_encoder",
    "lora_te1": "text_encoder",
}
_PREFIXES = {
    "transformer": ("transformer.", "lora_unet_"),
    "text_encoder": ("text_encoder.", "lora_te_", "lora_te1_"),
}
_HALVES = {"A": "A", "B": "B", "down": "A", "up": "B"}
_FLUX_LINEAR = re.compile(
    r"transformer_blocks\.\d+\.(attn\.(to_[qkv]|to_out\.0|add_[qkv]_proj|to_add_out)"
    r"|ff(_context)?\.net\.(0\.proj|2)|norm1(_context)?\.linear)"
    r"|single_transformer_blocks\.\d+\.(attn\.to_[qkv]|proj_mlp|proj_out|norm\.linear)"
    r"|x_embedder|context_embedder|proj_out|norm_out\.linear"
    r"|time_text_embed\.(timestep|guidance|text)_embedder\.linear_[12]"
)
_CLIP_LINEAR = re.compile(
    r"(text_model\.)?encoder\.layers\.\d+\.(self_attn\.(q|k|v|out)_proj|mlp\.fc[12])"
)
# Marks of the foreign layouts, in the order in which diffusers tests them.
_MARKS: Mapping[Layout, str] = {
    "kohya": ".lora_down.weight",
    "xlabs": "processor",
    "bfl-control": "query_norm.scale",
    "fal": "base_model",
}


@dataclass(frozen=True)
class PartReport:
    """The LoRA of one network.

    Attributes:
        ranks: the distinct ranks.
        alpha: None where the file does not say.
        scale: what multiplies B A after loading, alpha / rank; None where it differs by layer.
        targets: name ending -> number of Linears.
        linears, parameters: how many the LoRA has.
        metadata: what diffusers recorded about it; empty if nothing.
    """

    ranks: tuple[int, ...]
    alpha: float | None
    scale: float | None
    targets: Mapping[str, int]
    linears: int
    parameters: int
    metadata: Mapping[str, Any]


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
    metadata = json.loads(header.get(DIFFUSERS_ENTRY, "{}"))
    record = json.loads(header[RECORD_KEY]) if RECORD_KEY in header else None
    alphas = {key for key in shapes if key.endswith(".alpha")}
    parts = {
        name: _part(name, shapes, metadata, alphas, path)
        for name in ("transformer", "text_encoder")
    }
    problems = (*_key_problems(shapes, layout), *_part_problems(parts, metadata, alphas, layout))
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


def read_header(path: Path) -> tuple[Shapes, tuple[str, ...], Mapping[str, str]]:
    """Return the shapes by key, the distinct dtypes, and the header entries of a safetensors file.

    Raises:
        UsageError: the file is missing or not a whole safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        raise UsageError(f"{path}: expected a whole safetensors file, found a folder")
    try:
        with safe_open(path, framework="numpy") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118  # not a dict
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            dtypes = tuple(sorted({str(part.get_dtype()) for part in slices.values()}))
            return shapes, dtypes, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path}: expected a whole safetensors file, found: {error}") from error


def linears(shapes: Shapes, part: str) -> Mapping[str, tuple[tuple[int, int], tuple[int, int]]]:
    """Return Linear name -> (shape of A, shape of B) for one network, "transformer" or such.

    kohya's names are kept as they are; halves without a partner are left out.
    """
    found: dict[str, dict[str, Any]] = {}
    for key, shape in shapes.items():
        match = _PART.match(key) or _KOHYA.match(key)
        if match and _PARTS[match[1]] == part and len(shape) == 2:
            found.setdefault(match[2], {})[_HALVES[match[3]]] = shape
    return {name: (m["A"], m["B"]) for name, m in found.items() if m.keys() == {"A", "B"}}


def _layout(shapes: Shapes) -> Layout:
    for layout, mark in _MARKS.items():
        if any(mark in key for key in shapes):
            return layout
    return "diffusers" if any(_PART.match(key) for key in shapes) else "unknown"


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
    mixed = bool(own.get("rank_pattern") or own.get("alpha_pattern"))
    return PartReport(
        ranks=ranks,
        alpha=alpha,
        # With nothing recorded diffusers takes alpha = rank, hence 1.
        scale=None if mixed else 1.0 if alpha is None else alpha / rank,
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


def _key_problems(shapes: Shapes, layout: Layout) -> list[str]:
    """Find keys that diffusers would drop, or choke on."""
    text = [key for key in shapes if key.startswith("lora_te")]
    if text:
        return [
            f"kohya text-encoder keys ({len(text)}, such as {text[0]!r}): diffusers fails on them "
            "('Could not automatically infer state dict type'); remove or convert them"
        ]
    if layout == "kohya":
        return []
    if layout != "diffusers":
        return [f"expected keys in diffusers' layout, found {layout}: {next(iter(shapes), '')!r}"]
    unknown = [key for key in shapes if not (_known(key) or key.endswith(".alpha"))]
    problems = [f"{len(unknown)} unknown keys, such as {unknown[0]!r}"] if unknown else []
    for part in ("transformer", "text_encoder"):
        odd = [n for n, (a, b) in linears(shapes, part).items() if a[0] != b[1]]
        problems += [f"{part}.{odd[0]}: the ranks of A and B differ"] if odd else []
    halves = [key for key in shapes if _PART.match(key) and _other_half(key) not in shapes]
    return problems + ([f"{halves[0]!r} has no partner"] if halves else [])


def _known(key: str) -> bool:
    match = _PART.match(key)
    if match is None:
        return False
    return bool((_FLUX_LINEAR if match[1] == "transformer" else _CLIP_LINEAR).fullmatch(match[2]))


def _other_half(key: str) -> str:
    a, b = ".lora_A.weight", ".lora_B.weight"
    return key.replace(a, b) if key.endswith(a) else key.replace(b, a)


def _part_problems(
    parts: Mapping[str, PartReport | None],
    metadata: Mapping[str, Any],
    alphas: set[str],
    layout: Layout,
) -> list[str]:
    """Find what loads at another scale than it was trained with, or not at all."""
    if metadata and alphas:
        return ["alpha stands in the metadata and in .alpha tensors; diffusers refuses both"]
    if layout == "kohya" and not alphas:
        return ["alpha lost: no .alpha tensor, so diffusers loads it at scale 1"]
    problems: list[str] = []
    for name, part in parts.items():
        if part is None:
            continue
        if metadata and not part.metadata:
            problems.append(f"{name}: no metadata for it, so diffusers builds a LoRA of rank 8")
        elif part.alpha is None:
            problems.append(
                f"{name}: alpha lost: no metadata, so diffusers loads it at scale 1; trained with "
                f"the paper's alpha 4 at rank {part.ranks[0]} it would act {part.ranks[0] / 4:g} "
                "times too strong"
            )
        elif part.metadata and part.metadata.get("r") not in part.ranks:
            found = part.metadata.get("r")
            problems.append(f"{name}: the metadata says rank {found}, the matrices {part.ranks}")
    return problems


def _base(shapes: Shapes, record: Mapping[str, Any] | None) -> str:
    """Say which base the file is for; from its record, else from the width it expects."""
    if record and record.get("base"):
        return str(record["base"])
    widths = {a[1] for name, (a, _) in linears(shapes, "transformer").items() if "to_q" in name}
    if widths == {3072}:
        return "FLUX.1 [dev] size (guess: dev, Kontext, Fill and schnell share these shapes)"
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
