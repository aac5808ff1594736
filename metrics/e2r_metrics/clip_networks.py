"""OpenAI's CLIP through open_clip's network code, with weights from a local file."""

import warnings
from pathlib import Path
from typing import Any, Literal
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor

from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.errors import UsageError

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
# Entries of OpenAI's archives that are settings, not parameters.
_SETTINGS = ("input_resolution", "context_length", "vocab_size")


Architecture = Literal[
    "RN50-quickgelu", "ViT-B-32-quickgelu", "ViT-L-14-quickgelu", "ViT-L-14-336-quickgelu"
]


def load_clip(name: Architecture, path: Path, device: str) -> Any:
    """Return open_clip's CLIP of one architecture with the weights in `path`, in float32.

    Args:
        name: open_clip's name of the architecture; OpenAI trained with the quick GELU.
        path: OpenAI's TorchScript archive, or a state dictionary with the same keys.
        device: a torch device.

    Raises:
        UsageError: the file holds another network.
    """
    import open_clip

    network = open_clip.create_model(name, pretrained=None, precision="fp32")
    state = {key: value.float() for key, value in _state(path).items() if key not in _SETTINGS}
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: expected the weights of CLIP {name}: {reason}") from error
    return network.eval().requires_grad_(False).to(device)


def _state(path: Path) -> dict[str, Tensor]:
    if not _is_script(path):
        return read_tensors(path)
    with warnings.catch_warnings():
        # PyTorch calls the format old; OpenAI published no other.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
        except RuntimeError as error:
            raise UsageError(f"{path}: expected a TorchScript archive, found a damaged one; "
                             "download it again") from error  # fmt: skip


def _is_script(path: Path) -> bool:
    """Return whether a file is a TorchScript archive, which alone has constants in it."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())
