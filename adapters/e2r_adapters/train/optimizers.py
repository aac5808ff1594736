"""AdamW over what is trained, in 32 bits, or with moments of 8 where that can be."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from e2r_metrics.base.errors import UsageError, unknown

if TYPE_CHECKING:
    import torch

Optimizer = Literal["adamw", "adamw8bit"]
OPTIMIZERS: tuple[Optimizer, ...] = ("adamw", "adamw8bit")


def check_optimizer(name: Optimizer, device: str) -> None:
    """Refuse an optimizer that this machine does not have; nothing is put in its place.

    Args:
        name: one of `OPTIMIZERS`.
        device: "auto", "cpu" or "cuda".

    Raises:
        UsageError: another name, no CUDA device, or no bitsandbytes.
    """
    if name not in OPTIMIZERS:
        raise unknown("optimizer", name, OPTIMIZERS)
    if name == "adamw":
        return
    import torch

    if device == "cpu" or not torch.cuda.is_available():
        raise UsageError(
            "--optimizer adamw8bit: expected a CUDA device, which bitsandbytes' needs, found the "
            "CPU; give --optimizer adamw"
        )
    if find_spec("bitsandbytes") is None:
        raise UsageError(
            "--optimizer adamw8bit: expected bitsandbytes, found none; pip install "
            "'e2r-bench[quantize]', or give --optimizer adamw"
        )


def make_optimizer(
    name: Optimizer, groups: Sequence[dict[str, Any]], betas: tuple[float, float]
) -> "torch.optim.Optimizer":
    """Return an optimizer over groups of parameters, each with its rate and weight decay."""
    if name == "adamw":
        import torch

        return torch.optim.AdamW(groups, betas=betas)
    eight_bits: Any = import_module("bitsandbytes.optim")
    return eight_bits.AdamW8bit(groups, betas=betas)
