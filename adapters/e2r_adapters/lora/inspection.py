"""What an adapter file holds and what diffusers would make of it, read from its header alone.

Source: the loading rules are those of diffusers 0.36 to 0.42, the LoRA loader of each family.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2r_adapters.editors.editor import Family, LoraFacts
from e2r_adapters.editors.families import FAMILIES
from e2r_adapters.lora.conversion import conversions, is_native
from e2r_adapters.lora.dialects import FOREIGN, AdapterFile, Layout, read_adapter
from e2r_adapters.lora.header import RECORD_KEY, Shapes, damage, entry, linears
from e2r_adapters.lora.problems import PartReport, problems_of
from e2r_adapters.lora.scaling import scaling_of
from e2r_metrics.base.errors import UsageError

_NETWORKS = ("transformer", "text_encoder")


@dataclass(frozen=True)
class AdapterReport:
    """What stands in an adapter file.

    Attributes:
        path: the file.
        family: of editing models, whose names its Linears have; several where these share a
            transformer.
        layout: whose key names it has.
        dtypes: of its tensors, as safetensors names them.
        transformer, text_encoder: None where the file has no key for it.
        base: which base model the shapes fit; a guess unless `record` says.
        record: what e2r-bench wrote about the training; None for other people's files.
        outcome: what diffusers would do with it.
        problems: reasons not to use it; empty for a sound file.
    """

    path: str
    family: str
    layout: Layout
    dtypes: tuple[str, ...]
    transformer: PartReport | None
    text_encoder: PartReport | None
    base: str
    record: Mapping[str, Any] | None
    outcome: str
    problems: tuple[str, ...]


def inspect(path: Path, alpha: float | None = None, family: Family | None = None) -> AdapterReport:
    """Read an adapter without its matrices, and let diffusers convert what it would convert.

    Args:
        path: a safetensors file, or a folder that holds an adapter.
        alpha: what it was trained with, for a file that does not say.
        family: that it has to be for; None for the one that knows most of its Linears.

    Raises:
        UsageError: it is missing or not a safetensors file.
    """
    adapter = read_adapter(path)
    record = entry(adapter.path, adapter.header, RECORD_KEY)
    likely = likely_families(adapter.shapes) if family is None else (family,)
    family = likely[0]
    parts = {name: _part(name, adapter, alpha) for name in _NETWORKS}
    problems = problems_of(adapter, parts, family, alpha)
    if changed := damage(adapter.path, adapter.header):
        problems = (changed, *problems)
    shapes = adapter.shapes
    if adapter.layout in FOREIGN and not problems:
        likely, shapes, problems = _after_conversion(adapter, likely, alpha)
    return AdapterReport(
        path=str(path),
        family=" or ".join(dict.fromkeys(one.name for one in likely)),
        layout=adapter.layout,
        dtypes=adapter.dtypes,
        transformer=parts["transformer"],
        text_encoder=parts["text_encoder"],
        base=_base(shapes, likely[0].lora, record),
        record=record,
        outcome=_outcome(parts, is_native(adapter, alpha), problems),
        problems=problems,
    )


def likely_families(shapes: Shapes) -> tuple[Family, ...]:
    """Return the families that know most of an adapter's Linears: of one transformer, several."""
    names = list(linears(shapes, "transformer"))

    def known(family: Family) -> int:
        facts = family.lora
        pattern = f"(?:{facts.parts['transformer'].linear})|(?:{facts.foreign})"
        return sum(re.fullmatch(pattern, name) is not None for name in names)

    counts = [known(family) for family in FAMILIES.values()]
    found = zip(FAMILIES.values(), counts, strict=True)
    return tuple(family for family, count in found if count == max(counts))


def _after_conversion(
    adapter: AdapterFile, likely: tuple[Family, ...], alpha: float | None
) -> tuple[tuple[Family, ...], Shapes, tuple[str, ...]]:
    """Return whose names diffusers can convert, the shapes then, or what keeps it from that."""
    try:
        made = conversions(adapter, likely, alpha)
    except UsageError as error:
        return likely, {}, (str(error).removeprefix(f"{adapter.path}: "),)
    tensors = next(iter(made.values())).tensors
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    return tuple(family for family in likely if family.lora.loader in made), shapes, ()


def _part(name: str, adapter: AdapterFile, alpha: float | None) -> PartReport | None:
    """Sum up one network's LoRA; None if there is none."""
    found = linears(adapter.shapes, name)
    if not found:
        return None
    prefix, scaling = f"{name}.", scaling_of(adapter, name, alpha)
    own = {k.removeprefix(prefix): v for k, v in adapter.settings.items() if k.startswith(prefix)}
    distinct = set(scaling.scales.values())
    return PartReport(
        ranks=tuple(sorted({a[0] for a, _ in found.values()})),
        alpha=scaling.alphas[0] if len(scaling.alphas) == 1 and not scaling.unstated else None,
        scale=distinct.pop() if len(distinct) == 1 else None,
        scales=scaling.scales,
        unstated=scaling.unstated,
        targets=dict(Counter(re.sub(r"^.*?(blocks|layers)[._]\d+[._]", "", t) for t in found)),
        linears=len(found),
        parameters=sum(a[0] * a[1] + b[0] * b[1] for a, b in found.values()),
        metadata=own,
        faults=scaling.problems,
    )


def _base(shapes: Shapes, facts: LoraFacts, record: Mapping[str, Any] | None) -> str:
    """Say which base the file is for; from its record, else from the width it expects."""
    if record and record.get("base"):
        return str(record["base"])
    inputs = linears(shapes, "transformer").items()
    widths = {a[1] for name, (a, _) in inputs if name.endswith(facts.width_of)}
    if len(widths) == 1 and (known := facts.bases.get(min(widths))):
        return known
    return f"unknown, of width {sorted(widths)}" if widths else "unknown"


def _outcome(
    parts: Mapping[str, PartReport | None], native: bool, problems: tuple[str, ...]
) -> str:
    if problems:
        return "fails, or acts otherwise than it was trained; see the problems"
    said = " and ".join(f"{name} at {_scale(part)}" for name, part in parts.items() if part)
    if native:
        return f"load_lora_weights loads {said}"
    return f"a run converts it first and loads {said}; `e2r-bench adapter convert` writes that"


def _scale(part: PartReport) -> str:
    if part.scale is not None:
        return f"scale {part.scale:g}"
    each = Counter(part.scales.values())
    return "scales " + ", ".join(f"{scale:g} x{n}" for scale, n in sorted(each.items()))
