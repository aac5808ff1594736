"""Loading a network only where every tensor matches, and naming what another file looks like."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from e2r_metrics.base.errors import UsageError

Signatures = Sequence[tuple[str, str]]
"""Networks by a key that only they have, the most specific first."""
_SHOWN = 4


def looks_like(tensors: Mapping[str, Tensor], signatures: Signatures) -> str:
    """Name the network a checkpoint belongs to, by a key that only that network has."""
    for name, key in signatures:
        if key in tensors:
            return name
    if any("lora_A" in key or "lora_down" in key for key in tensors):
        return "a LoRA adapter"
    return "no network known here"


def load_strict(
    network: nn.Module, tensors: Mapping[str, Tensor], path: Path, name: str, found: str
) -> None:
    """Copy a checkpoint into a network if all names and shapes agree.

    Args:
        network: receives the tensors, cast to its dtype.
        tensors: by the network's own names.
        path: the file they came from, for the message.
        name: what the network is called, for the message.
        found: what the file looks like, for the message.

    Raises:
        UsageError: names the file, the network it looks like, and the first keys that differ.
    """
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    if expected != shapes:
        raise UsageError(
            f"{path}: expected {name} ({len(expected)} tensors), found {found} ({len(shapes)}); "
            f"{_difference(expected, shapes)}"
        )
    network.load_state_dict(dict(tensors), strict=True)


def _difference(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> str:
    missing = [key for key in expected if key not in found]
    extra = [key for key in found if key not in expected]
    shapes = [
        f"{key} {found[key]} instead of {expected[key]}"
        for key in expected
        if key in found and found[key] != expected[key]
    ]
    parts = {"missing": missing, "unexpected": extra, "of another shape": shapes}
    return "; ".join(
        f"{len(keys)} {what}: {', '.join(keys[:_SHOWN])}{', ...' if len(keys) > _SHOWN else ''}"
        for what, keys in parts.items()
        if keys
    )
