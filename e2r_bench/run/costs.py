"""What a method costs: parameters and multiply-adds of a small pass, peak memory of a real one.

The pass that is counted is one of its own, and its picture is thrown away: watched operations round
otherwise in the last bit. Seconds stand in timing.jsonl.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from e2r_baselines.degrade import Task
from e2r_baselines.method import Draw, Photo, Pixels, Restorer

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


SIDE = 128
"""Side in pixels, at most, of the picture that is counted on."""


@dataclass
class Counted:
    """What was seen of a call.

    Attributes:
        parameters: numbers in the parameters that were read; 0 where no network of torch ran.
        multiply_adds: of convolutions, matrix products and attention.
        height, width: of the picture.
    """

    parameters: int = 0
    multiply_adds: int = 0
    height: int = 0
    width: int = 0


def count(restorer: Restorer, one: Photo, task: Task, draw: Draw) -> Counted:
    """Return what a restorer's pass over (a part of) a picture takes.

    Args:
        restorer: ready to run; where torch does not run in it, zeros are returned.
        one: its upper left part of at most 128x128 is restored, and thrown away.
        task, draw: as for its pictures.
    """
    part = replace(
        one, pixels=_part(one.pixels), truth=None if one.truth is None else _part(one.truth)
    )
    with counting() as found:
        for _ in restorer.restore([part], task, [draw]):
            pass
    found.height, found.width = part.pixels.shape[:2]
    return found


def _part(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:SIDE, :SIDE])


@contextmanager
def counting() -> Generator[Counted]:
    """Count what torch does inside; nothing where nothing has imported torch yet."""
    found = Counted()
    if "torch" not in sys.modules:
        yield found
        return
    from torch.utils.flop_counter import FlopCounterMode

    read = _parameters_read()
    with FlopCounterMode(display=False) as flops, read:
        yield found
    found.parameters = sum(read.sizes.values())
    found.multiply_adds = flops.get_total_flops() // 2


def _parameters_read() -> Any:
    """Return a mode that notes each parameter that an operation reads, id -> size."""
    from torch.nn import Parameter
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class _Read(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.sizes: dict[int, int] = {}

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            del types
            for leaf in tree_leaves((args, kwargs)):
                if isinstance(leaf, Parameter):
                    self.sizes[id(leaf)] = leaf.numel()
            return func(*args, **(kwargs or {}))

    return _Read()


@dataclass
class Peak:
    """The most memory that was held since it was made, beyond what was held then.

    Attributes:
        device: a torch device; on the CPU it is this process's resident set.
    """

    device: str
    _before: int | None = field(init=False)

    def __post_init__(self) -> None:
        self._before = self._start()

    def _start(self) -> int | None:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device)
        try:
            _CLEAR.write_text("5")  # Linux: the peak starts anew
        except OSError:
            return None
        return _resident("VmRSS")

    def bytes(self) -> int | None:
        """Return the peak so far in bytes; None where this machine does not say."""
        if self._before is None:
            return None
        if self.device.startswith("cuda"):
            import torch

            return torch.cuda.max_memory_allocated(self.device) - self._before
        high = _resident("VmHWM")
        return None if high is None else max(0, high - self._before)


def _resident(name: str) -> int | None:
    """Return a line of the process's status in bytes."""
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(f"{name}:")]
    return int(found[0][1]) * 1024 if found else None
