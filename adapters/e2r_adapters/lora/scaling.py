"""What multiplies B A in each Linear of an adapter, whoever states it and wherever.

Sources: PEFT's settings; kohya's `.alpha` tensors; rsLoRA, Kalajdzievski 2023.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from e2r_adapters.lora.dialects import AdapterFile
from e2r_adapters.lora.header import linears


@dataclass(frozen=True)
class Scaling:
    """What multiplies B A in each Linear of one network.

    Attributes:
        scales: by Linear; 1 where nobody states an alpha, as diffusers takes it.
        alphas: the distinct alphas that are stated.
        unstated: how many Linears nobody states one for.
        problems: what cannot be used in the settings.
    """

    scales: Mapping[str, float]
    alphas: tuple[float, ...]
    unstated: int
    problems: tuple[str, ...]


def scaling_of(adapter: AdapterFile, part: str, alpha: float | None) -> Scaling:
    """Return the scales of one network's Linears.

    Args:
        adapter: see `read_adapter`.
        part: "transformer" or "text_encoder".
        alpha: what the user states for a file that states none.
    """
    prefix = f"{part}."
    own = {k.removeprefix(prefix): v for k, v in adapter.settings.items() if k.startswith(prefix)}
    problems = _setting_problems(own)
    scales: dict[str, float] = {}
    stated: list[float] = []
    for name, (a, _) in linears(adapter.shapes, part).items():
        rank = a[0]
        told = adapter.alphas.get((part, name))
        if told is None and not problems:
            told = _patterned(own.get("alpha_pattern"), name, own.get("lora_alpha"))
        told = alpha if told is None else told
        divisor = math.sqrt(rank) if own.get("use_rslora") else rank
        scales[name] = 1.0 if told is None or not rank else told / divisor
        stated += [] if told is None else [told]
    distinct = tuple(sorted(set(stated)))
    return Scaling(scales, distinct, len(scales) - len(stated), tuple(problems))


def _setting_problems(own: Mapping[str, Any]) -> list[str]:
    """Find settings of another kind than PEFT writes."""
    problems: list[str] = []
    for key in ("r", "lora_alpha"):
        value = own.get(key)
        if value is not None and not _positive(value):
            problems.append(f"expected a number above 0 as {key} in its settings, found {value!r}")
    for key in ("rank_pattern", "alpha_pattern"):
        value = own.get(key) or {}
        if not isinstance(value, Mapping) or not all(map(_positive, value.values())):
            problems.append(f"expected numbers by name as {key} in its settings, found {value!r}")
    return problems


def _positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and value > 0


def _patterned(pattern: Mapping[str, Any] | None, name: str, default: Any) -> Any:
    """Return what PEFT takes for a Linear: the first pattern that its name ends in, or the rest."""
    for key, value in (pattern or {}).items():
        try:
            if re.match(rf"(.*\.)?({key})$", name):
                return value
        except re.error:
            continue
    return default


def stated_rank(settings: Mapping[str, Any], name: str) -> Any:
    """Return the rank that PEFT's settings state for a Linear; None where they do not."""
    return _patterned(settings.get("rank_pattern"), name, settings.get("r"))
