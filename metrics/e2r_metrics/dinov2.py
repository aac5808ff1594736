"""DINOv2 features (Oquab et al., TMLR 2024) for Frechet distances (Stein et al., NeurIPS 2023)."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.errors import UsageError
from e2r_metrics.resize import pillow_bicubic

SIDE, PATCH = 224, 14
ARCHITECTURES: Mapping[str, str] = MappingProxyType(
    {"dinov2-vit-b-14": "vit_base_patch14_dinov2", "dinov2-vit-l-14": "vit_large_patch14_dinov2"}
)
"""timm's names, by weight file."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load_dinov2(identity: str, path: Path) -> Any:
    """Return timm's network for 224x224 with the weights in `path`, which are for 518x518.

    Raises:
        UsageError: the file holds another network.
    """
    from timm import create_model

    name = ARCHITECTURES[identity]
    network: Any = create_model(name, pretrained=False, img_size=SIDE, num_classes=0)
    state = dict(read_tensors(path))
    try:
        state["pos_embed"] = at_grid(state["pos_embed"], SIDE // PATCH)
        network.load_state_dict(state, strict=True)
    except (KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: expected the weights of timm's {name}: {reason}") from error
    return network.eval().requires_grad_(False)


def at_grid(positions: Tensor, side: int) -> Tensor:
    """Return (1, 1 + side^2, D) position embeddings from (1, 1 + n^2, D), as the reference does.

    Bicubic without antialias, by the factor (side + 0.1) / n: the reference adds the tenth against
    rounding, and it moves the samples.
    """
    own, grid = positions[:, :1], positions[:, 1:]
    n = round(grid.shape[1] ** 0.5)
    planes = grid.reshape(1, n, n, -1).permute(0, 3, 1, 2).float()
    planes = F.interpolate(planes, scale_factor=(side + 0.1) / n, mode="bicubic")
    return torch.cat([own.float(), planes.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)


def open_extractor(
    identity: str, files: Mapping[str, Path], device: str
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Return the function from (H, W, 3) uint8 RGB to (D,) float32: the class token, normalised.

    Raises:
        UsageError: the file holds another network.
    """
    network = load_dinov2(identity, files[identity]).to(device)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in (_MEAN, _STD))

    @torch.inference_mode()
    def extract(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = torch.from_numpy(pillow_bicubic(image, SIDE)).permute(2, 0, 1)[None] / 255
        return network.forward_features(((x - mean) / std).to(device))[0, 0].cpu().numpy()

    return extract
