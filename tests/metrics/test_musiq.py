"""MUSIQ against its published layout computed in NumPy and float64, with equal random weights."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from quality_networks import SMALL_MUSIQ as SMALL
from quality_networks import musiq_parameters, write_musiq

from e2r_metrics import PictureError, UsageError
from e2r_metrics.musiq import PUBLISHED, ROOT, load_musiq
from e2r_metrics.musiq_input import Patches, _cells, gaussian_resize, prepare


@pytest.fixture(scope="module")
def parameters():
    return musiq_parameters(SMALL)


@pytest.fixture
def archive(parameters, tmp_path):
    return write_musiq(tmp_path / "koniq_ckpt.npz", parameters)


class Reference:
    """The network as its authors' Flax code states it: channels last, kernels as in the file."""

    def __init__(self, parameters):
        self.p = {name: value.astype(np.float64) for name, value in parameters.items()}

    def conv(self, x, name, stride=1):
        kernel = self.p[f"{name}/kernel"]
        kernel = kernel - kernel.mean((0, 1, 2))
        kernel = kernel / (kernel.std((0, 1, 2)) + 1e-5)
        return np.einsum("nhwcyx,yxco->nhwo", self.windows(x, kernel.shape[0], stride, 0.0), kernel,
                         optimize=True)  # fmt: skip

    def windows(self, x, size, stride, fill):
        """Return windows under SAME padding, (n, h, w, c, size, size)."""
        before = []
        for side in x.shape[1:3]:
            total = max((-(-side // stride) - 1) * stride + size - side, 0)
            before.append((total // 2, total - total // 2))
        padded = np.pad(x, [(0, 0), *before, (0, 0)], constant_values=fill)
        view = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))
        return view[:, ::stride, ::stride]

    def group_norm(self, x, name, epsilon):
        n, h, w, c = x.shape
        grouped = x.reshape(n, h * w, 32, c // 32)
        mean = grouped.mean((1, 3), keepdims=True)
        spread = np.sqrt(grouped.var((1, 3), keepdims=True) + epsilon)
        x = ((grouped - mean) / spread).reshape(n, h, w, c)
        return x * self.p[f"{name}/scale"] + self.p[f"{name}/bias"]

    def layer_norm(self, x, name):
        spread = np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        unit = (x - x.mean(-1, keepdims=True)) / spread
        return unit * self.p[f"{name}/scale"] + self.p[f"{name}/bias"]

    def dense(self, x, name):
        return x @ self.p[f"{name}/kernel"] + self.p[f"{name}/bias"]

    def stem(self, x):
        x = np.maximum(self.group_norm(self.conv(x, "conv_root", 2), "gn_root", 1e-6), 0)
        x = self.windows(x, 3, 2, -np.inf).max((-1, -2))
        unit = "block1/unit1"
        beside = self.group_norm(self.conv(x, f"{unit}/conv_proj"), f"{unit}/gn_proj", 1e-4)
        for index in (1, 2, 3):
            x = self.group_norm(self.conv(x, f"{unit}/conv{index}"), f"{unit}/gn{index}", 1e-4)
            x = np.maximum(x, 0) if index < 3 else np.maximum(x + beside, 0)
        return self.dense(x.reshape(len(x), -1), "embedding")

    def attention(self, x, name):
        query, key, value = (
            np.einsum("lc,chd->lhd", x, self.p[f"{name}/{part}/kernel"])
            + self.p[f"{name}/{part}/bias"]
            for part in ("query", "key", "value")
        )
        logits = np.einsum("lhd,mhd->hlm", query / np.sqrt(query.shape[-1]), key)
        weights = np.exp(logits - logits.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        mixed = np.einsum("hlm,mhd->lhd", weights, value)
        return (
            np.einsum("lhd,hdc->lc", mixed, self.p[f"{name}/out/kernel"])
            + self.p[f"{name}/out/bias"]
        )

    def block(self, x, name):
        x = x + self.attention(self.layer_norm(x, f"{name}/LayerNorm_0"),
                               f"{name}/MultiHeadDotProductAttention_1")  # fmt: skip
        y = self.dense(self.layer_norm(x, f"{name}/LayerNorm_2"), f"{name}/MlpBlock_3/Dense_0")
        y = 0.5 * y * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        return x + self.dense(y, f"{name}/MlpBlock_3/Dense_1")

    def score(self, pixels, places, scales, depth):
        x = self.stem(pixels.astype(np.float64))
        x = x + self.p["Transformer/posembed_input/pos_embedding"][0, places]
        x = x + self.p["Transformer/scaleembed_input/scale_embedding"][0, scales]
        x = np.concatenate([self.p["Transformer/cls"][0], x])
        for index in range(depth):
            x = self.block(x, f"Transformer/encoderblock_{index}")
        return self.dense(self.layer_norm(x[:1], "Transformer/encoder_norm"), "head")[0, 0]


def _score(network, patches):
    with torch.inference_mode():
        return float(network(patches))


def test_the_network_is_the_published_one(parameters, archive, photo):
    patches = prepare(photo[:97, :130])
    pixels = patches.pixels.numpy().transpose(0, 2, 3, 1)
    expected = Reference(parameters).score(
        pixels, patches.places.numpy(), patches.scales.numpy(), SMALL.depth
    )
    assert _score(load_musiq(archive, SMALL), patches) == pytest.approx(expected, abs=1e-4)


def test_the_published_sizes(tmp_path, photo):
    """27.1 million parameters: what 163 MB of float32 and a momentum of half the width hold."""
    parameters = musiq_parameters(PUBLISHED)
    assert sum(value.size for value in parameters.values()) == 27_125_825
    network = load_musiq(write_musiq(tmp_path / "koniq_ckpt.npz", parameters), PUBLISHED)
    patches = Patches(*(part[-20:] for part in prepare(photo)))
    pixels = patches.pixels.numpy().transpose(0, 2, 3, 1)
    places, scales = patches.places.numpy(), patches.scales.numpy()
    expected = Reference(parameters).score(pixels, places, scales, PUBLISHED.depth)
    assert _score(network, patches) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("part", ["pixels", "places", "scales"])
def test_everything_told_of_a_patch_matters(archive, photo, part):
    network, patches = load_musiq(archive, SMALL), prepare(photo)
    changed = getattr(patches, part).clone()
    changed[-1] = (changed[-1] + 1) % 3
    other = _score(network, patches._replace(**{part: changed}))
    assert abs(other - _score(network, patches)) > 1e-6


def test_parts_of_a_long_sequence_change_nothing(archive, photo, monkeypatch):
    network, patches = load_musiq(archive, SMALL), prepare(photo)
    whole = _score(network, patches)
    monkeypatch.setattr("e2r_metrics.musiq._AT_ONCE", 7)
    assert _score(network, patches) == pytest.approx(whole, abs=1e-5)


@given(st.integers(1, 700), st.integers(1, 700))
@settings(max_examples=25, deadline=None)
def test_patches_of_any_size(height, width):
    image = np.full((height, width, 3), 255, np.uint8)
    if min(height, width) * 224 / max(height, width) < 0.499:
        with pytest.raises(PictureError, match="one pixel across"):
            prepare(image)
        return
    patches = prepare(image)
    own = -(-height // 32) * -(-width // 32)
    assert int((patches.scales == 2).sum()) == own
    assert patches.pixels.shape == (len(patches.places), 3, 32, 32)
    assert int((patches.scales == 0).sum()) <= 49
    assert int((patches.scales == 1).sum()) <= 144
    assert 0 <= int(patches.places.min()) <= int(patches.places.max()) < 100
    inside = float(patches.pixels[patches.scales == 2].sum()) / 3
    assert inside == pytest.approx(height * width, rel=1e-5)  # white is 1, beyond it 0


def test_the_picture_lies_in_the_middle_of_its_patches():
    """TensorFlow's SAME: of 31 rows and 24 columns to spare, 15 and 12 come first."""
    patches = prepare(np.full((33, 40, 3), 255, np.uint8))
    first, second, third, last = patches.pixels[patches.scales == 2]
    assert (first[:, 15:, 12:] == 1).all()
    assert (float(first.sum()), float(second.sum())) == (3 * 17 * 20, 3 * 17 * 20)
    assert (last[:, :16, :20] == 1).all()
    assert (float(third.sum()), float(last.sum())) == (3 * 16 * 20, 3 * 16 * 20)


def test_a_resize_by_hand():
    """Three pixels from two: the middle one halfway, the outer ones a sixth beyond a centre."""
    near, far = np.exp(-2 * (1 / 6) ** 2), np.exp(-2 * (7 / 6) ** 2)
    edge = far / (near + far)
    found = gaussian_resize(np.array([[[0.0], [1.0]]], np.float32), 1, 3)[0, :, 0]
    assert found == pytest.approx([edge, 0.5, 1 - edge], abs=1e-6)


RESIZED = {
    (600, 384): ({0: 0.10886, 1: 0.634428, 100: 0.352474, 200: 0.556879, 383: 0.33114}, 190.988691),
    (50, 224): ({0: 0.010296, 1: 0.024173, 100: 0.17834, 150: 0.192631, 223: 0.949705}, 112.041252),
}
"""What `tf.image.resize` by "gaussian" of TensorFlow 2.21 makes of a row of 37 i mod 101 / 100."""


@pytest.mark.parametrize("sizes", RESIZED)
def test_the_resize_is_that_of_tensorflow(sizes):
    values, total = RESIZED[sizes]
    row = ((np.arange(sizes[0]) * 37) % 101 / 100).astype(np.float32)
    found = gaussian_resize(row[None, :, None], 1, sizes[1])[0, :, 0]
    assert {at: float(found[at]) for at in values} == pytest.approx(values, abs=1e-6)
    assert float(found.sum(dtype=np.float64)) == pytest.approx(total, abs=1e-4)
    turned = gaussian_resize(row[:, None, None], sizes[1], 1)[:, 0, 0]
    assert np.allclose(turned, found, atol=1e-6)


@pytest.mark.parametrize(("count", "at", "cell"), [(7, 6, 8), (205, 41, 1), (305, 61, 1)])
def test_the_grid_is_found_in_float32_as_tensorflow_does(count, at, cell):
    """In whole numbers the last two would lie in the next cell."""
    assert _cells(count)[at] == cell
    assert _cells(400)[-1] == 9


WRONG = {
    "AVA with 3 scales": {"outputs": 10},
    "ImageNet with 3 scales": {"outputs": 1000},
    "one score with 1 scales": {"scales": 1},
}


@pytest.mark.parametrize("looks", WRONG)
def test_another_archive_is_refused_by_its_name(looks, tmp_path):
    path = write_musiq(tmp_path / "koniq_ckpt.npz", musiq_parameters(SMALL, **WRONG[looks]))
    with pytest.raises(UsageError, match=f"found MUSIQ of {looks}"):
        load_musiq(path, SMALL)


def test_files_that_are_no_such_archive(parameters, tmp_path):
    short = {name: value for name, value in parameters.items() if name != "Transformer/cls"}
    path = write_musiq(tmp_path / "a.npz", short)
    with pytest.raises(UsageError, match="1 missing: cls"):
        load_musiq(path, SMALL)
    torch.save({"a": torch.zeros(1)}, tmp_path / "koniq_ckpt.npz")
    with pytest.raises(UsageError, match=f"expected arrays under {ROOT}, found"):
        load_musiq(tmp_path / "koniq_ckpt.npz", SMALL)
    (tmp_path / "b.npz").write_bytes(b"no archive")
    with pytest.raises(UsageError, match=r"expected an \.npz of arrays"):
        load_musiq(tmp_path / "b.npz", SMALL)
    np.savez(tmp_path / "c.npz", **{f"{ROOT}cls": np.array([object()])})
    with pytest.raises(UsageError, match=r"expected an \.npz of arrays"):
        load_musiq(tmp_path / "c.npz", SMALL)
    with pytest.raises(UsageError, match="no such file"):
        load_musiq(tmp_path / "d.npz", SMALL)
