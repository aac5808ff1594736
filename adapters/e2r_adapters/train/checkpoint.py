"""Checkpoints of a training: everything needed to go on to the same bits.

No generator state is kept, because there is none: every draw is a function of the seed and the
step, so the weights, the optimizer's moments and the step number are the whole state.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    import torch

_FOLDER = "checkpoints"
_NAME = re.compile(r"step(\d+)\.pt")
# The one before the newest is kept too: should the newest turn out bad, there is one to go back to.
_KEPT = 2


def write(
    out: Path,
    step: int,
    trained: Sequence["torch.nn.Parameter"],
    optimizer: "torch.optim.Optimizer",
) -> Path:
    """Write `checkpoints/step<step>.pt` whole or not at all, and drop all but the newest two.

    Raises:
        OSError: the disk is full; older checkpoints are untouched.
    """
    import torch

    folder = out / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step{step:06d}.pt"
    temporary = folder / f".{path.name}.part"
    state = {
        "step": step,
        "trained": [parameter.detach().cpu() for parameter in trained],
        "optimizer": optimizer.state_dict(),
    }
    try:
        with temporary.open("wb") as stream:
            torch.save(state, stream)
        os.replace(temporary, path)
    except RuntimeError as error:
        # torch's zip writer reports a full disk as RuntimeError.
        raise OSError(f"cannot write {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    for old in found(out)[:-_KEPT]:
        old.unlink()
    return path


def found(out: Path) -> list[Path]:
    """Return the checkpoints of a training, oldest first."""
    folder = out / _FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def step_of(path: Path) -> int:
    """Return the number of optimizer steps that a checkpoint has done."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise UsageError(f"{path}: expected a checkpoint named step<number>.pt")
    return int(match[1])


def read(
    path: Path,
    trained: Sequence["torch.nn.Parameter"],
    optimizer: "torch.optim.Optimizer",
) -> int:
    """Put a checkpoint's weights and moments in place and return its step.

    Raises:
        UsageError: the file is broken or of another training.
    """
    import torch

    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise UsageError(f"{path}: expected a checkpoint, found: {error}; delete it") from error
    shapes = [tuple(tensor.shape) for tensor in state["trained"]]
    if shapes != [tuple(parameter.shape) for parameter in trained]:
        raise UsageError(f"{path}: a checkpoint of another network; choose another --out")
    with torch.no_grad():
        for parameter, tensor in zip(trained, state["trained"], strict=True):
            parameter.copy_(tensor)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
