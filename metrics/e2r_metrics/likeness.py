"""How alike two pictures are to a network: CLIP-I and DINO, the identity scores of image editing.

As the evaluation of MagicBrush (Zhang et al., NeurIPS 2023) computes them, which later papers of
editors took over: the cosine of the features of the whole pictures; higher is better.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from torch import Tensor

from e2r_metrics import clip_networks
from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.layouts import load_strict
from e2r_metrics.images import Image, PerImage, check_pairs, to_uint8

SIDE = 224
DINO: Mapping[str, Any] = MappingProxyType({"embed_dim": 384, "depth": 12, "num_heads": 6})
"""Of ViT-S, as timm's arguments name it."""

Encoder = Callable[[Tensor], Tensor]
"""From float32 (1, 3, 224, 224), normalised, to (1, D)."""


@dataclass(frozen=True)
class Variant:
    """One network, and how pictures come to it.

    Attributes:
        weights: name of its file.
        shorter: what the shorter side becomes, before the centre square of 224 is cut.
        clip: open_clip's name of the network; None for DINO.
    """

    weights: str
    shorter: int
    clip: clip_networks.Architecture | None = None


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "b32": Variant("clip-vit-b-32", SIDE, "ViT-B-32-quickgelu"),
        "l14": Variant("clip-vit-l-14", SIDE, "ViT-L-14-quickgelu"),
        "s16": Variant("dino-vit-s-16", 256),
    }
)
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def prepare(image: Image, shorter: int) -> Tensor:
    """Return the centre square as float32 (1, 3, 224, 224) in [0, 1], as torchvision makes it.

    Args:
        image: a checked picture, (H, W, 3); floats are rounded to 8 bits first.
        shorter: what the shorter side becomes before, by Pillow's bicubic filter in 8 bits.
    """
    sides, least = image.shape[:2], min(image.shape[:2])
    height, width = (shorter if side == least else int(shorter * side / least) for side in sides)
    resized = Pillow.fromarray(to_uint8(image)).resize((width, height), Pillow.Resampling.BICUBIC)
    left, top = (round((side - SIDE) / 2) for side in (width, height))
    square = np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)))
    return torch.from_numpy(square.copy()).permute(2, 0, 1)[None].float() / 255


def load_dino(path: Path) -> Any:
    """Return timm's ViT-S/16 with the weights of DINO (Caron et al., ICCV 2021) in `path`.

    Raises:
        UsageError: the file holds another network; says which it looks like.
    """
    from timm import create_model

    name = "vit_small_patch16_224"
    network: Any = create_model(name, pretrained=False, num_classes=0, **DINO)
    tensors = read_tensors(path)
    load_strict(network, tensors, path, "DINO's ViT-S/16", _likely(tensors))
    return network.eval().requires_grad_(False)


def _likely(tensors: Mapping[str, Tensor]) -> str:
    patches, token = tensors.get("patch_embed.proj.weight"), tensors.get("cls_token")
    if patches is None or token is None:
        return "no network known here"
    return f"a ViT of width {token.shape[-1]} with patches of {patches.shape[-1]}"


def _encoder(variant: Variant, path: Path, device: str) -> Encoder:
    """Return the network of a variant, with its own normalisation before it."""
    if variant.clip:
        encode: Encoder = clip_networks.load_clip(variant.clip, path, device).encode_image
        moments = clip_networks.MEAN, clip_networks.STD
    else:
        encode, moments = load_dino(path).to(device), _IMAGENET
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in moments)
    return lambda x: encode(((x - mean) / std).to(device))


def cosine(x: Tensor, y: Tensor) -> float:
    """Return the cosine of two vectors, (D,) each, in float64, within -1 and 1."""
    x, y = x.double(), y.double()
    return float((x @ y / (x.norm() * y.norm())).clamp(-1, 1))


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant, one picture at a time."""
    row = VARIANTS[variant]
    encode = _encoder(row, files[row.weights], device)

    @torch.inference_mode()
    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        pairs = zip(restored, clean, strict=True)
        values = [
            cosine(*(encode(prepare(image, row.shorter))[0].cpu() for image in pair))
            for pair in pairs
        ]
        return np.array(values)

    return measure
