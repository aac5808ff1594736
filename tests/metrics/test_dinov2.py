"""DINOv2 of timm against the network of transformers, with equal random weights."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from e2r_metrics import UsageError
from e2r_metrics.dinov2 import ARCHITECTURES, at_grid, load_dinov2, open_extractor

BASE = "dinov2-vit-b-14"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file of random weights, as timm names them, for 518x518."""
    from timm import create_model

    torch.manual_seed(0)
    network = create_model(ARCHITECTURES[BASE], pretrained=False, num_classes=0)
    state = {k: torch.randn_like(v) * 0.02 for k, v in network.state_dict().items()}
    for name in state:
        if name.endswith("gamma") or ("norm" in name and name.endswith("weight")):
            state[name] += 1
    path = tmp_path_factory.mktemp("weights") / "dinov2.safetensors"
    save_file(state, path)
    return path, state


def _theirs(state):
    from transformers import Dinov2Config, Dinov2Model

    named = {"blocks.": "encoder.layer.", "attn.proj.": "attention.o_proj.",
             "ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1",
             "patch_embed.proj.": "embeddings.patch_embeddings.projection.",
             "pos_embed": "embeddings.position_embeddings",
             "cls_token": "embeddings.cls_token"}  # fmt: skip
    found = {"embeddings.mask_token": torch.zeros(1, 768)}
    for name, value in state.items():
        if "attn.qkv" in name:
            for part, which in zip(value.chunk(3), ("q_proj", "k_proj", "v_proj"), strict=True):
                key = name.replace("attn.qkv", f"attention.{which}")
                found[key.replace("blocks.", "encoder.layer.")] = part
            continue
        for old, new in named.items():
            name = name.replace(old, new) if not name.startswith("norm.") else name
        found["layernorm." + name[5:] if name.startswith("norm.") else name] = value
    network = Dinov2Model(Dinov2Config(image_size=518, patch_size=14)).eval()
    if "encoder.layer.0.attention.q_proj.weight" not in network.state_dict():
        found = {_older(name): value for name, value in found.items()}
    network.load_state_dict(found, strict=True)
    return network


def _older(name):
    """Return the name that the lowest version of transformers declared has for a tensor."""
    for new, old in (("q_proj", "query"), ("k_proj", "key"), ("v_proj", "value")):
        name = name.replace(f"attention.{new}", f"attention.attention.{old}")
    return name.replace("attention.o_proj", "attention.output.dense")


def test_the_network_is_that_of_transformers(weights):
    path, state = weights
    state = dict(state)
    # At 224 the two interpolate positions otherwise; the reference's are given to both.
    grid = at_grid(state["pos_embed"], 16)
    theirs = _theirs(state)
    theirs.embeddings.interpolate_pos_encoding = lambda *_: grid
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        ours = load_dinov2(BASE, path).forward_features(x)[:, 0]
        expected = theirs(x).last_hidden_state[:, 0]
    assert torch.allclose(ours, expected, atol=1e-4)


def test_positions_are_moved_as_the_reference_does():
    positions = torch.randn(1, 1 + 37 * 37, 8, generator=torch.Generator().manual_seed(0))
    grid = positions[:, 1:].reshape(1, 37, 37, 8).permute(0, 3, 1, 2)
    scaled = F.interpolate(grid, scale_factor=(16.1 / 37, 16.1 / 37), mode="bicubic")
    found = at_grid(positions, 16)
    assert found.shape == (1, 257, 8)
    assert torch.equal(found[:, :1], positions[:, :1])
    assert torch.allclose(found[0, 1:], scaled[0].flatten(1).T)
    plain = F.interpolate(grid, size=(16, 16), mode="bicubic")
    assert not torch.allclose(found[0, 1:], plain[0].flatten(1).T, atol=1e-3)


def test_features_and_another_network(weights, photo, tmp_path):
    path, state = weights
    vector = open_extractor(BASE, {BASE: path}, "cpu")(photo)
    assert (vector.shape, vector.dtype) == ((768,), np.float32)
    other = tmp_path / "other.safetensors"
    save_file({k: v for k, v in state.items() if k != "norm.bias"}, other)
    with pytest.raises(UsageError, match="expected the weights of timm"):
        load_dinov2(BASE, other)
