"""MANIQA against PyTorch's transformer layers, torchvision's Swin blocks and plain sums."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_networks import SMALL_MANIQA as SMALL
from quality_networks import embedded_patches, encoder_layer, maniqa_state, part_of

from e2r_metrics import PictureError, UsageError
from e2r_metrics.maniqa import VARIANTS, crops, five_corners, open_metric, seeded_corners
from e2r_metrics.maniqa_network import PUBLISHED, ChannelAttention, Maniqa, load_maniqa


@pytest.fixture(scope="module")
def state():
    return maniqa_state(SMALL)


@pytest.fixture
def weights(state, tmp_path):
    torch.save(state, tmp_path / "ckpt_koniq10k.pt")
    return tmp_path / "ckpt_koniq10k.pt"


def _features(state, x, heads):
    """Return (1, 784, 4 C): what blocks 6 to 9 of the ViT give for each patch."""
    tokens = embedded_patches(state, x)
    found = []
    for index in range(10):
        tokens = encoder_layer(part_of(state, f"blocks.{index}."), heads)(tokens)
        found.append(tokens[:, 1:])
    return torch.cat(found[6:], 2)


def _channels(state, x):
    for index in range(2):
        part = part_of(state, f"{index}.")
        q, k, v = (x @ part[f"c_{n}.weight"].T + part[f"c_{n}.bias"] for n in "qkv")
        weights = torch.einsum("bcn,bdn->bcd", q, k).mul(784**-0.5).softmax(-1)
        mixed = torch.einsum("bcd,bdn->bcn", weights, v)
        x = x + mixed.permute(0, 2, 1).reshape(1, x.shape[1], 784)
    return x


def _swin(state, x):
    from torchvision.models.swin_transformer import SwinTransformerBlock

    x = x.permute(0, 2, 3, 1)
    for stage in range(2):
        y = x
        for index in range(2):
            part = part_of(state, f"layers.{stage}.blocks.{index}.")
            part.pop("attn_mask", None)
            place = "attn.relative_position_index"
            part[place] = part[place].flatten()
            own = {k.replace("fc1", "0").replace("fc2", "3"): v for k, v in part.items()}
            width, hidden = x.shape[3], part["mlp.fc1.bias"].numel()
            block = SwinTransformerBlock(width, 4, [4, 4], [2 * index] * 2, hidden / width)
            block.load_state_dict(own, strict=True)
            y = block.eval()(y)
        part = part_of(state, f"layers.{stage}.conv.")
        y = F.conv2d(y.permute(0, 3, 1, 2), part["weight"], part["bias"], padding=1).relu()
        x = x + 0.8 * y.permute(0, 2, 3, 1)
    return x.permute(0, 3, 1, 2)


def _score(state, x, heads):
    x = _features(part_of(state, "vit."), x, heads).permute(0, 2, 1)
    for stage in ("1", "2"):
        x = _channels(part_of(state, f"tablock{stage}."), x.reshape(1, -1, 784))
        x = F.conv2d(x.reshape(1, -1, 28, 28), state[f"conv{stage}.weight"],
                     state[f"conv{stage}.bias"])  # fmt: skip
        x = _swin(part_of(state, f"swintransformer{stage}."), x)
    places = x.reshape(x.shape[1], 784).T
    found = {}
    for name in ("score", "weight"):
        part = part_of(state, f"fc_{name}.")
        hidden = (places @ part["0.weight"].T + part["0.bias"]).clamp(min=0)
        found[name] = hidden @ part["3.weight"].T + part["3.bias"]
    shares = found["weight"].sigmoid()
    return float((found["score"].clamp(min=0) * shares).sum() / shares.sum())


def test_the_network_is_the_published_one(state, weights, photo):
    network = load_maniqa(weights, SMALL)
    with torch.inference_mode():
        for x in crops(np.tile(photo, (2, 2, 1)), "five"):
            expected = _score(state, x, SMALL.heads)
            assert float(network(x)) == pytest.approx(expected, abs=1e-5)
            assert expected > 0.01


def test_the_published_sizes():
    """The tensors of the published file: it has 543,335,435 bytes, of which names take 128,227."""
    state = Maniqa(PUBLISHED).state_dict()
    assert sum(v.numel() * v.element_size() for v in state.values()) == 543_207_208
    assert state["vit.head.weight"].shape == (1000, 768)
    assert state["swintransformer2.layers.1.blocks.1.attn_mask"].shape == (49, 16, 16)


def test_channels_and_places_are_exchanged_as_the_weights_were_trained():
    torch.manual_seed(0)
    block = ChannelAttention(6)
    x = torch.randn(1, 4, 6)
    with torch.inference_mode():
        mixed = F.scaled_dot_product_attention(block.c_q(x), block.c_k(x), block.c_v(x))
        assert torch.equal(block(x)[0].flatten(), mixed[0].T.flatten() + x[0].flatten())


def test_the_places_of_the_authors_script():
    """`np.random.seed(20)`, then top and left in turn, below H - 224 and W - 224."""
    expected = [(90, 223), (28, 218), (9, 71), (34, 118), (40, 251), (83, 253), (62, 144)]
    assert list(seeded_corners(321, 481))[:7] == expected
    assert len(list(seeded_corners(321, 481))) == 20
    assert list(five_corners(321, 481)) == [(0, 0), (0, 257), (97, 0), (97, 257), (48, 128)]


@given(st.integers(224, 600), st.integers(224, 600), st.sampled_from(sorted(VARIANTS)))
@settings(max_examples=30, deadline=None)
def test_crops_lie_inside(height, width, variant):
    for top, left in VARIANTS[variant](height, width):
        assert 0 <= top <= height - 224
        assert 0 <= left <= width - 224


def test_the_metric_is_the_mean_of_its_crops(weights, photo, monkeypatch):
    monkeypatch.setattr("e2r_metrics.maniqa.PUBLISHED", SMALL)
    image = np.tile(photo, (2, 2, 1))
    network = load_maniqa(weights, SMALL)
    measure = open_metric("five", {"maniqa-koniq": weights}, "cpu")
    with torch.inference_mode():
        expected = np.mean([float(network(x)) for x in crops(image, "five")])
    assert measure([image], [image])[0] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(PictureError, match="sides of at least 224, found 192x208"):
        measure([photo], [photo])


OTHERS = {
    "a ViT of timm": lambda state: part_of(state, "vit."),
    "MANIQA of its first release": lambda state: {
        k.replace("tablock", "channel_attn"): v for k, v in state.items()
    },
    "MANIQA": lambda state: {k: v for k, v in state.items() if k != "conv2.bias"},
    "no network known here": lambda state: {"a": state["conv2.bias"]},
}


@pytest.mark.parametrize("looks", OTHERS)
def test_another_file_is_refused_by_its_name(looks, state, tmp_path):
    path = tmp_path / "ckpt_koniq10k.pt"
    torch.save({k: v.clone() for k, v in OTHERS[looks](state).items()}, path)
    with pytest.raises(UsageError, match=rf"expected MANIQA \(.*found {looks} \("):
        load_maniqa(path, SMALL)
