"""Layers written out in NumPy, in float64, by definition: what the networks are held against."""

import math
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

A = NDArray[np.float64]
DIM, HEADS, HEIGHT, WIDTH = 4, 2, 5, 6


def randomised(network: nn.Module) -> nn.Module:
    """No parameter may be left where a mistake about it would not show, such as at 0 or 1."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    for name, buffer in network.named_buffers():
        if "var" in name:
            buffer.uniform_(0.5, 2)
        elif "mean" in name:
            buffer.normal_()
    return network.double().eval()


def picture(dim: int = DIM, height: int = HEIGHT, width: int = WIDTH, seed: int = 1) -> A:
    return np.random.default_rng(seed).standard_normal((dim, height, width))


def run(network: nn.Module, *inputs: A) -> A:
    with torch.no_grad():
        return network(*(torch.from_numpy(x)[None] for x in inputs))[0].numpy()


def values(network: nn.Module) -> dict[str, A]:
    return {key: value.double().numpy() for key, value in network.state_dict().items()}


def conv(x: A, weight: A, bias: A | None = None) -> A:
    """Slide a kernel over a zero-padded picture; groups follow from the shapes."""
    out, inside, size, _ = weight.shape
    border = size // 2
    padded = np.pad(x, ((0, 0), (border, border), (border, border)))
    result = np.zeros((out, *x.shape[1:]))
    per_group = out // (len(x) // inside)
    for o, c, i, j in product(range(out), range(inside), range(size), range(size)):
        channel = o // per_group * inside + c
        part = padded[channel, i : i + x.shape[1], j : j + x.shape[2]]
        result[o] += weight[o, c, i, j] * part
    return result if bias is None else result + bias[:, None, None]


def norm(x: A, weight: A, bias: A, eps: float) -> A:
    centred = x - x.mean(0)
    scaled = centred / np.sqrt((centred**2).mean(0) + eps)
    return scaled * weight[:, None, None] + bias[:, None, None]


def softmax(x: A) -> A:
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def gelu(x: A) -> A:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def sigmoid(x: A) -> A:
    return (1 + np.tanh(x / 2)) / 2


def attention(query: A, key: A, value: A, temperature: A) -> A:
    heads = len(temperature)
    group = len(query) // heads
    out = np.zeros_like(value)
    for h in range(heads):
        mine = slice(h * group, (h + 1) * group)
        q, k, v = (part[mine].reshape(group, -1) for part in (query, key, value))
        # A row of zeros has no direction: it stays, and asks about everything alike.
        q = q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12)
        k = k / np.maximum(np.linalg.norm(k, axis=1, keepdims=True), 1e-12)
        out[mine] = (softmax(q @ k.T * temperature[h]) @ v).reshape(out[mine].shape)
    return out


def self_attention(x: A, p: dict[str, A], at: str = "") -> A:
    q, k, v = np.split(
        conv(
            conv(x, p[f"{at}qkv.weight"], p.get(f"{at}qkv.bias")),
            p[f"{at}qkv_dwconv.weight"], p.get(f"{at}qkv_dwconv.bias"),
        ), 3
    )  # fmt: skip
    mixed = attention(q, k, v, p[f"{at}temperature"][:, 0, 0])
    return conv(mixed, p[f"{at}project_out.weight"], p.get(f"{at}project_out.bias"))


def feed_forward(x: A, p: dict[str, A], at: str = "") -> A:
    wide = conv(x, p[f"{at}project_in.weight"], p.get(f"{at}project_in.bias"))
    gate, value = np.split(conv(wide, p[f"{at}dwconv.weight"], p.get(f"{at}dwconv.bias")), 2)
    out = p[f"{at}project_out.weight"], p.get(f"{at}project_out.bias")
    return conv(gelu(gate) * value, *out)


def agree(measured: A, expected: A) -> None:
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(measured, expected, rtol=1e-9, atol=1e-10)


def resized(x: A, height: int, width: int) -> A:
    """Bilinear with pixel centres at halves, clamped at the border."""
    out = np.zeros((len(x), height, width))
    for i, j in product(range(height), range(width)):
        y = min(max((i + 0.5) * x.shape[1] / height - 0.5, 0), x.shape[1] - 1)
        z = min(max((j + 0.5) * x.shape[2] / width - 0.5, 0), x.shape[2] - 1)
        top, left = int(y), int(z)
        low, right = min(top + 1, x.shape[1] - 1), min(left + 1, x.shape[2] - 1)
        a, b = y - top, z - left
        out[:, i, j] = (1 - a) * ((1 - b) * x[:, top, left] + b * x[:, top, right]) + a * (
            (1 - b) * x[:, low, left] + b * x[:, low, right]
        )
    return out


def naf(x: A, p: dict[str, A], at: str = "") -> A:
    def layer(y: A, name: str) -> A:
        return conv(y, p[f"{at}{name}.weight"], p[f"{at}{name}.bias"])

    y = norm(x, p[f"{at}norm1.weight"], p[f"{at}norm1.bias"], 1e-6)
    first, second = np.split(layer(layer(y, "conv1"), "conv2"), 2)
    gated = first * second
    mean = gated.mean((1, 2))
    share = p[f"{at}sca.1.weight"][:, :, 0, 0] @ mean + p[f"{at}sca.1.bias"]
    x = x + p[f"{at}beta"][0] * layer(gated * share[:, None, None], "conv3")
    y = norm(x, p[f"{at}norm2.weight"], p[f"{at}norm2.bias"], 1e-6)
    first, second = np.split(layer(y, "conv4"), 2)
    return x + p[f"{at}gamma"][0] * layer(first * second, "conv5")
