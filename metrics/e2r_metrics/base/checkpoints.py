"""The one reader of checkpoints: nothing but tensors is read, and nothing in a file is run.

Formats: safetensors; torch files restricted to tensors (`weights_only`); pickles of plain NumPy
arrays. What a training framework wraps around the tensors is taken off: Lightning's `state_dict`,
prefixes such as `net.`.
"""

import importlib
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor

from e2r_metrics.base.errors import UsageError

# In order of preference: where raw and averaged weights stand side by side, authors evaluate the
# averaged ones.
WRAPPERS = ("params_ema", "ema", "state_dict", "params", "model_state_dict", "model", "net")
_PREFIXES = ("ema_model.", "net.", "module.", "model.", "_orig_mod.")
_SHOWN = 4

# What a pickle of plain arrays needs, and nothing else; NumPy 2 moved one module.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("collections", "OrderedDict"): ("collections", "OrderedDict"),
    ("_codecs", "encode"): ("_codecs", "encode"),
}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint's tensors on the CPU by name, wrappers and prefixes taken off.

    Raises:
        UsageError: the file is missing, damaged, holds no tensors, or is a pickle with code.
    """
    content = read_checkpoint(path)
    wrapper = wrapper_of(content)
    if wrapper:
        content = content[wrapper]
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
    if not tensors:
        raise UsageError(
            f"{path}: expected a checkpoint with named tensors, found none (top level: "
            f"{', '.join(map(str, list(content)[:_SHOWN])) or 'empty'}); give the weights file"
        )
    return _without_prefix(tensors)


def wrapper_of(content: Mapping[str, Any]) -> str:
    """Return the key under which a checkpoint keeps its tensors, "" where they lie open."""
    return next((name for name in WRAPPERS if isinstance(content.get(name), Mapping)), "")


def read_checkpoint(path: Path) -> Mapping[str, Any]:
    """Read a safetensors or torch file as it is: a mapping, with tensors on the CPU.

    Raises:
        UsageError: the file is missing, damaged, no mapping, or a pickle with code.
    """
    if not path.is_file():
        raise UsageError(f"{path}: expected a checkpoint, found no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path}: expected tensors only, found a pickle that asks to run code or is no pickle "
            f"({_first_line(error)}); refused: convert it to safetensors where you trust it"
        ) from error
    except Exception as error:  # a damaged file raises whatever the parser meets
        raise UsageError(
            f"{path}: expected a torch or safetensors checkpoint, found a file that cannot be "
            f"read ({_first_line(error)}); download it again"
        ) from error
    if not isinstance(content, Mapping):
        raise UsageError(
            f"{path}: expected a mapping of names to tensors, found {type(content).__name__}; "
            "save the state_dict, not the object"
        )
    return content


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    named = [line.strip() for line in lines if "GLOBAL" in line]
    return (named or lines or [type(error).__name__])[0][:200]


def _without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take off prefixes until none is left; tensors beside a prefixed network are losses."""
    for prefix in _PREFIXES:
        inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        # DnCNN's own layers are called "model.0", so a prefix must leave a name behind.
        if inside and not any(key[:1].isdigit() for key in inside):
            return _without_prefix(inside)
    return dict(tensors)


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise UsageError(f"expected a pickle of arrays, found one that names {module}.{name}")
        home, attribute = _ALLOWED[module, name]
        return getattr(importlib.import_module(home), attribute)


def read_arrays(path: Path) -> dict[str, Tensor]:
    """Read nested dictionaries of NumPy arrays from a pickle, as tensors by dotted name.

    Raises:
        UsageError: the pickle holds anything but arrays and dictionaries, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            tree = _ArrayUnpickler(stream).load()
    except UsageError as error:
        raise UsageError(f"{path}: {error}; refused") from error
    except Exception as error:  # a damaged pickle raises whatever the parser meets
        raise UsageError(
            f"{path}: expected a pickle of arrays: {_first_line(error)}; download it again"
        ) from error
    if not isinstance(tree, Mapping):
        raise UsageError(f"{path}: expected named arrays, found {type(tree).__name__}")
    return dict(_flat(tree, "", path))


def read_archive(path: Path, root: str) -> dict[str, Tensor]:
    """Read the arrays of an .npz whose names begin with `root`, as tensors by the rest of the name.

    Raises:
        UsageError: no such archive, none of those names in it, or arrays that are no numbers.
    """
    if not path.is_file():
        raise UsageError(f"{path}: expected an .npz of arrays, found no such file")
    if not is_zipfile(path):  # NumPy would go on to a pickle, and say how to load one
        raise UsageError(f"{path}: expected an .npz of arrays, found another kind of file")
    try:
        with np.load(path, allow_pickle=False) as found:
            names = [name for name in found.files if name.startswith(root)]
            arrays = {name.removeprefix(root): torch.from_numpy(found[name]) for name in names}
            others = ", ".join(found.files[:_SHOWN])
    except Exception as error:  # a damaged archive raises whatever the parser meets
        raise UsageError(
            f"{path}: expected an .npz of arrays, found a file that cannot be read as one "
            f"({_first_line(error)})"
        ) from error
    if not arrays:
        raise UsageError(f"{path}: expected arrays under {root}, found {others or 'nothing'}")
    return arrays


def _flat(tree: Mapping[str, Any], prefix: str, path: Path) -> Iterator[tuple[str, Tensor]]:
    for key, value in tree.items():
        if isinstance(value, np.ndarray):
            yield f"{prefix}{key}", torch.from_numpy(np.ascontiguousarray(value))
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.", path)
        else:
            raise UsageError(
                f"{path}: expected arrays only, found {type(value).__name__} at {prefix}{key}"
            )


def load_in_order(network: torch.nn.Module, tensors: list[Tensor], path: Path) -> None:
    """Copy tensors into a network whose parameters come in the same order with other names.

    Raises:
        UsageError: another number of tensors, or another shape.
    """
    own = network.state_dict()
    shapes = [tuple(t.shape) for t in own.values()]
    given = [tuple(t.shape) for t in tensors]
    if shapes != given:
        at = next((i for i, (a, b) in enumerate(zip(shapes, given, strict=False)) if a != b), -1)
        raise UsageError(
            f"{path}: expected {len(shapes)} tensors of {type(network).__name__}, found "
            f"{len(given)}; the first difference is at {at}"
        )
    network.load_state_dict(dict(zip(own, tensors, strict=True)))
