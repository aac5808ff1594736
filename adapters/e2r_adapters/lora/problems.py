"""The one judgement of an adapter file, for whoever inspects it and for whoever runs it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from e2r_adapters.editors.editor import Family, LoraFacts
from e2r_adapters.lora.dialects import FOREIGN, AdapterFile, Layout
from e2r_adapters.lora.header import PART, Shapes, half_of, linears, split_key
from e2r_adapters.lora.scaling import stated_rank


@dataclass(frozen=True)
class PartReport:
    """The LoRA of one network.

    Attributes:
        ranks: the distinct ranks.
        alpha: None where the file does not say, or says several.
        scale: what multiplies B A after loading, alpha / rank; None where it differs by layer.
        scales: the same by Linear.
        unstated: for how many Linears nobody states an alpha.
        targets: name ending -> number of Linears.
        linears, parameters: how many the LoRA has.
        metadata: what diffusers or PEFT recorded about it; empty if nothing.
        faults: what cannot be used in its settings.
    """

    ranks: tuple[int, ...]
    alpha: float | None
    scale: float | None
    scales: Mapping[str, float]
    unstated: int
    targets: Mapping[str, int]
    linears: int
    parameters: int
    metadata: Mapping[str, Any]
    faults: tuple[str, ...]


def problems_of(
    adapter: AdapterFile,
    parts: Mapping[str, PartReport | None],
    family: Family,
    alpha: float | None,
) -> tuple[str, ...]:
    """Return the reasons not to use an adapter; none for a sound one.

    Args:
        adapter: as it lies on disk.
        parts: what it holds for each network.
        family: that it is for.
        alpha: what the user states for a file that states none.
    """
    found = _key_problems(adapter.shapes, adapter.layout, family)
    return (*found, *_part_problems(parts, adapter, alpha))


def _key_problems(shapes: Shapes, layout: Layout, family: Family) -> list[str]:
    """Find keys that diffusers would drop, or choke on."""
    text = [key for key in shapes if key.startswith("lora_te")]
    if text:
        return [
            f"kohya text-encoder keys ({len(text)}, such as {text[0]!r}): diffusers fails on them "
            "('Could not automatically infer state dict type'); remove or convert them"
        ]
    if layout in FOREIGN:
        strange = _of_another_family(shapes, family.lora) or _left_over(shapes)
        return [*strange, *_odd(shapes)]
    if layout not in ("diffusers", "peft", "prefixed"):
        return [f"expected keys in diffusers' layout, found {layout}: {next(iter(shapes), '')!r}"]
    halves = [key for key in shapes if PART.match(key) and _other_half(key) not in shapes]
    paired = any(linears(shapes, part) for part in ("transformer", "text_encoder"))
    if not (halves or paired):
        return [f"expected pairs of matrices, found none, such as {next(iter(shapes))!r}"]
    facts = family.lora
    unknown = [key for key in shapes if not (_known(key, facts) or key.endswith(".alpha"))]
    problems = _unknown(unknown, family) if unknown else []
    problems += _odd(shapes)
    return problems + ([f"{halves[0]!r} has no partner"] if halves else [])


def _unknown(keys: list[str], family: Family) -> list[str]:
    """Say what keys a family does not know."""
    return [f"{len(keys)} unknown keys for {family.name}, such as {keys[0]!r}"]


def _odd(shapes: Shapes) -> list[str]:
    """Find matrices whose ranks differ, or are none."""
    problems: list[str] = []
    for part in ("transformer", "text_encoder"):
        found = linears(shapes, part)
        odd = [name for name, (a, b) in found.items() if a[0] != b[1]]
        problems += [f"{part}.{odd[0]}: the ranks of A and B differ"] if odd else []
        void = [name for name, (a, b) in found.items() if not (a[0] and a[1] and b[0])]
        problems += [f"{part}.{void[0]}: expected matrices, found empty ones"] if void else []
    return problems


def _of_another_family(shapes: Shapes, facts: LoraFacts) -> list[str]:
    names = linears(shapes, "transformer")
    if not names:
        return [f"expected keys of a LoRA, found none, such as {next(iter(shapes), '')!r}"]
    other = [name for name in names if not re.fullmatch(facts.foreign, name)]
    if not other:
        return []
    return [
        f"{len(other)} kohya keys of another family, such as {other[0]!r}; choose an adapter of "
        "this one"
    ]


def _left_over(shapes: Shapes) -> list[str]:
    """Find keys of foreign names that are neither alphas nor pairs of matrices."""
    paired = linears(shapes, "transformer")
    stray = [
        key
        for key in shapes
        if not (key.endswith(".alpha") or (half_of(key) and split_key(key)[1] in paired))
    ]
    return [f"{len(stray)} keys that are no pairs of a LoRA, such as {stray[0]!r}"] if stray else []


def _known(key: str, facts: LoraFacts) -> bool:
    match = PART.match(key)
    if match is None or match[1] not in facts.parts:
        return False
    return bool(re.fullmatch(facts.parts[match[1]].linear, match[2]))


def _other_half(key: str) -> str:
    a, b = ".lora_A.weight", ".lora_B.weight"
    return key.replace(a, b) if key.endswith(a) else key.replace(b, a)


def _part_problems(
    parts: Mapping[str, PartReport | None], adapter: AdapterFile, alpha: float | None
) -> list[str]:
    """Find what loads at another scale than it was trained with, or not at all."""
    if adapter.settings and adapter.alphas:
        return ["alpha stands in the metadata and in .alpha tensors; diffusers refuses both"]
    wrong = [f"{name}.alpha" for (_, name), value in adapter.alphas.items() if not value > 0]
    if wrong:
        return [f"expected alphas above 0, found another in {wrong[0]!r}"]
    stated = adapter.alphas or any(part and _says_alpha(part) for part in parts.values())
    if alpha is not None and stated:
        return [f"it states its alpha itself; expected no --alpha, found {alpha:g}"]
    return [
        problem
        for name, part in parts.items()
        if part is not None
        for problem in _scale_problems(name, part, adapter)
    ]


def _says_alpha(part: PartReport) -> bool:
    return part.metadata.get("lora_alpha") is not None


def _scale_problems(name: str, part: PartReport, adapter: AdapterFile) -> list[str]:
    """Find what keeps the scale of one network's Linears from being known."""
    if part.faults:
        return [f"{name}: {fault}" for fault in part.faults]
    if adapter.settings and not part.metadata:
        return [f"{name}: no metadata for it, so diffusers builds a LoRA of rank 8"]
    if part.unstated:
        return [f"{name}: {_lost(part, adapter)}"]
    for linear, (a, _) in linears(adapter.shapes, name).items():
        said = stated_rank(part.metadata, linear) if part.metadata else a[0]
        if said != a[0]:
            return [f"{name}: the metadata says rank {said}, the matrices {a[0]} ({linear})"]
    return []


def _lost(part: PartReport, adapter: AdapterFile) -> str:
    """Say what becomes of Linears whose alpha nobody states."""
    what = "no metadata" if adapter.layout == "diffusers" else "no .alpha tensor"
    if adapter.layout == "peft":
        what = "no adapter_config.json beside it that says"
    remedy = "state what it was trained with, --alpha N (in a run: --set alpha=N)"
    if part.unstated < part.linears:
        return (
            f"alpha lost for {part.unstated} of {part.linears} Linears: {what}; find the whole file"
        )
    rank = part.ranks[0]
    return (
        f"alpha lost: {what}, so diffusers loads it at scale 1; trained with the paper's alpha 4 "
        f"at rank {rank} it would act {rank / 4:g} times too strong; {remedy}"
    )
