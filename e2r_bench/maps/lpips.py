"""Spatial LPIPS as a map: the one map that needs weights, and torch."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from e2r_bench.maps.compute import SpatialLpips


def open_spatial(files: Mapping[str, Path]) -> "SpatialLpips":
    """Return LPIPS v0.1 (alex) by pixel, (H, W) float32, from its two weight files.

    Raises:
        UsageError: a file that holds another network.
    """
    from e2r_metrics.lpips import load_lpips, lpips_map

    return partial(lpips_map, load_lpips("alex", files))
