"""Any dialect of adapters in diffusers' own form, alpha kept; right, or refused.

Source: the names are given by diffusers' own converters. These fold alpha into A, forget it for
FLUX.1's last layer, and drop or misname Linears that they do not know: here they only rename.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from e2r_adapters.editors.editor import Family, LoraFacts
from e2r_adapters.lora.dialects import FOREIGN, AdapterFile, renamed
from e2r_adapters.lora.header import (
    DIFFUSERS_ENTRY,
    DIGEST_KEY,
    half_of,
    linears,
    split_key,
)
from e2r_adapters.lora.scaling import scaling_of
from e2r_adapters.quiet import quiet_loading
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

_PARTS = ("transformer", "text_encoder")


@dataclass(frozen=True)
class Converted:
    """An adapter in diffusers' names.

    Attributes:
        tensors: by key; no alphas among them.
        scales: network -> Linear -> what multiplies B A.
    """

    tensors: "Mapping[str, torch.Tensor]"
    scales: Mapping[str, Mapping[str, float]]


def is_native(adapter: AdapterFile, alpha: float | None) -> bool:
    """Return whether a file is as diffusers itself writes adapters, with its settings."""
    return adapter.layout == "diffusers" and bool(adapter.settings) and alpha is None


def as_diffusers(adapter: AdapterFile, facts: LoraFacts, alpha: float | None = None) -> Converted:
    """Return an adapter's matrices by diffusers' names, unscaled, and the scale of each Linear.

    Args:
        adapter: one that `problems_of` finds nothing wrong with.
        facts: of the family that it is for.
        alpha: what it was trained with, for a file that does not say.

    Raises:
        UsageError: diffusers' converter fails, or leaves out a part of it.
    """
    from safetensors.torch import load_file

    scales = {part: scaling_of(adapter, part, alpha).scales for part in _PARTS}
    if adapter.layout in FOREIGN:
        return _by_their_names(adapter, facts, scales["transformer"])
    raw = {renamed(key, adapter.layout): tensor for key, tensor in load_file(adapter.path).items()}
    tensors = {key: tensor for key, tensor in raw.items() if half_of(key)}
    return Converted(tensors, {part: each for part, each in scales.items() if each})


def conversions(
    adapter: AdapterFile, families: Iterable[Family], alpha: float | None
) -> Mapping[str, Converted]:
    """Return what each loader of these families makes of an adapter, if it makes anything of it.

    Raises:
        UsageError: no loader converts it whole.
    """
    made: dict[str, Converted] = {}
    failed: list[UsageError] = []
    for facts in {family.lora.loader: family.lora for family in families}.values():
        try:
            made[facts.loader] = as_diffusers(adapter, facts, alpha)
        except UsageError as error:
            failed.append(error)
    if not made:
        raise failed[0]
    return made


def _by_their_names(
    adapter: AdapterFile, facts: LoraFacts, scales: Mapping[str, float]
) -> Converted:
    """Convert twice: the matrices, and marks in place of A that tell where each one came from."""
    import torch
    from safetensors.torch import load_file

    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in load_file(adapter.path).items():
        if half := half_of(key):
            found.setdefault(split_key(key)[1], {})[half] = tensor
    names = list(found)
    marks = {
        name: {"A": torch.full(found[name]["A"].shape, float(i)), "B": found[name]["B"]}
        for i, name in enumerate(names)
    }
    plain, marked = _through(adapter, found, facts), _through(adapter, marks, facts)
    parts = linears({key: tuple(tensor.shape) for key, tensor in plain.items()}, "transformer")
    origin = {
        name: names[int(marked[f"transformer.{name}.lora_A.weight"].flatten()[0])] for name in parts
    }
    rows = Counter[str]()
    for name, (_, b) in parts.items():
        rows[origin[name]] += b[0]
    lost = [name for name in names if rows[name] != found[name]["B"].shape[0]]
    if lost:
        raise UsageError(
            f"{adapter.path}: diffusers' converter leaves out {len(lost)} of {len(names)} Linears "
            f"of it, such as {lost[0]}; expected one that it knows whole"
        )
    return Converted(plain, {"transformer": {name: scales[origin[name]] for name in parts}})


def _through(
    adapter: AdapterFile, found: "Mapping[str, Mapping[str, torch.Tensor]]", facts: LoraFacts
) -> "Mapping[str, torch.Tensor]":
    """Return matrices by diffusers' names, as its converter for kohya's has them at scale 1."""
    import torch
    from diffusers.loaders import lora_pipeline

    given: dict[str, torch.Tensor] = {}
    for name, pair in found.items():
        stem = f"lora_unet_{name}"
        given |= {f"{stem}.lora_down.weight": pair["A"], f"{stem}.lora_up.weight": pair["B"]}
        given[f"{stem}.alpha"] = torch.tensor(float(pair["A"].shape[0]))
    try:
        with quiet_loading():
            made = getattr(lora_pipeline, facts.loader).lora_state_dict(given)
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UsageError(
            f"{adapter.path}: diffusers cannot convert it ({reason}); choose an adapter of this "
            "family"
        ) from error
    # FLUX.1's converter leaves the network's name out before Linears that are in no block.
    return {f"transformer.{key.removeprefix('transformer.')}": t for key, t in made.items()}


def settings_of(converted: Converted) -> dict[str, Any]:
    """Return PEFT's settings of a converted adapter, as diffusers keeps them in the header."""
    shapes = {key: tuple(tensor.shape) for key, tensor in converted.tensors.items()}
    told: dict[str, Any] = {}
    for part, scales in converted.scales.items():
        ranks = {name: a[0] for name, (a, _) in linears(shapes, part).items()}
        alphas = {name: scale * ranks[name] for name, scale in scales.items()}
        named = _whole if part == "transformer" else _ending
        own = {
            "r": max(ranks.values()),
            "lora_alpha": max(alphas.values()),
            "rank_pattern": _pattern({named(name): rank for name, rank in ranks.items()}),
            "alpha_pattern": _pattern({named(name): alpha for name, alpha in alphas.items()}),
            "target_modules": _targets(part, sorted(scales)),
        }
        told |= {f"{part}.{key}": value for key, value in own.items()}
    return told


def _whole(name: str) -> str:
    """Return a Linear's name as a pattern of PEFT's that no other name ends in."""
    return f"^{name}"


def _ending(name: str) -> str:
    """Return the name of a text encoder's Linear without the level that transformers 5 dropped."""
    return name.removeprefix("text_model.")


def _pattern(values: Mapping[str, float]) -> dict[str, float]:
    return dict(values) if len(set(values.values())) > 1 else {}


def _targets(part: str, names: list[str]) -> list[str] | str:
    """Return the Linears as PEFT looks for them: it takes a name for an ending of others."""
    if part != "transformer":
        return sorted({name.rpartition(".")[2] for name in names})
    if all("blocks." in name for name in names):
        return names
    return "|".join(name.replace(".", r"\.") for name in names)


def content_of(converted: Converted, entries: Mapping[str, str]) -> bytes:
    """Return the bytes of a file that diffusers loads at the scales of the original.

    Args:
        converted: see `as_diffusers`.
        entries: header entries beside diffusers' own.
    """
    from safetensors.torch import save

    # What was cut from one fused matrix shares its memory, and safetensors refuses that.
    tensors = {key: tensor.clone().contiguous() for key, tensor in converted.tensors.items()}
    told = json.dumps(settings_of(converted), sort_keys=True)
    return signed(save(tensors), {DIFFUSERS_ENTRY: told, **entries})


def signed(content: bytes, entries: Mapping[str, str]) -> bytes:
    """Put entries into a safetensors file's header, with a digest of its tensors, in order.

    The same tensors and entries then give the same bytes: safetensors keeps entries in a hash map.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    digest = hashlib.sha256(content[8 + length :]).hexdigest()
    header["__metadata__"] = dict(sorted({**entries, DIGEST_KEY: digest}.items()))
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
