"""CLIP-IQA (Wang, Chan, Loy, AAAI 2023) in three variants that are never mixed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from e2r_metrics.base.errors import PictureError
from e2r_metrics.clip_networks import MEAN, STD, load_clip
from e2r_metrics.images import Image, PerImage, check_image, to_unit

Pairs = tuple[tuple[str, str], ...]
_GOOD_BAD: Pairs = (("Good photo.", "Bad photo."),)
_FIVE: Pairs = (
    ("Good image", "Bad image"),
    ("Sharp image", "Blurry image"),
    ("sharp edges", "blurry edges"),
    ("High resolution image", "Low resolution image"),
    ("Noise-free image", "Noisy image"),
)
VARIANTS: Mapping[str, tuple[Pairs, float | None]] = MappingProxyType(
    {"official": (_GOOD_BAD, None), "torchmetrics": (_GOOD_BAD, 100.0), "pyiqa5": (_FIVE, None)}
)
"""Prompt pairs (good first) and the logit scale; None is the network's own."""
_MIN_SIDE = 32


class ClipIqa:
    """CLIP's RN50 and the embeddings of its prompts."""

    def __init__(self, network: Any, pairs: Pairs, scale: float | None) -> None:
        """Take open_clip's RN50, the prompts and the logit scale."""
        import open_clip

        self.network = network
        self.scale = float(network.logit_scale.exp()) if scale is None else scale
        prompts = [prompt for pair in pairs for prompt in pair]
        device = network.logit_scale.device
        with torch.inference_mode():
            tokens = open_clip.get_tokenizer("RN50")(prompts).to(device)
            self.anchors = F.normalize(network.encode_text(tokens), dim=-1)

    @torch.inference_mode()
    def score(self, images: Tensor) -> Tensor:
        """Return (B,) in [0, 1] from float32 (B, 3, H, W) RGB in [0, 1], at its own resolution."""
        mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
        std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
        features = embed_without_position(self.network.visual, (images - mean) / std)
        logits = self.scale * F.normalize(features, dim=-1) @ self.anchors.T
        return logits.reshape(len(images), -1, 2).softmax(-1)[..., 0].mean(-1)


def embed_without_position(visual: Any, x: Tensor) -> Tensor:
    """Return (B, 1024) of open_clip's ModifiedResNet, whose pool then takes any resolution.

    The attention pool is the network's own, with its positional embedding left out.
    """
    x = visual.stem(x)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = layer(x)
    pool = visual.attnpool
    tokens = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens])
    pooled, _ = F.multi_head_attention_forward(
        query=tokens[:1],
        key=tokens,
        value=tokens,
        embed_dim_to_check=tokens.shape[-1],
        num_heads=pool.num_heads,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        in_proj_weight=None,  # pyright: ignore[reportArgumentType]
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        training=False,
        need_weights=False,
    )
    return pooled[0]


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of a variant; it looks at the restored images alone."""
    pairs, scale = VARIANTS[variant]
    model = ClipIqa(load_clip("RN50-quickgelu", files["clip-rn50"], device), pairs, scale)

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        del clean
        return np.array([float(model.score(_tensor(image, device))[0]) for image in restored])

    return measure


def _tensor(image: Image, device: str) -> Tensor:
    check_image(image, "restored")
    if min(image.shape[:2]) < _MIN_SIDE:
        raise PictureError(
            f"CLIP-IQA needs sides of at least {_MIN_SIDE}, found {image.shape[0]}x{image.shape[1]}"
        )
    return torch.from_numpy(to_unit(image)).permute(2, 0, 1)[None].contiguous().to(device)
