"""Reading checkpoints without running what is in them."""

import importlib
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from e2r_metrics.errors import MetricError

# What a pickle of plain arrays needs, and nothing else; NumPy 2 moved one module.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("collections", "OrderedDict"): ("collections", "OrderedDict"),
    ("_codecs", "encode"): ("_codecs", "encode"),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise MetricError(f"expected a pickle of arrays, found one that names {module}.{name}")
        home, attribute = _ALLOWED[module, name]
        return getattr(importlib.import_module(home), attribute)


def read_arrays(path: Path) -> dict[str, torch.Tensor]:
    """Read nested dictionaries of NumPy arrays from a pickle, as tensors by dotted name.

    Raises:
        MetricError: the pickle holds anything but arrays and dictionaries.
    """
    try:
        with path.open("rb") as stream:
            tree = _ArrayUnpickler(stream).load()
    except (pickle.UnpicklingError, EOFError, AttributeError) as error:
        raise MetricError(f"{path}: expected a pickle of arrays: {error}") from error
    return dict(_flat(tree, ""))


def _flat(tree: Mapping[str, Any], prefix: str) -> OrderedDict[str, torch.Tensor]:
    found: OrderedDict[str, torch.Tensor] = OrderedDict()
    for key, value in tree.items():
        if isinstance(value, np.ndarray):
            found[f"{prefix}{key}"] = torch.from_numpy(np.ascontiguousarray(value))
        elif isinstance(value, Mapping):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            raise MetricError(f"expected arrays only, found {type(value).__name__} at {key}")
    return found


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dictionary: safetensors, or a torch file with weights only.

    Raises:
        MetricError: neither of these.
    """
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise MetricError(f"{path}: expected a state dictionary of tensors: {reason}") from error


def load_in_order(network: torch.nn.Module, tensors: list[torch.Tensor], path: Path) -> None:
    """Copy tensors into a network whose parameters come in the same order with other names.

    Raises:
        MetricError: another number of tensors, or another shape.
    """
    own = network.state_dict()
    shapes = [tuple(t.shape) for t in own.values()]
    given = [tuple(t.shape) for t in tensors]
    if shapes != given:
        at = next((i for i, (a, b) in enumerate(zip(shapes, given, strict=False)) if a != b), -1)
        raise MetricError(
            f"{path}: expected {len(shapes)} tensors of {type(network).__name__}, found "
            f"{len(given)}; the first difference is at {at}"
        )
    network.load_state_dict(dict(zip(own, tensors, strict=True)))
