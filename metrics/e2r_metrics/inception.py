"""InceptionV3 features of 2015-12-05 for FID and KID, with each library's way to 299x299.

All variants run the one TorchScript network that clean-fid uses; the ports in other libraries hold
the same weights, and differ in what is done before.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from e2r_metrics.base.errors import UsageError
from e2r_metrics.resize import pillow_bicubic, tensorflow_bilinear, torch_bilinear

SIDE = 299


def prepare(identity: str, image: npt.NDArray[np.uint8]) -> Tensor:
    """Return the network's input, float32 (1, 3, 299, 299), near [-1, 1].

    Args:
        identity: the id of an extractor in the catalog.
        image: (H, W, 3) uint8 RGB.
    """
    if identity == "inception-clean":
        x = torch.from_numpy(pillow_bicubic(image, SIDE)).permute(2, 0, 1)[None]
        return (x - 128) / 128
    x = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    if identity == "inception-tm17":
        return (tensorflow_bilinear(x, SIDE) - 128) / 128
    if identity == "inception-tm":
        return (torch_bilinear(x, SIDE, antialias=True) - 128) / 128
    return 2 * torch_bilinear(x / 255, SIDE, antialias=False) - 1


def open_extractor(
    identity: str, files: Mapping[str, Path], device: str
) -> Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]:
    """Return the function from (H, W, 3) uint8 RGB to (2048,) float32.

    Raises:
        UsageError: the file is not the TorchScript network.
    """
    path = files["inception-2015-12-05"]
    try:
        layers = torch.jit.load(str(path), map_location=device).eval().layers
    except (RuntimeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"{path}: expected the TorchScript InceptionV3 with its `layers`: "
            f"{str(error).splitlines()[0]}"
        ) from error

    @torch.inference_mode()
    def extract(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        features = layers(prepare(identity, image).to(device))
        return features.reshape(-1).cpu().numpy()

    return extract
