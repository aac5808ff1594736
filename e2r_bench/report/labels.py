"""How methods, draws and numbers are named wherever a person reads them."""

import math

from e2r_baselines.method import Draw
from e2r_bench.store.info import MethodInfo, marked
from e2r_bench.store.store import Store


def label_build(name: str, info: MethodInfo) -> str:
    """Return what an instance really ran with, where its name does not say it already.

    Such as "kontext-nano (miniature, edition 3)", or "kontext_lora, kontext-nano (miniature,
    edition 3)" for an instance that has a name of its own.
    """
    parts = [info.method] if info.method != name else []
    if info.build not in ("control", info.method, name):
        parts.append(info.build)
    if not info.miniature:
        return ", ".join(parts)
    return marked(", ".join(parts)) if parts else "miniature"


def label_draw(store: Store, method: str, draw: Draw) -> str:
    """Return the seed, where a run has several, and the steps of a method that has any."""
    info = store.info.methods[method]
    parts = [f"seed {draw.seed}"] if info.stochastic and len(store.info.seeds) > 1 else []
    parts += [f"{draw.steps} steps"] if info.stepped else []
    return ", ".join(parts)


def number(value: float, unit: str = "") -> str:
    """Return a number with the digits that its size deserves; infinity as its sign."""
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if math.isnan(value):
        return "undefined"
    return f"{value:.{_digits(value, unit)}f}".replace("-", "−")


def spread(half: float, value: float, unit: str = "") -> str:
    """Return half of an interval with its value's digits, and more where those would show none."""
    digits = _digits(value, unit)
    if 0 < half < 0.5 * 10**-digits:
        digits = -math.floor(math.log10(half))
    return f"{half:.{digits}f}"


def _digits(value: float, unit: str) -> int:
    return 2 if unit == "dB" or unit.startswith("%") or abs(value) >= 10 else 4
