"""EfficientNet-Lite0 features: what set metrics stand on where no InceptionV3 or CLIP is to be had.

They are measured and shown under their own names, never as FID or CMMD.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from e2r_metrics.base.checkpoints import load_in_order, read_tensors
from e2r_metrics.resize import pillow_bicubic

SIDE = 224


def open_extractor(
    identity: str, files: Mapping[str, Path], device: str
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Return the function from (H, W, 3) uint8 RGB to (1280,) float32.

    Raises:
        UsageError: the file holds another network.
    """
    from timm import create_model

    del identity
    path = files["efficientnet-lite0"]
    network: Any = create_model("tf_efficientnet_lite0", pretrained=False)
    load_in_order(network, list(read_tensors(path).values()), path)
    network = network.eval().requires_grad_(False).to(device)

    @torch.inference_mode()
    def extract(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        x = torch.from_numpy(pillow_bicubic(image, SIDE)).permute(2, 0, 1)[None].to(device)
        features = network.forward_features(x / 127.5 - 1)
        return features.mean((2, 3))[0].cpu().numpy()

    return extract
