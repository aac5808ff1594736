"""HyperIQA (Su et al., CVPR 2020), trained on KonIQ-10k: of one picture alone.

The mean over crops of 224x224 of the picture at 512x384; higher is better.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from torch import Tensor

from e2r_metrics.base.draws import rng_for
from e2r_metrics.hyperiqa_network import PUBLISHED, SIDE, load_hyperiqa
from e2r_metrics.images import Image, PerImage, check_image, to_uint8

WEIGHTS = "hyperiqa-koniq"
HEIGHT, WIDTH = 512, 384
"""What every picture is resized to: the authors' order, in which a landscape becomes upright."""
VARIANTS: Mapping[str, int] = MappingProxyType({"seeded25": 25, "seeded10": 10})
"""How many places: as in the authors' test, and in their script for one picture."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def places(variant: str) -> list[tuple[int, int]]:
    """Return top and left of each crop, the same for every picture.

    The authors draw evenly, anew for each picture and run. Of places that all pictures share, a
    difference of two of them has none of that chance in it. Those of `seeded10` are the first
    of `seeded25`.
    """
    drawn = rng_for(0, "", "hyperiqa crops").integers(
        0, (HEIGHT - SIDE + 1, WIDTH - SIDE + 1), (max(VARIANTS.values()), 2)
    )
    return [(int(top), int(left)) for top, left in drawn[: VARIANTS[variant]]]


def prepare(image: Image) -> Tensor:
    """Return float32 (3, 512, 384) with ImageNet's moments, as torchvision makes it.

    Args:
        image: a checked picture, (H, W, 3); floats are rounded to 8 bits first. Its aspect is not
            kept; Pillow's bilinear filter, with antialias, in 8 bits.
    """
    resized = Pillow.fromarray(to_uint8(image)).resize((WIDTH, HEIGHT), Pillow.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(part).view(3, 1, 1) for part in (_MEAN, _STD))
    return (pixels - mean) / std


def crops(image: Image, variant: str) -> Tensor:
    """Return float32 (25 or 10, 3, 224, 224) of a checked picture, as `prepare` makes it."""
    pixels = prepare(image)
    parts = [pixels[:, top : top + SIDE, left : left + SIDE] for top, left in places(variant)]
    return torch.stack(parts)


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant; it looks at the restored images alone, one at a time."""
    network = load_hyperiqa(files[WEIGHTS], PUBLISHED).to(device)

    @torch.inference_mode()
    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        del clean
        for image in restored:
            check_image(image, "restored")
        scores = (network(crops(image, variant).to(device)) for image in restored)
        return np.array([float(found.double().mean()) for found in scores])

    return measure
