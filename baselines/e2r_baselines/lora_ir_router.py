"""LoRA-IR's router: CLIP's view of a picture, and which of three degradations it shows.

The file of the router holds CLIP ViT-L/14 at 336 pixels with its own layers behind, so no other
file is needed. **No such file was on a machine of this project**: the names of CLIP's tensors are
those of `transformers`, which the authors load it with, and the file must match them strictly.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from e2r_baselines.checkpoints import load_strict
from e2r_baselines.method import Compute, Pixels
from e2r_metrics.base.checkpoints import read_tensors

Route = Callable[[Pixels], tuple[int, Tensor]]
"""Maps (H, W, 3) in [0, 1] to the expert's number and the vector (1, 384) for the encoder."""

SIDE = 336  # pixels of a view

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_POSITIONS = "clip_model.vision_tower.vision_model.embeddings.position_ids"


def vit_l_14_336() -> CLIPVisionConfig:
    """Return the shape of CLIP ViT-L/14 at 336 pixels."""
    return CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        projection_dim=768,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=SIDE,
        patch_size=14,
    )


class _Tower(nn.Module):
    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        self.vision_tower = CLIPVisionModelWithProjection(config)

    def forward(self, views: Tensor) -> Tensor:
        return self.vision_tower(pixel_values=views).image_embeds


class Router(nn.Module):
    """Five views to a vector and three scores, under the names of the file."""

    def __init__(self, config: CLIPVisionConfig) -> None:
        super().__init__()
        size = config.projection_dim
        self.clip_model = _Tower(config)
        self.de_extractor = nn.Sequential(
            nn.Linear(2 * size, size), nn.GELU(), nn.Linear(size, size // 2), nn.GELU()
        )
        self.cls_head = nn.Linear(size // 2, 3)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Map one picture's views (5, 3, S, S), the whole first, to scores (1, 3) and (1, 384)."""
        seen = self.clip_model(views)
        both = torch.cat([seen[:1], seen[1:].mean(0, keepdim=True)], 1)
        prior = self.de_extractor(both)
        return self.cls_head(prior), prior


def views(pixels: Pixels, side: int) -> Tensor:
    """Return the whole picture and its four quarters as CLIP takes them, (5, 3, side, side).

    The picture is squeezed into a square of `side`, and into one of twice that for the quarters
    (Pillow's bicubic on 8 bits), so its proportions are not kept.
    """
    picture = Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    whole = picture.resize((side, side), Image.Resampling.BICUBIC)
    double = picture.resize((2 * side, 2 * side), Image.Resampling.BICUBIC)
    corners = [(x, y) for y in (0, side) for x in (0, side)]
    parts = [whole, *(double.crop((x, y, x + side, y + side)) for x, y in corners)]
    stack = np.stack([np.asarray(part, np.float32) / 255 for part in parts])
    normal = (stack - np.array(_MEAN, np.float32)) / np.array(_DEVIATION, np.float32)
    return torch.from_numpy(normal).movedim(-1, 1)


def open_router(path: Path, compute: Compute) -> Route:
    """Load the router, in bfloat16 as it was trained and is run by its authors.

    Raises:
        UsageError: the file is not this router's.
    """
    router = Router(vit_l_14_336())
    tensors = read_tensors(path)
    # Older releases of transformers store the numbers 0..576 beside the weights.
    tensors = {key: value for key, value in tensors.items() if key != _POSITIONS}
    load_strict(router, tensors, path, "LoRA-IR's router")
    router = router.eval().requires_grad_(False).to(compute.device, torch.bfloat16)
    return routed_by(router, SIDE)


def routed_by(router: Router, side: int) -> Route:
    """Return the route of a router that takes views of `side` pixels, in its dtype and place."""
    like = router.cls_head.weight

    def route(pixels: Pixels) -> tuple[int, Tensor]:
        with torch.inference_mode():
            scores, prior = router(views(pixels, side).to(like))
        return int(scores.argmax()), prior.float()

    return route
