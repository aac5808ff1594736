"""DiffUIR's parts against arithmetic in NumPy, its schedule against numbers, its draws."""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from e2r_baselines.diffuir import DiffUIRRestorer, open_diffuir, sample, schedule, times
from e2r_baselines.diffuir_unet import (
    SIZES,
    Around,
    Block,
    DiffUIR,
    DiffUIRConfig,
    FullAttention,
    LinearAttention,
    PixelScale,
    ResidualBlock,
    StandardisedConv,
    TimeWaves,
)
from e2r_baselines.method import Build, Compute, Draw, Photo, Pixels
from e2r_baselines.network import place
from e2r_baselines.tasks import TASKS
from tests.baselines.arithmetic import (
    A,
    agree,
    conv,
    picture,
    randomised,
    run,
    sigmoid,
    softmax,
    values,
)

DIM = 8
TINY = DiffUIRConfig(8, (1, 2, 2, 4))
CPU = Compute()


def silu(x: A) -> A:
    return x * sigmoid(x)


def standardised(weight: A) -> A:
    flat = weight.reshape(len(weight), -1)
    scaled = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-5)
    return scaled.reshape(weight.shape)


def scaled(x: A, g: A) -> A:
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * g[0]


def group_norm(x: A, weight: A, bias: A) -> A:
    groups = x.reshape(8, -1)
    groups = groups - groups.mean(1, keepdims=True)
    groups /= np.sqrt((groups**2).mean(1, keepdims=True) + 1e-5)
    return groups.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def block(x: A, p: dict[str, A], at: str = "", scale: A | float = 0.0, shift: A | float = 0.0) -> A:
    y = conv(x, standardised(p[f"{at}proj.weight"]), p[f"{at}proj.bias"])
    return silu(group_norm(y, p[f"{at}norm.weight"], p[f"{at}norm.bias"]) * (scale + 1) + shift)


def residual(x: A, time: A, p: dict[str, A], at: str = "") -> A:
    told = p[f"{at}mlp.1.weight"] @ silu(time) + p[f"{at}mlp.1.bias"]
    scale, shift = np.split(told[:, None, None], 2)
    y = block(block(x, p, f"{at}block1.", scale, shift), p, f"{at}block2.")
    if f"{at}res_conv.weight" in p:
        x = conv(x, p[f"{at}res_conv.weight"], p[f"{at}res_conv.bias"])
    return x + y


def linear_attention(x: A, p: dict[str, A], at: str = "") -> A:
    qkv = conv(x, p[f"{at}to_qkv.weight"]).reshape(3, 4, 32, -1)
    out = np.zeros_like(qkv[0])
    for head in range(4):
        query, key, value = qkv[0, head], qkv[1, head], qkv[2, head]
        query = softmax(query.T).T / math.sqrt(32)
        mixed = softmax(key) @ (value / value.shape[1]).T
        out[head] = mixed.T @ query
    whole = out.reshape(128, *x.shape[1:])
    whole = conv(whole, p[f"{at}to_out.0.weight"], p[f"{at}to_out.0.bias"])
    return scaled(whole, p[f"{at}to_out.1.g"])


def full_attention(x: A, p: dict[str, A], at: str = "") -> A:
    qkv = conv(x, p[f"{at}to_qkv.weight"]).reshape(3, 4, 32, -1)
    out = np.zeros_like(qkv[0])
    for head in range(4):
        query, key, value = qkv[0, head], qkv[1, head], qkv[2, head]
        out[head] = (softmax(query.T @ key / math.sqrt(32)) @ value.T).T
    return conv(out.reshape(128, *x.shape[1:]), p[f"{at}to_out.weight"], p[f"{at}to_out.bias"])


def test_convolution_and_norm_standardise() -> None:
    layer, pixel = randomised(StandardisedConv(DIM, DIM)), randomised(PixelScale(DIM))
    x, p = picture(DIM), values(layer)
    agree(run(layer, x), conv(x, standardised(p["weight"]), p["bias"]))
    agree(run(pixel, x), scaled(x, values(pixel)["g"]))


def test_blocks_are_told_the_time() -> None:
    plain = randomised(Block(DIM, DIM))
    agree(run(plain, picture(DIM)), block(picture(DIM), values(plain)))
    time = np.random.default_rng(3).standard_normal(5)
    for out in (DIM, 2 * DIM):
        layer = randomised(ResidualBlock(DIM, out, 5))
        agree(run(layer, picture(DIM), time), residual(picture(DIM), time, values(layer)))


def test_attention() -> None:
    x = picture(DIM)
    linear, full = randomised(LinearAttention(DIM)), randomised(FullAttention(DIM))
    agree(run(linear, x), linear_attention(x, values(linear)))
    agree(run(full, x), full_attention(x, values(full)))
    around = randomised(Around(DIM, FullAttention(DIM)))
    p = values(around)
    inner = {key.removeprefix("fn.fn."): value for key, value in p.items()}
    agree(run(around, x), x + full_attention(scaled(x, p["fn.norm.g"]), inner))


def test_time_waves() -> None:
    waves = TimeWaves(8)(torch.tensor([993.6]))[0].double().numpy()
    rates = [10_000 ** (-i / 3) for i in range(4)]
    expected = [f(993.6 * rate) for f in (math.sin, math.cos) for rate in rates]
    np.testing.assert_allclose(waves, expected, atol=1e-4)


def doubled(x: A) -> A:
    return x.repeat(2, 1).repeat(2, 2)


def strided(x: A, weight: A, bias: A) -> A:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    height, width = x.shape[1] // 2, x.shape[2] // 2
    out = np.zeros((len(weight), height, width))
    for i, j in product(range(4), repeat=2):
        part = padded[:, i : i + 2 * height : 2, j : j + 2 * width : 2]
        out += np.tensordot(weight[:, :, i, j], part, 1)
    return out + bias[:, None, None]


def level(x: A, told: A, p: dict[str, A], at: str, skips: list[A], up: bool) -> A:
    for i in (0, 1):
        x = residual(np.concatenate([x, skips.pop()]) if up else x, told, p, f"{at}{i}.")
        if i == 1:
            normed = scaled(x, p[f"{at}2.fn.norm.g"])
            x = x + linear_attention(normed, p, f"{at}2.fn.fn.")
        if not up:
            skips.append(x)
    return x


def test_the_whole_network_with_its_reflected_border() -> None:
    network = randomised(DiffUIR(TINY))
    p = {key.removeprefix("unet0."): value for key, value in values(network).items()}
    x, time = picture(6, 14, 16), 650.0
    waves = TimeWaves(8)(torch.tensor([time]))[0].double().numpy()
    told = p["time_mlp.1.weight"] @ waves + p["time_mlp.1.bias"]
    told = told * (1 + np.vectorize(math.erf)(told / math.sqrt(2))) / 2
    told = p["time_mlp.3.weight"] @ told + p["time_mlp.3.bias"]
    y = first = conv(
        np.pad(x, ((0, 0), (0, 2), (0, 0)), mode="reflect"),
        p["init_conv.weight"],
        p["init_conv.bias"],
    )
    skips: list[A] = []
    for i in range(4):
        y = level(y, told, p, f"downs.{i}.", skips, up=False)
        resize = strided if i < 3 else conv
        y = resize(y, p[f"downs.{i}.3.weight"], p[f"downs.{i}.3.bias"])
    y = residual(y, told, p, "mid_block1.")
    y = y + full_attention(scaled(y, p["mid_attn.fn.norm.g"]), p, "mid_attn.fn.fn.")
    y = residual(y, told, p, "mid_block2.")
    for i in range(4):
        y = level(y, told, p, f"ups.{i}.", skips, up=True)
        at = f"ups.{i}.3.1" if i < 3 else f"ups.{i}.3"
        y = conv(doubled(y) if i < 3 else y, p[f"{at}.weight"], p[f"{at}.bias"])
    y = residual(np.concatenate([y, first]), told, p, "final_res_block.")
    expected = conv(y, p["final_conv.weight"], p["final_conv.bias"])[:, :14]
    with torch.no_grad():
        measured = network(torch.from_numpy(x)[None], torch.tensor([time]))[0].numpy()
    # The waves are float32.
    np.testing.assert_allclose(measured, expected, rtol=1e-5, atol=1e-5)


def test_the_schedule_is_the_papers() -> None:
    plan = schedule()
    at = [0, 333, 666, 999]
    assert [plan.residual[t] for t in at] == pytest.approx([5e-5, 0.4355, 0.8952, 0.9936], abs=6e-5)
    assert [plan.removed[t] for t in at] == pytest.approx([1e-6, 0.1005, 0.4006, 0.9005], abs=6e-5)
    assert times() == (999, 665, 332, -1)
    assert times(5) == (999, 799, 599, 399, 199, -1)


class Told(nn.Module):
    """Predicts a known residual, and keeps what it was given."""

    def __init__(self, residuals: Sequence[Tensor]) -> None:
        super().__init__()
        self.residuals, self.seen = iter(residuals), list[tuple[Tensor, float]]()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        self.seen.append((x, float(time[0])))
        return next(self.residuals)


def test_three_steps_take_the_residual_out_and_the_picture_back_in() -> None:
    generator = torch.Generator().manual_seed(0)
    degraded, noise, *guesses = (
        torch.randn(1, 3, 9, 9, generator=generator, dtype=torch.float64) for _ in range(5)
    )
    network = Told([guess * 2 for guess in guesses])
    result = sample(network, degraded, noise)  # pyright: ignore[reportArgumentType]
    a, d = schedule().residual, schedule().removed
    clamped = [(guess * 2).clamp(-1, 1) for guess in guesses]
    x = (1 - d[999]) * degraded + 0.1 * noise
    for i, (now, then) in enumerate([(999, 665), (665, 332), (332, -1)]):
        seen, time = network.seen[i]
        assert torch.allclose(seen, torch.cat([x, degraded], 1))
        assert time == pytest.approx(1000 * a[now])
        if then >= 0:
            x = x - (a[now] - a[then]) * clamped[i] + (d[now] - d[then]) * degraded
    assert torch.allclose(result, (degraded - clamped[2]).clamp(-1, 1))


def pixels(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def restorer(compute: Compute = CPU) -> DiffUIRRestorer:
    torch.manual_seed(0)
    return DiffUIRRestorer(place(DiffUIR(TINY), compute), compute)


def test_sizes_come_back() -> None:
    sizes = [(322, 482), (68, 68), (1, 1), (8, 37), (37, 53)]
    photos = [Photo(f"{h}x{w}", pixels(h, w)) for h, w in sizes]
    results = list(restorer().restore(photos, TASKS["derain"], [Draw(0, 0)]))
    assert [r.pixels.shape[:2] for r in results] == sizes
    for result in results:
        assert result.pixels.dtype == np.float32
        assert result.pixels.min() >= 0
        assert result.pixels.max() <= 1


def test_each_seed_and_each_photo_has_its_own_noise() -> None:
    photos, draws = [Photo(name, pixels(24, 32)) for name in "ab"], [Draw(0, 0), Draw(1, 0)]
    results = list(restorer().restore(photos, TASKS["derain"], draws))
    assert [(r.photo_id, r.draw) for r in results] == [(n, d) for n in "ab" for d in draws]
    for i, j in ((0, 1), (0, 2), (1, 3), (2, 3)):
        assert np.abs(results[i].pixels - results[j].pixels).max() > 0


def test_order_and_company_change_nothing() -> None:
    photos = [Photo(str(i), pixels(24, 32, i)) for i in range(3)]
    draws = [Draw(seed, 0) for seed in range(2)]
    together = {
        (r.photo_id, r.draw): r.pixels for r in restorer().restore(photos, TASKS["derain"], draws)
    }
    for photo, draw in product(reversed(photos), reversed(draws)):
        (alone,) = restorer().restore([photo], TASKS["derain"], [draw])
        np.testing.assert_array_equal(alone.pixels, together[photo.id, draw])


def test_tiles_and_bfloat16() -> None:
    photo = [Photo("a", pixels(50, 60))]
    exact, tiles, coarse = (
        next(restorer(compute).restore(photo, TASKS["derain"], [Draw(0, 0)])).pixels
        for compute in (Compute(), Compute(tile=32), Compute(dtype="bfloat16"))
    )
    assert tiles.shape == exact.shape
    assert np.abs(exact - tiles)[0, 0].max() < np.abs(exact - tiles).max()
    assert 0 < np.abs(exact - coarse).max() < 0.2


def test_the_averaged_weights_of_a_training_file_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    raw, averaged = DiffUIR(SIZES["diffuir-t"]), DiffUIR(SIZES["diffuir-t"])
    buffers = {"alphas_cumsum": torch.ones(1000)}
    path = tmp_path / "model-300.pt"
    torch.save(
        {
            "step": 300,
            "model": {f"model.{k}": v for k, v in raw.state_dict().items()} | buffers,
            "ema": {
                "initted": torch.tensor(True),
                "step": torch.tensor(1),
                **{f"online_model.model.{k}": v for k, v in raw.state_dict().items()},
                **{f"ema_model.model.{k}": v for k, v in averaged.state_dict().items()},
                **{f"ema_model.{k}": v for k, v in buffers.items()},
            },
        },
        path,
    )
    build = Build("diffuir-t", ("file",))
    loaded = open_diffuir(build, {"file": path}, Compute()).network.state_dict()
    for key, value in averaged.state_dict().items():
        assert torch.equal(loaded[key], value)
    assert not torch.equal(loaded["unet0.init_conv.weight"], raw.unet0.init_conv.weight)
