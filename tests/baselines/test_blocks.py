"""Every block type against arithmetic written out in NumPy, in float64 on small inputs."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from e2r_baselines.blocks import (
    ChannelAttention,
    ChannelNorm,
    CrossAttention,
    GatedFeedForward,
    downsample,
    upsample,
)
from e2r_baselines.ffdnet import FFDNet, FrozenNorm
from e2r_baselines.instructir import InstructionBlock, NAFBlock
from e2r_baselines.instructir_text import LanguageHead, mean_pooled
from e2r_baselines.moce_experts import Adapter, Expert, FourierAttention, FrequencyEmbedding
from e2r_baselines.prenet import PReNet
from e2r_baselines.promptir import PromptGenerator, TransformerBlock
from tests.baselines.arithmetic import (
    DIM,
    HEADS,
    HEIGHT,
    WIDTH,
    A,
    agree,
    attention,
    conv,
    feed_forward,
    gelu,
    naf,
    norm,
    picture,
    randomised,
    resized,
    run,
    self_attention,
    sigmoid,
    softmax,
    values,
)


def test_channel_norm() -> None:
    block = randomised(ChannelNorm(DIM))
    p, x = values(block), picture()
    agree(run(block, x), norm(x, p["body.weight"], p["body.bias"], 1e-5))


@pytest.mark.parametrize("bias", [False, True])
def test_attention_runs_along_channels(bias: bool) -> None:
    block = randomised(ChannelAttention(DIM, HEADS, bias))
    agree(run(block, picture()), self_attention(picture(), values(block)))


@pytest.mark.parametrize("bias", [False, True])
def test_gated_feed_forward_floors_its_width(bias: bool) -> None:
    block = randomised(GatedFeedForward(DIM, 2.66, bias))
    p = values(block)
    assert p["project_out.weight"].shape[1] == 10
    agree(run(block, picture()), feed_forward(picture(), p))


def test_transformer_block() -> None:
    block = randomised(TransformerBlock(DIM, HEADS, 2.0))
    p, x = values(block), picture()
    first = norm(x, p["norm1.body.weight"], p["norm1.body.bias"], 1e-5)
    x = x + self_attention(first, p, "attn.")
    second = norm(x, p["norm2.body.weight"], p["norm2.body.bias"], 1e-5)
    agree(run(block, picture()), x + feed_forward(second, p, "ffn."))


def test_resampling_moves_pixels_into_channels_and_back() -> None:
    down, up = randomised(downsample(DIM)), randomised(upsample(DIM))
    x = picture(DIM, 4, 6)
    narrow = conv(x, values(down)["body.0.weight"])
    folded = np.stack([narrow[c, i::2, j::2] for c in range(2) for i in (0, 1) for j in (0, 1)])
    agree(run(down, x), folded)
    wide = conv(x, values(up)["body.0.weight"])
    spread = np.zeros((2, 8, 12))
    for c, i, j in product(range(2), (0, 1), (0, 1)):
        spread[c, i::2, j::2] = wide[4 * c + 2 * i + j]
    agree(run(up, x), spread)


def test_prompt_generator() -> None:
    block = randomised(PromptGenerator(channels=3, size=4, features=DIM, prompts=5))
    p, x = values(block), picture()
    shares = softmax(p["linear_layer.weight"] @ x.mean((1, 2)) + p["linear_layer.bias"])
    mixed = sum(share * prompt for share, prompt in zip(shares, p["prompt_param"][0], strict=True))
    agree(run(block, x), conv(resized(mixed, HEIGHT, WIDTH), p["conv3x3.weight"]))


def test_naf_block_with_its_channel_attention() -> None:
    block = randomised(NAFBlock(DIM))
    agree(run(block, picture()), naf(picture(), values(block)))


def test_instruction_block() -> None:
    block = randomised(InstructionBlock(DIM, text=7))
    p, x, text = values(block), picture(), np.random.default_rng(3).standard_normal(7)
    share = sigmoid(p["fc.weight"] @ text + p["fc.bias"])[:, None, None]
    steered = (x * p["gamma"][0] + p["beta"][0]) * share
    agree(run(block, x, text), naf(steered, p, "block.") + x)


def test_sentences_are_averaged_over_tokens_not_padding() -> None:
    tokens = np.random.default_rng(4).standard_normal((2, 3, 5))
    mask = np.array([[1, 1, 1], [1, 1, 0]])
    measured = mean_pooled(torch.from_numpy(tokens), torch.from_numpy(mask)).numpy()
    short = tokens[1, :2].mean(0)
    agree(measured[1], short / np.linalg.norm(short))
    assert np.allclose(np.linalg.norm(measured, axis=1), 1)


def test_language_head() -> None:
    head = randomised(LanguageHead())
    p, sentence = values(head), np.random.default_rng(5).standard_normal(384)
    inner = p["fc1.weight"] @ sentence + p["fc1.bias"]
    inner /= np.linalg.norm(inner)
    with torch.no_grad():
        embedding, kinds = head(torch.from_numpy(sentence)[None])
    agree(embedding[0].numpy(), inner)
    agree(kinds[0].numpy(), p["fc2.weight"] @ inner + p["fc2.bias"])


@pytest.mark.parametrize("reach", [3, 7])
def test_cross_attention_asks_one_feature_about_another(reach: int) -> None:
    block = randomised(CrossAttention(DIM, HEADS, reach))
    assert values(block)["kv_dwconv.weight"].shape[-1] == reach
    p, x, other = values(block), picture(), picture(seed=2)
    query = conv(conv(x, p["q.weight"]), p["q_dwconv.weight"])
    key, value = np.split(conv(conv(other, p["kv.weight"]), p["kv_dwconv.weight"]), 2)
    mixed = attention(query, key, value, p["temperature"][:, 0, 0])
    agree(run(block, x, other), conv(mixed, p["project_out.weight"]))


def circular(x: A, y: A) -> A:
    """Convolve two square patches around their borders, by the sum itself."""
    side = len(x)
    out = np.zeros_like(x)
    for i, j, a, b in product(range(side), repeat=4):
        out[i, j] += x[a, b] * y[(i - a) % side, (j - b) % side]
    return out


def fourier(x: A, p: dict[str, A], patch: int, at: str = "") -> A:
    query = conv(conv(x, p[f"{at}q.weight"]), p[f"{at}q_dwconv.weight"], p[f"{at}q_dwconv.bias"])
    both = conv(conv(x, p[f"{at}kv.weight"]), p[f"{at}kv_dwconv.weight"], p[f"{at}kv_dwconv.bias"])
    key, value = np.split(both, 2)
    down, right = -x.shape[1] % patch, -x.shape[2] % patch
    q, k = (np.pad(part, ((0, 0), (0, down), (0, right))) for part in (query, key))
    out = np.zeros_like(q)
    for c in range(len(q)):
        for i, j in product(range(0, q.shape[1], patch), range(0, q.shape[2], patch)):
            box = (c, slice(i, i + patch), slice(j, j + patch))
            out[box] = circular(q[box], k[box])
    out = out[:, : x.shape[1], : x.shape[2]]
    out = norm(out, p[f"{at}norm.body.weight"], p[f"{at}norm.body.bias"], 1e-5) * value
    return conv(out, p[f"{at}proj_out.weight"], p[f"{at}proj_out.bias"])


def test_fourier_attention_is_a_circular_convolution_in_each_patch() -> None:
    block = randomised(FourierAttention(DIM, patch=4))
    # The spectra are taken in float32, as in the checkpoint's own code.
    np.testing.assert_allclose(
        run(block, picture()), fourier(picture(), values(block), 4), rtol=1e-4, atol=1e-4
    )


def expert(x: A, shared: A, p: dict[str, A], patch: int, at: str = "") -> A:
    gate = conv(shared, p[f"{at}proj.1.weight"])
    body = fourier(conv(x, p[f"{at}proj.0.weight"]), p, patch, f"{at}body.")
    return conv(body * gate * sigmoid(gate), p[f"{at}proj.2.weight"]) + x


def test_expert_is_gated_by_the_shared_branch() -> None:
    block = randomised(Expert(DIM, inner=2, patch=4))
    measured = run(block, picture(), picture(seed=2))
    expected = expert(picture(), picture(seed=2), values(block), 4)
    np.testing.assert_allclose(measured, expected, rtol=1e-4, atol=1e-4)


def test_adapter_sends_each_picture_through_its_best_expert_alone() -> None:
    block = randomised(Adapter(DIM, embedding=6, experts=2))
    p = values(block)
    embedding = np.outer([3, -3, 1], np.random.default_rng(6).standard_normal(6))
    x = np.stack([picture(seed=s) for s in (1, 2, 3)])
    shared = np.stack([picture(seed=s) for s in (4, 5, 6)])
    drawn = torch.randn(1, 2, generator=torch.Generator().manual_seed(7)).numpy()[0]
    with torch.no_grad():
        given = (torch.from_numpy(part) for part in (x, embedding, shared))
        measured = block(*given, torch.Generator().manual_seed(7)).numpy()
    chosen = []
    for i in range(3):
        logits = p["routing.gate.2.weight"] @ x[i].mean((1, 2))
        logits += p["routing.freq_gate.weight"] @ embedding[i] + drawn / 2
        scores = softmax(logits)
        best = int(scores.argmax())
        chosen.append(best)
        routed = expert(x[i], shared[i], p, 2 ** (best + 2), f"experts.{best}.0.")
        expected = conv(scores[best] * routed, p["proj_out.weight"])
        np.testing.assert_allclose(measured[i], expected, rtol=1e-4, atol=1e-4)
    assert set(chosen) == {0, 1}


def test_frequency_embedding_uses_the_loaded_kernels() -> None:
    block = randomised(FrequencyEmbedding(DIM))
    p, x = values(block), picture()
    high = gelu(conv(x, p["high_conv.0.conv.weight"])).mean((1, 2))
    inner = gelu(p["mlp.0.weight"] @ high + p["mlp.0.bias"])
    agree(run(block, x), p["mlp.2.weight"] @ inner + p["mlp.2.bias"])


def test_prenet_recurs_over_the_estimate_and_its_memory() -> None:
    network = PReNet(recurrences=2).double().eval()
    p, rainy = values(network), picture(3, 4, 5)
    estimate, hidden, cell = rainy, np.zeros((32, 4, 5)), np.zeros((32, 4, 5))

    def layer(y: A, name: str) -> A:
        return conv(y, p[f"{name}.weight"], p[f"{name}.bias"])

    for _ in range(2):
        x = np.maximum(layer(np.concatenate([rainy, estimate]), "conv0.0"), 0)
        x = np.concatenate([x, hidden])
        keep, take, out = (sigmoid(layer(x, f"conv_{g}.0")) for g in "fio")
        cell = keep * cell + take * np.tanh(layer(x, "conv_g.0"))
        hidden = x = out * np.tanh(cell)
        for b in range(1, 6):
            inner = np.maximum(layer(x, f"res_conv{b}.0"), 0)
            x = np.maximum(np.maximum(layer(inner, f"res_conv{b}.2"), 0) + x, 0)
        estimate = layer(x, "conv.0") + rainy
    agree(run(network, rainy), estimate)


def test_frozen_norm_uses_the_stored_statistics() -> None:
    block = randomised(FrozenNorm(DIM))
    p, x = values(block), picture()
    spread = np.sqrt(p["running_var"] + 1e-5)[:, None, None]
    scaled = (x - p["running_mean"][:, None, None]) / spread
    agree(run(block, x), scaled * p["weight"][:, None, None] + p["bias"][:, None, None])


def test_ffdnet_puts_the_level_before_the_four_quarters() -> None:
    network = FFDNet().double().eval()
    seen: list[Tensor] = []

    class Probe(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x[:, 3:]

    network.intermediate_dncnn.itermediate_dncnn = Probe()  # pyright: ignore[reportAttributeAccessIssue]
    x = picture(3, 4, 6)
    out = network(torch.from_numpy(x)[None], torch.tensor([0.1], dtype=torch.float64))
    given = seen[0][0].numpy()
    np.testing.assert_allclose(given[:3], 0.1)
    quarters = [x[c, i::2, j::2] for c in range(3) for i in (0, 1) for j in (0, 1)]
    np.testing.assert_array_equal(given[3:], np.stack(quarters))
    # What was predicted as noise is taken off pixel by pixel: here all of the picture.
    np.testing.assert_array_equal(out.numpy(), 0)
