"""CLIP-I and DINO against the networks of others and the transforms of torchvision."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_networks import (
    TINY_CLIP,
    embedded_patches,
    encoder_layer,
    part_of,
    tiny_clip,
    tiny_dino,
)
from scipy.spatial.distance import cosine as scipy_cosine

from e2r_metrics import UsageError
from e2r_metrics.clip_networks import MEAN, STD
from e2r_metrics.likeness import VARIANTS, cosine, load_dino, open_metric, prepare

# open_clip says that it made a network without weights.
pytestmark = pytest.mark.filterwarnings("ignore")
TORCHVISION = {224: (MEAN, STD), 256: ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}


def _torchvision(image, shorter):
    from PIL import Image
    from torchvision import transforms

    steps = transforms.Compose(
        [
            transforms.Resize(shorter, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
        ]
    )
    return steps(Image.fromarray(image))[None]


@given(st.integers(20, 500), st.integers(20, 500), st.sampled_from([224, 256]))
@settings(max_examples=25, deadline=None)
def test_pictures_are_prepared_as_by_torchvision(height, width, shorter):
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
    assert torch.equal(prepare(image, shorter), _torchvision(image, shorter))


def _class_token(state, x):
    """Return (D,) by PyTorch's own layers."""
    tokens = embedded_patches(state, x)
    for index in range(2):
        tokens = encoder_layer(part_of(state, f"blocks.{index}."), 2)(tokens)
    token = tokens[0, 0]
    return F.layer_norm(token, token.shape, state["norm.weight"], state["norm.bias"], 1e-6)


@pytest.fixture
def dino(tmp_path, monkeypatch):
    return tiny_dino(tmp_path, monkeypatch)


@pytest.fixture
def clip(tmp_path, monkeypatch):
    return tiny_clip(tmp_path, monkeypatch)


def test_dino_is_the_cosine_of_its_class_tokens(dino, photo, noisy):
    state = torch.load(dino, weights_only=True)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in TORCHVISION[256])
    with torch.inference_mode():
        x, y = (_class_token(state, (_torchvision(z, 256) - mean) / std)
                for z in (noisy(20), photo))  # fmt: skip
        ours = load_dino(dino)((_torchvision(photo, 256) - mean) / std)[0]
    assert torch.allclose(ours, y, atol=1e-5)
    measure = open_metric("s16", {"dino-vit-s-16": dino}, "cpu")
    expected = 1 - scipy_cosine(x.double().numpy(), y.double().numpy())
    assert measure([noisy(20)], [photo])[0] == pytest.approx(expected, abs=1e-6)


def test_clip_i_is_the_cosine_of_what_transformers_gives(clip, photo, noisy):
    state = torch.load(clip, weights_only=True)
    network = _clip_of_transformers(state)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) for part in TORCHVISION[224])
    with torch.inference_mode():
        x, y = (network(pixel_values=(_torchvision(z, 224) - mean) / std).image_embeds[0]
                for z in (noisy(20), photo))  # fmt: skip
    measure = open_metric("b32", {"clip-vit-b-32": clip}, "cpu")
    expected = 1 - scipy_cosine(x.double().numpy(), y.double().numpy())
    assert measure([noisy(20)], [photo])[0] == pytest.approx(expected, abs=1e-6)


def _clip_of_transformers(state):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    vision = TINY_CLIP["vision_cfg"]
    config = CLIPVisionConfig(
        hidden_size=vision["width"], intermediate_size=4 * vision["width"],
        num_hidden_layers=vision["layers"], num_attention_heads=vision["width"] // 64,
        image_size=224, patch_size=32, projection_dim=TINY_CLIP["embed_dim"],
        hidden_act="quick_gelu",
    )  # fmt: skip
    network = CLIPVisionModelWithProjection(config).eval()
    for name, parameter in network.named_parameters():
        parameter.data = _clip_tensor(name, state).reshape(parameter.shape).clone()
    return network


def _clip_tensor(name, state):
    """Return the tensor that a parameter of transformers' CLIP is called in OpenAI's files."""
    plain = {
        "class_embedding": "class_embedding", "patch_embedding.weight": "conv1.weight",
        "position_embedding.weight": "positional_embedding",
        "pre_layrnorm.weight": "ln_pre.weight", "pre_layrnorm.bias": "ln_pre.bias",
        "post_layernorm.weight": "ln_post.weight", "post_layernorm.bias": "ln_post.bias",
    }  # fmt: skip
    for theirs, ours in plain.items():
        if name.endswith(theirs):
            return state[f"visual.{ours}"]
    if name == "visual_projection.weight":
        return state["visual.proj"].T
    kind = name.rpartition(".")[2]
    index = next(part for part in name.split(".") if part.isdigit())
    block = f"visual.transformer.resblocks.{index}."
    for place, part in enumerate(("q_proj", "k_proj", "v_proj")):
        if part in name:
            return state[f"{block}attn.in_proj_{kind}"].chunk(3)[place]
    names = {"out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2",
             "fc1": "mlp.c_fc", "fc2": "mlp.c_proj"}  # fmt: skip
    return next(state[f"{block}{own}.{kind}"] for part, own in names.items() if part in name)


def test_the_normalisation_of_each_is_its_own(dino, clip, photo, noisy, monkeypatch):
    for variant, path in (("s16", dino), ("b32", clip)):
        name = VARIANTS[variant].weights
        value = open_metric(variant, {name: path}, "cpu")([noisy(40)], [photo])[0]
        with monkeypatch.context() as patch:
            patch.setattr("e2r_metrics.likeness._IMAGENET", ((0.0,) * 3, (1.0,) * 3))
            patch.setattr("e2r_metrics.clip_networks.MEAN", (0.0,) * 3)
            other = open_metric(variant, {name: path}, "cpu")([noisy(40)], [photo])[0]
        assert abs(value - other) > 1e-6


@given(st.integers(1, 40), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_cosines(length, seed):
    x, y = np.random.default_rng(seed).normal(size=(2, length)).astype(np.float32)
    found = cosine(torch.from_numpy(x), torch.from_numpy(4 * y))
    expected = 1 - scipy_cosine(x.astype(np.float64), y.astype(np.float64))
    assert found == pytest.approx(expected, abs=1e-12)
    assert cosine(torch.from_numpy(x), torch.from_numpy(x)) <= 1.0


def test_another_vit_is_refused_by_what_it_is(dino, tmp_path):
    state = torch.load(dino, weights_only=True)
    state["patch_embed.proj.weight"] = torch.zeros(state["cls_token"].shape[-1], 3, 8, 8)
    torch.save(state, tmp_path / "other.pth")
    width = state["cls_token"].shape[-1]
    with pytest.raises(UsageError, match=f"found a ViT of width {width} with patches of 8"):
        load_dino(tmp_path / "other.pth")
    torch.save({"student": {"a": 1}}, tmp_path / "training.pth")
    with pytest.raises(UsageError, match=r"expected a checkpoint with named tensors.*student"):
        load_dino(tmp_path / "training.pth")
