"""The embedded miniatures: small models of real pipeline classes that stand in for releases."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from e2r_adapters.editors.releases import NANO


@dataclass(frozen=True)
class Miniature:
    """A model that is embedded under its name, which is that of its table in weights.toml too.

    Attributes:
        family: of editing models.
        adapters: the table of its adapters in weights.toml.
        kinds: of tasks that they are for.
    """

    family: str
    adapters: str
    kinds: frozenset[str]


MINIATURES: Mapping[str, Miniature] = MappingProxyType(
    {
        NANO: Miniature(
            "kontext", "kontext-nano-adapters", frozenset({"denoise", "derain", "dehaze"})
        ),
        "fill-nano": Miniature("fill", "fill-nano-adapters", frozenset({"denoise"})),
        "klein-nano": Miniature("klein", "klein-nano-adapters", frozenset({"denoise"})),
    }
)


def miniature_folder(name: str) -> Path:
    """Return the folder of an embedded miniature."""
    return Path(__file__).parents[1] / "embedded" / name


def miniature_of(family: str) -> str | None:
    """Return the name of a family's miniature, None where there is none."""
    return next((name for name, one in MINIATURES.items() if one.family == family), None)
