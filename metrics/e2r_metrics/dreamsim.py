"""DreamSim (Fu et al., NeurIPS 2023): distance of three ViTs' embeddings, tuned on people.

The ensemble of release 0.2: DINO, CLIP and OpenCLIP, each with its LoRA folded in; lower is better.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from torch import Tensor, nn

from e2r_metrics import clip_networks
from e2r_metrics.base.checkpoints import read_tensors
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.layouts import load_strict, looks_like
from e2r_metrics.images import Image, PerImage, check_pairs, to_uint8

SIDE = 224
ADAPTER, SETTINGS = "dreamsim-lora", "dreamsim-lora-settings"
SIZES: Mapping[str, Any] = MappingProxyType({"embed_dim": 768, "depth": 12, "num_heads": 12})
"""Of ViT-B, as timm's arguments name it."""
EMBEDDED = 512
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CLIP = clip_networks.MEAN, clip_networks.STD
_LORA = re.compile(r"(?:.*\.)?extractor_list\.(\d+)\.model\.(.+)\.lora_([AB])\.weight")
_NOT_PLAIN = ("use_rslora", "use_dora", "rank_pattern", "alpha_pattern", "fan_in_fan_out")
_SIGNATURES = (
    ("a CLIP laid out for DreamSim", "proj"),
    ("a ViT of timm or DINO", "patch_embed.proj.weight"),
)


@dataclass(frozen=True)
class Branch:
    """One ViT-B/16 of the ensemble.

    Attributes:
        weights: name of its file.
        title: what a message calls it.
        activation: of its perceptrons, as timm names it.
        projected: whether the embedding is CLIP's; else DINO's class token before the last norm.
        moments: mean and deviation of its input.
    """

    weights: str
    title: str
    activation: str
    projected: bool
    moments: tuple[tuple[float, ...], tuple[float, ...]]


BRANCHES = (
    Branch("dino-vit-b-16", "DINO's ViT-B/16", "gelu", False, _IMAGENET),
    Branch("dreamsim-clip", "DreamSim's CLIP ViT-B/16", "quick_gelu", True, _CLIP),
    Branch("dreamsim-open-clip", "DreamSim's OpenCLIP ViT-B/16", "gelu", True, _CLIP),
)


class Encoder(nn.Module):
    """One branch: float32 (B, 3, 224, 224) in [0, 1] to (B, 768) or, projected, (B, 512)."""

    vit: Any

    def __init__(self, branch: Branch) -> None:
        """Make the network, with no weights worth having."""
        from timm import create_model

        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-5 if branch.projected else 1e-6)
        self.branch = branch
        self.vit = create_model(
            "vit_base_patch16_224", pretrained=False, num_classes=0, act_layer=branch.activation,
            norm_layer=norm, **SIZES,
        )  # fmt: skip
        if branch.projected:
            width = SIZES["embed_dim"]
            self.vit.norm_pre = norm(width)
            self.proj = nn.Parameter(torch.zeros(width, EMBEDDED))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        mean, std = (torch.tensor(part).to(x).view(1, 3, 1, 1) for part in self.branch.moments)
        x = (x - mean) / std
        if self.branch.projected:
            return self.vit(x) @ self.proj
        ((_, tokens),) = self.vit.forward_intermediates(
            x, indices=1, norm=False, intermediates_only=True, return_prefix_tokens=True,
            output_fmt="NLC",
        )  # fmt: skip
        return tokens[:, 0]


def load_branch(branch: Branch, path: Path, added: Mapping[str, Tensor]) -> Encoder:
    """Return a branch with the weights in `path` and its adapter folded in.

    Args:
        branch: of `BRANCHES`.
        path: as its `weights` is published.
        added: what its adapter adds to the weights of layers, by their names.

    Raises:
        UsageError: the file holds another network, or the adapter is of another.
    """
    tensors = read_tensors(path)
    likely = looks_like(tensors, _SIGNATURES)
    own = {_own_name(name): value for name, value in tensors.items()}
    encoder = Encoder(branch)
    load_strict(encoder, own, path, branch.title, likely)
    for name, change in added.items():
        weight = own.get(f"vit.{name}.weight")
        if weight is None or change.shape != weight.shape:
            raise UsageError(
                f"DreamSim's adapter: expected layers of {branch.title}, found {name} of "
                f"{tuple(change.shape)}"
            )
        with torch.no_grad():
            encoder.vit.get_submodule(name).weight += change
    return encoder.eval().requires_grad_(False)


def _own_name(name: str) -> str:
    # The published files keep CLIP's first norm where DINO has a dropout.
    return name if name == "proj" else "vit." + re.sub("^pos_drop\\.", "norm_pre.", name)


def read_adapter(path: Path, settings: Path) -> list[dict[str, Tensor]]:
    """Return what the adapter adds to each branch, by layer: alpha / rank times B A.

    Args:
        path: the factors, as PEFT writes them for the ensemble.
        settings: the `adapter_config.json` beside them.

    Raises:
        UsageError: no plain LoRA of the three branches.
    """
    alpha, rank = _scale(settings)
    factors: list[dict[str, dict[str, Tensor]]] = [{} for _ in BRANCHES]
    for name, value in read_tensors(path).items():
        match = _LORA.fullmatch(name)
        if match is None or int(match[1]) >= len(BRANCHES):
            raise UsageError(f"{path}: expected DreamSim's ensemble adapter, found {name}")
        factors[int(match[1])].setdefault(match[2], {})[match[3]] = value.float()
    pairs = [pair for layers in factors for pair in layers.values()]
    if not all(factors) or any(set(p) != {"A", "B"} or rank != len(p["A"]) for p in pairs):
        raise UsageError(
            f"{path}: expected LoRA of rank {rank} for {len(BRANCHES)} networks, found "
            f"{', '.join(str(len(layers)) for layers in factors)} layers, or another rank"
        )
    return [{n: alpha / rank * (p["B"] @ p["A"]) for n, p in one.items()} for one in factors]


def _scale(path: Path) -> tuple[float, int]:
    """Return alpha and rank from the settings of an adapter."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        alpha, rank = float(found["lora_alpha"]), int(found["r"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: expected the settings of a LoRA by PEFT: {error!r}") from error
    others = [key for key in _NOT_PLAIN if found.get(key)]
    if found.get("peft_type") != "LORA" or others or rank < 1:
        kind = ", ".join(others) or f"{found.get('peft_type')} of rank {rank}"
        raise UsageError(f"{path}: expected a plain LoRA by PEFT, found {kind}")
    return alpha, rank


def prepare(image: Image) -> Tensor:
    """Return float32 (1, 3, 224, 224) in [0, 1]: 224 by 224 by Pillow's bicubic, in 8 bits."""
    size = (SIDE, SIDE)
    resized = Pillow.fromarray(to_uint8(image)).resize(size, Pillow.Resampling.BICUBIC)
    return torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255


def distance(x: Tensor, y: Tensor) -> float:
    """Return 1 - cosine of two embeddings, (D,) each, less their means; float64, 0 to 2."""
    x, y = (z.double() - z.double().mean() for z in (x, y))
    return float((1 - x @ y / (x.norm() * y.norm())).clamp(0, 2))


def open_metric(variant: str, files: Mapping[str, Path], device: str) -> PerImage:
    """Return the function of the one variant, one picture at a time."""
    del variant
    adapters = read_adapter(files[ADAPTER], files[SETTINGS])
    branches = [
        load_branch(branch, files[branch.weights], added).to(device)
        for branch, added in zip(BRANCHES, adapters, strict=True)
    ]

    @torch.inference_mode()
    def embedded(image: Image) -> Tensor:
        x = prepare(image).to(device)
        return torch.cat([branch(x)[0] for branch in branches]).cpu()

    def measure(restored: Sequence[Image], clean: Sequence[Image]) -> npt.NDArray[np.float64]:
        check_pairs(restored, clean)
        pairs = zip(restored, clean, strict=True)
        return np.array([distance(embedded(x), embedded(y)) for x, y in pairs])

    return measure
