"""MANIQA (Yang et al., CVPR Workshops 2022), trained on KonIQ-10k: of one picture alone.

The mean over crops of 224x224; higher is better.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from e2r_metrics.base.errors import PictureError
from e2r_metrics.images import Image, PerImage, check_image, to_unit
from e2r_metrics.maniqa_network import PUBLISHED, SIDE, load_maniqa

WEIGHTS = "maniqa-koniq"
_SEED, _CROPS = 20, 20

Corner = tuple[int, int]
"""Top and left of a crop."""


def seeded_corners(height: int, width: int) -> Iterator[Corner]:
    """Yield the 20 places that the authors' script for one picture draws, which seeds with 20.

    Each picture is drawn for anew. A side of 224 has one place, where that script fails.
    """
    # NumPy keeps the numbers of this generator as they are.
    rng = np.random.RandomState(_SEED)
    for _ in range(_CROPS):
        top, left = (int(rng.randint(0, max(n - SIDE, 1))) for n in (height, width))
        yield top, left


def five_corners(height: int, width: int) -> Iterator[Corner]:
    """Yield the four corners and the centre, as the authors' script for PIPAL does."""
    bottom, right = height - SIDE, width - SIDE
    yield from ((0, 0), (0, right), (bottom, 0), (bottom, right))
    yield height // 2 - SIDE // 2, width // 2 - SIDE // 2


VARIANTS: Mapping[str, Callable[[int, int], Iterator[Corner]]] = MappingProxyType(
    {"seed20": seeded_corners, "five": five_corners}
)


def crops(image: Image, variant: str) -> Iterator[torch.Tensor]:
    """Yield float32 (1, 3, 224, 224) in [-1, 1] of a checked picture, (H, W, 3).

    Raises:
        PictureError: a side below 224.
    """
    height, width = image.shape[:2]
    if min(height, width) < SIDE:
        raise PictureError(f"MANIQA needs sides of at least {SIDE}, found {height}x{width}")
    pixels = torch.from_numpy(to_unit(image)).permute(2, 0, 1)[None] * 2 - 1
    for top, left in VARIANTS[variant](height, width):
        yield pixels[..., top : top + SIDE, left : left + SIDE].contiguous()


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant; it looks at the restored images alone, crop by crop."""
    network = load_maniqa(files[WEIGHTS], PUBLISHED).to(device)

    @torch.inference_mode()
    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        del clean
        for image in restored:
            check_image(image, "restored")
        scores = ([float(network(x.to(device))) for x in crops(z, variant)] for z in restored)
        return np.array([float(np.mean(found)) for found in scores])

    return measure
