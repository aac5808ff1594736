"""Files of quality networks with random weights, laid out as the published ones."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from e2r_metrics import dreamsim, hyperiqa_network, likeness, maniqa_network
from e2r_metrics.musiq import ROOT, Sizes

SMALL_MUSIQ = Sizes(width=48, depth=2, heads=3, hidden=64)


def musiq_layout(
    sizes: Sizes, scales: int = 3, outputs: int = 1
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of the parameters as the published archives have them."""
    width, head = sizes.width, sizes.width // sizes.heads
    yield "conv_root/kernel", (7, 7, 3, 64)
    yield from ((f"gn_root/{part}", (1, 1, 1, 64)) for part in ("scale", "bias"))
    convs = {"conv_proj": (1, 1, 64, 256), "conv1": (1, 1, 64, 64), "conv2": (3, 3, 64, 64),
             "conv3": (1, 1, 64, 256)}  # fmt: skip
    for name, shape in convs.items():
        norm = name.replace("conv_", "gn_").replace("conv", "gn")
        yield f"block1/unit1/{name}/kernel", shape
        yield from ((f"block1/unit1/{norm}/{p}", (1, 1, 1, shape[3])) for p in ("scale", "bias"))
    yield "embedding/kernel", (8 * 8 * 256, width)
    yield "embedding/bias", (width,)
    yield "Transformer/posembed_input/pos_embedding", (1, 100, width)
    yield "Transformer/scaleembed_input/scale_embedding", (1, scales, width)
    yield "Transformer/cls", (1, 1, width)
    for index in range(sizes.depth):
        block = f"Transformer/encoderblock_{index}"
        for norm in ("LayerNorm_0", "LayerNorm_2"):
            yield from ((f"{block}/{norm}/{part}", (width,)) for part in ("scale", "bias"))
        for part in ("query", "key", "value"):
            attention = f"{block}/MultiHeadDotProductAttention_1/{part}"
            yield f"{attention}/kernel", (width, sizes.heads, head)
            yield f"{attention}/bias", (sizes.heads, head)
        attention = f"{block}/MultiHeadDotProductAttention_1/out"
        yield f"{attention}/kernel", (sizes.heads, head, width)
        yield f"{attention}/bias", (width,)
        for dense, shape in (
            ("Dense_0", (width, sizes.hidden)),
            ("Dense_1", (sizes.hidden, width)),
        ):
            yield f"{block}/MlpBlock_3/{dense}/kernel", shape
            yield f"{block}/MlpBlock_3/{dense}/bias", shape[1:]
    yield from ((f"Transformer/encoder_norm/{part}", (width,)) for part in ("scale", "bias"))
    yield "head/kernel", (width, outputs)
    yield "head/bias", (outputs,)


def musiq_parameters(sizes: Sizes, seed: int = 0, **kinds: int) -> dict[str, np.ndarray]:
    """Return random parameters; `kinds` as in `musiq_layout`."""
    rng = np.random.Generator(np.random.PCG64(seed))
    found = {}
    for name, shape in musiq_layout(sizes, **kinds):
        value = rng.normal(size=shape) / np.sqrt(max(np.prod(shape[:-1]), 4))
        found[name] = (value + name.endswith("/scale")).astype(np.float32)
    return found


def write_musiq(path: Path, parameters: Mapping[str, np.ndarray]) -> Path:
    """Write an archive as published, and return its path."""
    # As published: the optimizer's momentum lies beside them, in a type that NumPy does not know.
    arrays: dict[str, Any] = {f"{ROOT}{name}": value for name, value in parameters.items()}
    arrays["opt/state/param_states/cls/momentum"] = np.zeros(3, "V2")
    np.savez(path, **arrays)
    return path


SMALL_MANIQA = maniqa_network.Sizes(width=32, heads=4, hidden=24, classes=5)


def maniqa_state(sizes: maniqa_network.Sizes, seed: int = 0) -> dict[str, Tensor]:
    """Return random weights, with buffers as they are, under the published names."""
    torch.manual_seed(seed)
    state = maniqa_network.Maniqa(sizes).state_dict()
    for name, value in state.items():
        if value.ndim == 1 and value.is_floating_point():
            value.normal_(0.0, 0.1).add_(name.endswith("weight"))
        elif "bias_table" in name or name.endswith(("cls_token", "pos_embed")):
            value.normal_()
    return state


SMALL_HYPERIQA = hyperiqa_network.Sizes(8, (1, 1, 1, 1), 4, 12, (28, 14, 14, 7, 7))


def hyperiqa_state(sizes: hyperiqa_network.Sizes, seed: int = 0) -> dict[str, Tensor]:
    """Return random weights under the published names, with which no layer dies or saturates."""
    torch.manual_seed(seed)
    state = hyperiqa_network.HyperIqa(sizes).state_dict()
    for name, value in state.items():
        if value.ndim > 1:
            value.normal_(0.0, (2.0 / value[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
        elif value.is_floating_point():
            value.normal_(0.0, 0.1).add_(0.5 if name.endswith("weight") else 0.0)
    return state


TINY_CLIP: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
"""Settings of open_clip, which takes heads of 64."""


def tiny_clip(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Have CLIP-I's `b32` be a tiny CLIP with random weights, and return its file."""
    import open_clip

    settings = folder / "e2r-tiny.json"
    settings.write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(settings)
    tiny: Any = likeness.Variant("clip-vit-b-32", likeness.SIDE, "e2r-tiny")  # pyright: ignore[reportArgumentType]
    patch.setattr(likeness, "VARIANTS", {**likeness.VARIANTS, "b32": tiny})
    torch.manual_seed(0)
    state = open_clip.create_model("e2r-tiny", pretrained=None).state_dict()
    torch.save(_shaken(state), folder / "ViT-B-32.pt")
    return folder / "ViT-B-32.pt"


def tiny_dino(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """Have DINO be a tiny ViT with random weights, and return its file."""
    from timm import create_model

    sizes: dict[str, Any] = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    patch.setattr(likeness, "DINO", sizes)
    torch.manual_seed(0)
    network = create_model("vit_small_patch16_224", pretrained=False, num_classes=0, **sizes)
    torch.save(_shaken(network.state_dict()), folder / "dino.pth")
    return folder / "dino.pth"


def tiny_dreamsim(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Have DreamSim be three tiny ViTs and an adapter of rank 4, and return their files."""
    width = 32
    patch.setattr(dreamsim, "SIZES", {"embed_dim": width, "depth": 2, "num_heads": 2})
    patch.setattr(dreamsim, "EMBEDDED", 24)
    torch.manual_seed(0)
    files, adapter = {}, {}
    for index, branch in enumerate(dreamsim.BRANCHES):
        state = _shaken(dreamsim.Encoder(branch).state_dict())
        theirs = {
            k.replace("vit.", "").replace("norm_pre", "pos_drop"): v for k, v in state.items()
        }
        files[branch.weights] = folder / f"{branch.weights}.pth.tar"
        torch.save({"state_dict": theirs}, files[branch.weights])
        for block in range(2):
            layer = f"base_model.model.extractor_list.{index}.model.blocks.{block}.attn.qkv"
            adapter[f"{layer}.lora_A.weight"] = 0.3 * torch.randn(4, width)
            adapter[f"{layer}.lora_B.weight"] = 0.3 * torch.randn(3 * width, 4)
    files[dreamsim.ADAPTER] = folder / "adapter_model.safetensors"
    save_file(adapter, files[dreamsim.ADAPTER])
    files[dreamsim.SETTINGS] = folder / "adapter_config.json"
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 3.0, "use_rslora": False}
    files[dreamsim.SETTINGS].write_text(json.dumps(settings))
    return files


def _shaken(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of which none is zero or one, so that each of them counts."""
    return {
        name: value + 0.1 * torch.randn_like(value) if value.is_floating_point() else value
        for name, value in state.items()
    }


def part_of(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors under a prefix, which is taken off."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def embedded_patches(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return the tokens before the first block of timm's ViT, by a plain product."""
    kernel = state["patch_embed.proj.weight"]
    side = kernel.shape[-1]
    patches = F.unfold(x, side, stride=side).transpose(1, 2)
    tokens = patches @ kernel.flatten(1).T + state["patch_embed.proj.bias"]
    return torch.cat([state["cls_token"], tokens], 1) + state["pos_embed"]


def encoder_layer(
    state: Mapping[str, Tensor],
    heads: int,
    activation: Callable[[Tensor], Tensor] = F.gelu,
    epsilon: float = 1e-6,
) -> nn.TransformerEncoderLayer:
    """Return PyTorch's own layer with the weights of a block of timm's ViT."""
    width = state["norm1.weight"].numel()
    layer = nn.TransformerEncoderLayer(
        width, heads, 4 * width, 0.0, activation, epsilon, batch_first=True, norm_first=True
    )
    names = {"attn.qkv.": "self_attn.in_proj_", "attn.proj.": "self_attn.out_proj.",
             "mlp.fc1.": "linear1.", "mlp.fc2.": "linear2."}  # fmt: skip
    own: dict[str, Tensor] = {}
    for name, value in state.items():
        for theirs, ours in names.items():
            name = name.replace(theirs, ours)
        own[name] = value
    layer.load_state_dict(own, strict=True)
    return layer.eval()


def small_networks(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Write a small file of each network, have their metrics expect those, and return them.

    Args:
        folder: where they go.
        patch: what undoes the expectation.
    """
    patch.setattr("e2r_metrics.musiq.PUBLISHED", SMALL_MUSIQ)
    parameters = musiq_parameters(SMALL_MUSIQ)
    patch.setattr("e2r_metrics.maniqa.PUBLISHED", SMALL_MANIQA)
    patch.setattr("e2r_metrics.maniqa._CROPS", 3)
    torch.save(maniqa_state(SMALL_MANIQA), folder / "ckpt_koniq10k.pt")
    patch.setattr("e2r_metrics.hyperiqa.PUBLISHED", SMALL_HYPERIQA)
    torch.save(hyperiqa_state(SMALL_HYPERIQA), folder / "koniq_pretrained.pkl")
    return {
        "hyperiqa-koniq": folder / "koniq_pretrained.pkl",
        "musiq-koniq": write_musiq(folder / "koniq_ckpt.npz", parameters),
        "maniqa-koniq": folder / "ckpt_koniq10k.pt",
        "clip-vit-b-32": tiny_clip(folder, patch),
        "dino-vit-s-16": tiny_dino(folder, patch),
        **tiny_dreamsim(folder, patch),
    }
