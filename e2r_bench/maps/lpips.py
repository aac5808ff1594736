"""Spatial LPIPS as a map: the one map that needs weights, and torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from e2r_bench.maps.bands import Map
from e2r_metrics.base.pictures import EightBit

if TYPE_CHECKING:
    import torch

    from e2r_bench.maps.compute import SpatialLpips


def open_spatial(files: Mapping[str, Path]) -> "SpatialLpips":
    """Return LPIPS v0.1 (alex) by pixel, (H, W) float32, from its two weight files.

    Raises:
        UsageError: a file that holds another network.
    """
    import torch

    from e2r_metrics.lpips import load_lpips, lpips_spatial

    network = load_lpips("alex", files)

    def spatial(restored: EightBit, clean: EightBit) -> Map:
        with torch.inference_mode():
            found = lpips_spatial(network, _tensor(restored), _tensor(clean))
        return found[0].numpy()

    return spatial


def _tensor(image: EightBit) -> "torch.Tensor":
    import torch

    unit = image.astype(np.float32) / 255
    return torch.from_numpy(np.ascontiguousarray(unit.transpose(2, 0, 1)))[None]
