"""Checkpoints of a training: everything needed to go on to the same bits.

No generator state is kept, because there is none: every draw is a function of the seed and the
step, so the weights, their average where one is kept, the optimizer's moments and the step number
are the whole state.
"""

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e2r_metrics.base.checkpoints import read_checkpoint
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import replacing

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
    training: str,
    average: Sequence["torch.Tensor"] = (),
) -> Path:
    """Write `checkpoints/step<step>.pt` whole or not at all, and drop all but the newest two.

    Args:
        out: folder of the training.
        step: optimizer steps done.
        trained: the parameters.
        optimizer: over them.
        training: digest of what decides the training; no other may go on from here.
        average: of the parameters; empty where none is kept.

    Raises:
        OSError: the disk is full; older checkpoints are untouched.
    """
    import torch

    folder = out / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step{step:06d}.pt"
    state = {
        "training": training,
        "step": step,
        "trained": [parameter.detach().cpu() for parameter in trained],
        "optimizer": optimizer.state_dict(),
    }
    if average:
        state["average"] = [held.cpu() for held in average]
    state = _in_order(state)
    state["sha256"] = _digest(state)
    try:
        with replacing(path) as stream:
            torch.save(state, stream)
    except RuntimeError as error:
        # torch's zip writer reports a full disk as RuntimeError.
        raise OSError(f"cannot write {path}: {error}") from error
    for old in found(out)[:-_KEPT]:
        old.unlink()
    return path


def found(out: Path) -> list[Path]:
    """Return the checkpoints of a training, oldest first."""
    folder = out / _FOLDER
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def read(
    path: Path,
    trained: Sequence["torch.nn.Parameter"],
    optimizer: "torch.optim.Optimizer",
    training: str,
    average: Sequence["torch.Tensor"] = (),
) -> int:
    """Put a checkpoint's weights, moments and average in place and return its step.

    Raises:
        UsageError: the file is broken or of another training.
    """
    import torch

    try:
        state = _whole(path)
    except UsageError as error:
        raise UsageError(
            f"{error}; delete {path.name}, and the same command goes on from the one before"
        ) from error
    said, tensors = state.get("training"), state.get("trained", ())
    shapes = [tuple(tensor.shape) for tensor in tensors if isinstance(tensor, torch.Tensor)]
    if said != training or shapes != [tuple(parameter.shape) for parameter in trained]:
        raise UsageError(f"{path}: a checkpoint of another training; choose another --out")
    with torch.no_grad():
        for parameter, tensor in zip(trained, tensors, strict=True):
            parameter.copy_(tensor)
        for held, tensor in zip(average, state.get("average", ()), strict=True):
            held.copy_(tensor)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _whole(path: Path) -> Mapping[str, Any]:
    """Read a checkpoint as it was written: torch checks no sum, and a flipped bit would go on."""
    state = read_checkpoint(path)
    found = _digest({key: value for key, value in state.items() if key != "sha256"})
    # One without "training" is somebody else's; that is told apart by whoever reads it.
    if "training" in state and state.get("sha256") != found:
        raise UsageError(f"{path}: expected a checkpoint as it was written, found another content")
    return state


def _in_order(value: Any) -> Any:
    """Return nested values whose pickle depends on them alone: after a resume it is the same.

    An optimizer that was loaded keeps its settings in another order, and pickles refer to equal
    strings by identity.
    """
    if isinstance(value, Mapping):
        return {_in_order(key): _in_order(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return type(value)(_in_order(one) for one in value)
    if isinstance(value, str):
        return sys.intern(value)
    return value


def _digest(state: Any) -> str:
    """Return the sha256 of nested mappings, sequences, tensors and plain values."""
    import torch

    whole = hashlib.sha256()
    stack = [state]
    while stack:
        value = stack.pop()
        if isinstance(value, torch.Tensor):
            flat = value.detach().cpu().contiguous().reshape(-1)
            whole.update(f"{value.dtype} {tuple(value.shape)}".encode())
            whole.update(flat.view(torch.uint8).numpy().data)
        elif isinstance(value, Mapping):
            whole.update(repr(list(value)).encode())
            stack += value.values()
        elif isinstance(value, list | tuple):
            whole.update(str(len(value)).encode())
            stack += value
        else:
            whole.update(repr(value).encode())
    return whole.hexdigest()
