"""AdaIR's own blocks against arithmetic in NumPy, and the branch that only large pictures meet."""

import numpy as np
import pytest
import torch

from e2r_baselines.adair import (
    AdaIR,
    AdaIRConfig,
    ChannelGate,
    FrequencyGates,
    FrequencyMining,
    SpatialGate,
    split_frequencies,
)
from tests.baselines.arithmetic import (
    A,
    agree,
    attention,
    conv,
    gelu,
    picture,
    randomised,
    resized,
    run,
    sigmoid,
    values,
)

DIM = 16
TINY = AdaIRConfig(16, (1, 1, 1, 1), 1, heads=(1, 1, 1, 1), expansion=2.0)


def spatial_share(x: A, p: dict[str, A], at: str = "") -> A:
    return sigmoid(conv(np.stack([x.max(0), x.mean(0)]), p[f"{at}spatial.weight"]))


def channel_share(x: A, p: dict[str, A], at: str = "") -> A:
    first, second = (p[f"{at}mlp.{i}.weight"][:, :, 0, 0] for i in (0, 2))
    mean, largest = x.mean((1, 2)), x.max((1, 2))
    total = sum(second @ np.maximum(first @ v, 0) for v in (mean, largest))
    return sigmoid(total)[:, None, None]


def gates(low: A, high: A, p: dict[str, A], at: str = "") -> A:
    mixed = high * channel_share(low, p, f"{at}ChannelGate.")
    mixed = mixed + low * spatial_share(high, p, f"{at}SpatialGate.")
    return conv(mixed, p[f"{at}proj.weight"], p[f"{at}proj.bias"])


def cross(x: A, other: A, p: dict[str, A], at: str) -> A:
    query = conv(conv(x, p[f"{at}q.weight"]), p[f"{at}q_dwconv.weight"])
    both = conv(conv(other, p[f"{at}kv.weight"]), p[f"{at}kv_dwconv.weight"])
    key, value = np.split(both, 2)
    mixed = attention(query, key, value, p[f"{at}temperature"][:, 0, 0])
    return conv(mixed, p[f"{at}project_out.weight"])


def test_gates() -> None:
    x, high = picture(DIM), picture(DIM, seed=2)
    spatial, channel = randomised(SpatialGate()), randomised(ChannelGate(DIM))
    agree(run(spatial, x), spatial_share(x, values(spatial)))
    agree(run(channel, x), channel_share(x, values(channel)))
    block = randomised(FrequencyGates(DIM))
    agree(run(block, x, high), gates(x, high, values(block)))


def windowed(x: A, tall: int, wide: int) -> tuple[A, A]:
    """Cut the spectrum by its own sum, wave by wave; only for small pictures."""
    height, width = x.shape[1:]
    rows, columns = np.arange(height), np.arange(width)
    low = np.zeros(x.shape, complex)
    for v in range(-tall, tall):
        for u in range(-wide, wide):
            wave = np.exp(2j * np.pi * (v * rows[:, None] / height + u * columns / width))
            share = (x * wave.conj()).mean((1, 2))
            low += share[:, None, None] * wave
    return np.abs(low), np.abs(x - low)


def test_the_window_is_cut_around_zero_and_leaves_out_the_positive_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("e2r_baselines.adair.WINDOW", 2)
    x = np.stack([picture(2, 9, 12, seed) for seed in (1, 2)])
    shares = np.array([[0.8, 0.4], [0.3, 0.99]])  # of 9 // 2 = 4 and 12 // 2 = 6
    low, high = split_frequencies(torch.from_numpy(x), torch.from_numpy(shares))
    for i, (tall, wide) in enumerate([(3, 2), (1, 5)]):
        expected_low, expected_high = windowed(x[i], tall, wide)
        agree(low[i].numpy(), expected_low)
        agree(high[i].numpy(), expected_high)


@pytest.mark.parametrize("window", [128, 2])
def test_frequency_mining(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr("e2r_baselines.adair.WINDOW", window)
    block = randomised(FrequencyMining(DIM, heads=4))
    p, image, y = values(block), picture(3, 8, 12), picture(DIM, 4, 6, seed=2)
    x = conv(resized(image, 4, 6), p["conv1.weight"])
    inner = gelu(p["rate_conv.0.weight"][:, :, 0, 0] @ x.mean((1, 2)))
    shares = sigmoid(p["rate_conv.2.weight"][:, :, 0, 0] @ inner)
    tall, wide = (int(side // window * share) for side, share in zip((4, 6), shares, strict=True))
    assert (tall * wide > 0) == (window == 2)
    low, high = windowed(x, tall, wide)
    assert low.any() == (window == 2)
    high, low = cross(high, y, p, "channel_cross_l."), cross(low, y, p, "channel_cross_h.")
    agg = gates(low, high, p, "frequency_refine.")
    expected = cross(y, agg, p, "channel_cross_agg.") * p["para1"] + y * p["para2"]
    agree(run(block, image, y), expected)


def low_is_on(height: int, width: int) -> bool:
    """Whether any of the three blocks saw a low frequency, with the largest share there is."""
    network = AdaIR(AdaIRConfig(16, (0, 0, 0, 0), 0)).eval()
    seen: list[bool] = []

    def noted(x: torch.Tensor, shares: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        low, high = split_frequencies(x, torch.full_like(shares, 0.999))
        seen.append(bool(low.any()))
        return low, high

    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr("e2r_baselines.adair.split_frequencies", noted)
        network(torch.rand(1, 3, height, width))
    assert len(seen) == 3
    return any(seen)


@pytest.mark.parametrize(
    ("height", "width", "on"),
    [(64, 64, False), (128, 128, False), (504, 504, False), (504, 1024, False), (512, 512, True)],
)
def test_the_low_frequencies_switch_on_from_512_pixels(height: int, width: int, on: bool) -> None:
    assert low_is_on(height, width) == on


def test_what_is_never_read_changes_nothing() -> None:
    network = randomised(AdaIR(TINY))
    x = torch.from_numpy(picture(3, 16, 24))[None]
    with torch.inference_mode():
        before = network(x)
        for block in (network.fre1, network.fre2, network.fre3):
            block.conv.weight.zero_()
            block.score_gen.weight.zero_()
        assert torch.equal(network(x), before)
        network.fre1.conv1.weight.zero_()
        assert not torch.equal(network(x), before)
