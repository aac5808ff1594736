"""The one judgement of an adapter file, for whoever inspects it and for whoever runs it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from e2r_adapters.editors.editor import LoraFacts
from e2r_adapters.lora.header import PART, Shapes, linears

Layout = Literal["diffusers", "kohya", "xlabs", "bfl-control", "fal", "unknown"]


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


def problems_of(
    shapes: Shapes,
    layout: Layout,
    parts: Mapping[str, PartReport | None],
    metadata: Mapping[str, Any],
    facts: LoraFacts,
) -> tuple[str, ...]:
    """Return the reasons not to use an adapter; none for a sound one.

    Args:
        shapes: of its tensors.
        layout: whose key names it has.
        parts: what it holds for each network.
        metadata: what diffusers recorded about it.
        facts: of the family that it is for.
    """
    alphas = {key for key in shapes if key.endswith(".alpha")}
    found = [*_key_problems(shapes, layout, facts)]
    return (*found, *_part_problems(parts, metadata, alphas, layout))


def _key_problems(shapes: Shapes, layout: Layout, facts: LoraFacts) -> list[str]:
    """Find keys that diffusers would drop, or choke on."""
    text = [key for key in shapes if key.startswith("lora_te")]
    if text:
        return [
            f"kohya text-encoder keys ({len(text)}, such as {text[0]!r}): diffusers fails on them "
            "('Could not automatically infer state dict type'); remove or convert them"
        ]
    if layout == "kohya":
        return _of_another_family(shapes, facts)
    if layout != "diffusers":
        return [f"expected keys in diffusers' layout, found {layout}: {next(iter(shapes), '')!r}"]
    unknown = [key for key in shapes if not (_known(key, facts) or key.endswith(".alpha"))]
    problems = [f"{len(unknown)} unknown keys, such as {unknown[0]!r}"] if unknown else []
    for part in ("transformer", "text_encoder"):
        odd = [n for n, (a, b) in linears(shapes, part).items() if a[0] != b[1]]
        problems += [f"{part}.{odd[0]}: the ranks of A and B differ"] if odd else []
    halves = [key for key in shapes if PART.match(key) and _other_half(key) not in shapes]
    return problems + ([f"{halves[0]!r} has no partner"] if halves else [])


def _of_another_family(shapes: Shapes, facts: LoraFacts) -> list[str]:
    names = linears(shapes, "transformer")
    other = [name for name in names if not re.fullmatch(facts.foreign, name)]
    if not other:
        return []
    return [
        f"{len(other)} kohya keys of another family, such as {other[0]!r}; choose an adapter of "
        "this one"
    ]


def _known(key: str, facts: LoraFacts) -> bool:
    match = PART.match(key)
    if match is None:
        return False
    return bool(re.fullmatch(facts.parts[match[1]].linear, match[2]))


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
