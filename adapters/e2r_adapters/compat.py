"""Whether the installed PEFT suits a network's library and an adapter's file, asked beforehand."""

import inspect
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from packaging.version import Version

from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

TOGETHER = ("diffusers>=0.42,<0.43", "transformers>=5,<5.24", "peft>=0.20,<0.22")
"""pyproject.toml's ranges, in which no library asks for a newer PEFT than the lowest.

Written out, because an editable install's metadata still has the ranges of the day it was made.
"""


def check_peft(network: "torch.nn.Module") -> None:
    """Stop where the library of a network needs a newer PEFT than the installed one.

    Args:
        network: a diffusers or transformers model, both of which have `add_adapter`.

    Raises:
        UsageError: what was found, what is needed, and the command that installs a working pair.
    """
    needed = peft_needed(network)
    if needed is None:
        return
    library = _adding(network).partition(".")[0]
    said = misfit(library, version(library), needed, version("peft"))
    if said is not None:
        raise UsageError(said)


def peft_needed(network: "torch.nn.Module") -> str | None:
    """Return the lowest PEFT that a network's library says it needs, None where it says nothing.

    Both libraries keep it as `MIN_PEFT_VERSION` in the module that adds adapters.
    """
    return getattr(sys.modules[_adding(network)], "MIN_PEFT_VERSION", None)


def _adding(network: "torch.nn.Module") -> str:
    """Return the name of the module whose `add_adapter` a network has, subclassed or not."""
    return cast("Any", network).add_adapter.__module__


def misfit(library: str, found: str, needed: str, peft: str) -> str | None:
    """Return one line about a PEFT that is too old for a library, None where it suits.

    Args:
        library, found: name and installed version of the library that adds the adapter.
        needed: the lowest PEFT that it accepts.
        peft: the installed PEFT.
    """
    if Version(peft) >= Version(needed):
        return None
    ranges = " ".join(f"'{item}'" for item in TOGETHER)
    return (
        f"a LoRA through {library} {found} needs peft >= {needed}, found peft {peft}; "
        f"versions that work together: pip install {ranges}"
    )


def known_settings(said: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return an adapter's settings without those that only a newer PEFT has and that are off.

    A file written with a newer PEFT lists every setting there was, and an older one stops at the
    first name that it does not know.

    Args:
        said: "network.setting" -> value, as diffusers keeps them in an adapter's header.
        what: names the adapter in an error.

    Raises:
        UsageError: a setting that this PEFT has not is on.
    """
    from peft import LoraConfig

    known = inspect.signature(LoraConfig).parameters
    strange = {key: value for key, value in said.items() if key.rpartition(".")[2] not in known}
    for key, value in strange.items():
        if value not in (None, False, [], {}):
            raise UsageError(
                f"{what}: expected settings that peft {version('peft')} has, found {key} = "
                f"{value!r} of a newer one; pip install -U peft, or convert the adapter"
            )
    return {key: value for key, value in said.items() if key not in strange}
