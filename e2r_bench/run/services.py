"""The machine a run stands on: device, weight files, metric networks and the feature store."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e2r_bench.run.config import Experiment
from e2r_metrics.base.errors import UsageError

if TYPE_CHECKING:
    from e2r_metrics import Session
    from e2r_metrics.base.weights import Resolver

_DECLARED_IN = ("e2r_metrics", "e2r_baselines", "e2r_adapters")


def open_resolver(
    directories: Sequence[Path], offline: bool, say: Callable[[str], None]
) -> "Resolver":
    """Return the one resolver, knowing the files that all three packages declare.

    Raises:
        UsageError: a folder of weights that is not there; without it a miniature might run instead.
    """
    for folder in directories:
        if not folder.is_dir():
            raise UsageError(
                f"--weights {folder}: expected a folder of weight files, found no such folder"
            )
    from e2r_metrics.base.declarations import declarations_of
    from e2r_metrics.base.weights import Resolver

    merged = {name: row for p in _DECLARED_IN for name, row in declarations_of(p).items()}
    return Resolver(merged, directories, offline=offline, say=say)


def open_services(
    experiment: Experiment, say: Callable[[str], None]
) -> tuple["Resolver", "Session", str]:
    """Return resolver, metric session and the torch device that an experiment runs on."""
    from e2r_metrics import FeatureStore, Session

    resolver = open_resolver(experiment.weights, experiment.offline, say)
    device = choose_device(experiment.device)
    return resolver, Session(resolver, FeatureStore(), device), device


def choose_device(asked: str) -> str:
    """Return a torch device; "auto" is the first CUDA device, else the CPU.

    Raises:
        UsageError: the device asked for is not on this machine.
    """
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=asked)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"--device {asked}: expected a device of this machine: {reason}"
        ) from error
    return asked
