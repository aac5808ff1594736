"""Estimated seconds of a 12 B editor on a GPU, from arithmetic alone: nobody measured them.

The floating-point operations of a step follow from FLUX.1's shape; what part of a GPU's peak a
pipeline reaches is assumed. A timing of one's own is better, and wins wherever there is one.
"""

from collections.abc import Mapping
from types import MappingProxyType

from e2r_metrics.base.errors import unknown

PEAKS: Mapping[str, float] = MappingProxyType(
    {"a100": 312e12, "h100": 989e12, "h200": 989e12, "l40s": 362e12}
)
"""Dense bfloat16 operations a second, from NVIDIA's data sheets (SXM where there are two)."""
REACHED = 0.4
"""Assumed: the part of the peak that is reached."""
BUILDS = ("FLUX.1-Kontext-dev",)
"""Builds that the arithmetic holds for; an adapter on them adds little."""

_WIDTH, _BLOCKS, _TEXT = 3072, 19 + 38, 512
_CELL = 16
"""Pixels of a token's side: 8 of the autoencoder, 2 of packing."""
_AUTOENCODER = 15e12
"""Operations for encoding and decoding a megapixel."""
_MEGAPIXEL = 1024 * 1024


def step_operations(pixels: float) -> float:
    """Return the floating-point operations of one step of Kontext's transformer.

    Args:
        pixels: of the picture as the model sees it; its tokens stand there twice, as target and as
            condition. Each token meets 12 width^2 weights in each block, and every other token.
    """
    tokens = 2 * pixels / _CELL**2 + _TEXT
    weights = 12 * _WIDTH**2
    return _BLOCKS * tokens * (2 * weights + 4 * tokens * _WIDTH)


def check_gpu(gpu: str) -> None:
    """Raise `UsageError` for a GPU that is not in the table."""
    if gpu not in PEAKS:
        raise unknown("GPU", gpu, PEAKS)


def estimated_seconds(gpu: str, steps: int, pixels: float) -> float:
    """Return the estimated seconds for one picture on a GPU.

    Raises:
        UsageError: a GPU that is not in the table.
    """
    check_gpu(gpu)
    autoencoder = _AUTOENCODER * pixels / _MEGAPIXEL
    return (steps * step_operations(pixels) + autoencoder) / (PEAKS[gpu] * REACHED)
