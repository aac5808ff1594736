"""LoRA-IR: experts folded, the local mean, the told stages, and the router's views."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPVisionConfig

from e2r_baselines.lora_ir import (
    PRIOR,
    ExpertConv,
    LocalMean,
    LoRAIR,
    LoRAIRConfig,
    LoRAIRRestorer,
    ToldStage,
    fold,
    with_experts,
)
from e2r_baselines.lora_ir_router import Router, routed_by, views
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, Pixels
from e2r_baselines.network import place
from e2r_baselines.tasks import TASKS
from tests.baselines.arithmetic import (
    A,
    agree,
    conv,
    gelu,
    naf,
    norm,
    picture,
    randomised,
    run,
    sigmoid,
    values,
)

TINY = LoRAIRConfig(16, (1, 1), 1, (1, 1))
TINY_CLIP = CLIPVisionConfig(
    hidden_size=16, intermediate_size=32, projection_dim=12, num_hidden_layers=1,
    num_attention_heads=2, image_size=28, patch_size=14,
)  # fmt: skip


@pytest.mark.parametrize(
    ("side", "groups"), [(1, 1), (3, 1), (2, 1), (3, 6)], ids=["1x1", "3x3", "2x2", "depthwise"]
)
def test_an_expert_is_a_low_rank_change_of_the_kernel_read_row_by_row(
    side: int, groups: int
) -> None:
    layer = randomised(ExpertConv(nn.Conv2d(6, 12 if groups == 1 else 6, side, groups=groups)))
    assert isinstance(layer, ExpertConv)
    p = values(layer)
    for expert in range(3):
        change = (p["lora_B_list"][expert] @ p["lora_A_list"][expert]).ravel()
        expected = p["conv.weight"].ravel() + 2 * change
        agree(layer.folded(expert).detach().numpy().ravel(), expected)


def test_folding_touches_kernels_alone_and_gives_a_network_of_its_own() -> None:
    mixed = randomised(with_experts(LoRAIR(TINY)))
    assert isinstance(mixed, LoRAIR)
    dense = [fold(mixed, expert) for expert in range(3)]
    network = LoRAIR(TINY).double()
    for tensors in dense:
        network.load_state_dict(tensors, strict=True)
    for key, value in dense[0].items():
        home, _, kind = key.rpartition(".")
        file = mixed.state_dict()
        changed = f"{home}.lora_A_list" in file and kind == "weight"
        assert torch.equal(value, dense[1][key]) != changed
        if not changed:
            name = f"{home}.conv.{kind}" if f"{home}.lora_A_list" in file else key
            assert torch.equal(value, file[name])


def local_mean(x: A, side: int) -> A:
    height, width = x.shape[1:]
    tall, wide = min(side, height), min(side, width)
    rows, columns = height - tall + 1, width - wide + 1
    out = np.zeros_like(x)
    for i in range(height):
        for j in range(width):
            top = min(max(i - (height - rows) // 2, 0), rows - 1)
            left = min(max(j - (width - columns) // 2, 0), columns - 1)
            out[:, i, j] = x[:, top : top + tall, left : left + wide].mean((1, 2))
    return out


@pytest.mark.parametrize(("height", "width"), [(7, 9), (4, 9), (3, 9), (10, 2), (5, 5)])
def test_local_means_stop_at_the_border(height: int, width: int) -> None:
    x = picture(3, height, width)
    agree(run(LocalMean(4), x), local_mean(x, 4))


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 2)])
def test_a_window_that_holds_the_whole_is_its_mean(height: int, width: int) -> None:
    x = picture(3, height, width)
    agree(run(LocalMean(4), x), x.mean((1, 2), keepdims=True))


def test_a_told_stage() -> None:
    stage = randomised(ToldStage(16, 1, window=384))
    p, x = values(stage), picture(16)
    prior = np.random.default_rng(3).standard_normal((PRIOR, 1, 1))

    def layer(y: A, name: str) -> A:
        return conv(y, p[f"{name}.weight"], p[f"{name}.bias"])

    told = layer(gelu(layer(prior, "conv1")), "conv2")
    share = sigmoid(layer(np.maximum(layer(told, "conv3"), 0), "conv4"))
    normed = norm(x, p["norm.weight"], p["norm.bias"], 1e-6)
    agree(run(stage, x, prior), naf(x + p["beta"][0] * normed * share, p, "blocks.0."))


def test_the_whole_network() -> None:
    network = randomised(LoRAIR(TINY))
    p, image = values(network), picture(3, 8, 12)
    prior = np.random.default_rng(3).standard_normal(PRIOR)

    def layer(y: A, name: str) -> A:
        return conv(y, p[f"{name}.weight"], p.get(f"{name}.bias"))

    def stage(y: A, name: str) -> A:
        part = {k.removeprefix(name): v for k, v in p.items() if k.startswith(name)}
        share = layer(np.maximum(layer(layer(gelu(layer(told, f"{name}conv1")), f"{name}conv2"),
                                       f"{name}conv3"), 0), f"{name}conv4")  # fmt: skip
        normed = norm(y, part["norm.weight"], part["norm.bias"], 1e-6)
        return naf(y + part["beta"][0] * normed * sigmoid(share), p, f"{name}blocks.0.")

    def halved(y: A, name: str) -> A:
        blocks = np.stack([y[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], 1)
        kernel = p[f"{name}.weight"].reshape(*p[f"{name}.weight"].shape[:2], 4)
        return np.einsum("ocs,cshw->ohw", kernel, blocks) + p[f"{name}.bias"][:, None, None]

    def doubled(y: A, name: str) -> A:
        wide = layer(y, name)
        out = np.zeros((len(wide) // 4, 2 * wide.shape[1], 2 * wide.shape[2]))
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            out[:, i::2, j::2] = wide[2 * i + j :: 4]
        return out

    told = prior[:, None, None]
    for name in ("intro_de.0", "intro_de.2"):
        told = gelu(layer(told, name))
    x, skips = layer(image, "intro"), list[A]()
    for i in range(2):
        skips.append(x := stage(x, f"encoders.{i}."))
        x = halved(x, f"downs.{i}")
    x = stage(x, "middle_blks.")
    for i in range(2):
        x = naf(doubled(x, f"ups.{i}.0") + skips.pop(), p, f"decoders.{i}.blocks.0.")
    with torch.no_grad():
        measured = network(torch.from_numpy(image)[None], torch.from_numpy(prior)[None])[0].numpy()
    agree(measured, layer(x, "ending") + image)


def pixels(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def test_the_router_sees_the_whole_and_four_quarters() -> None:
    photo = np.zeros((60, 40, 3), np.float32)
    photo[30:, :20] = 1  # the lower left
    seen = views(photo, 28)
    assert seen.shape == (5, 3, 28, 28)
    white = (1 - np.array([0.48145466, 0.4578275, 0.40821073])) / np.array(
        [0.26862954, 0.26130258, 0.27577711]
    )
    middles = seen[:, :, 14, 14].numpy()
    np.testing.assert_allclose(middles[3], white, rtol=1e-5)
    assert (middles[[1, 2, 4]] < 0).all()
    whole = Image.fromarray((photo * 255).astype(np.uint8)).resize(
        (28, 28), Image.Resampling.BICUBIC
    )
    back = seen[0].numpy() * 0.26862954 + 0.48145466
    np.testing.assert_allclose(back[0], np.asarray(whole)[..., 0] / 255, atol=1e-6)


def test_the_router_joins_the_whole_with_the_mean_of_the_quarters() -> None:
    torch.manual_seed(0)
    router = Router(TINY_CLIP).eval()
    seen = views(pixels(50, 40), 28)
    with torch.no_grad():
        scores, prior = router(seen)
        embedded = [router.clip_model(view[None])[0].double().numpy() for view in seen]
    p = values(router)
    both = np.concatenate([embedded[0], np.mean(embedded[1:], 0)])
    for i in (0, 2):
        both = gelu(p[f"de_extractor.{i}.weight"] @ both + p[f"de_extractor.{i}.bias"])
    np.testing.assert_allclose(prior[0].numpy(), both, atol=1e-5)
    np.testing.assert_allclose(
        scores[0].numpy(), p["cls_head.weight"] @ both + p["cls_head.bias"], atol=1e-5
    )
    chosen, vector = routed_by(router, 28)(pixels(50, 40))
    assert chosen == int(scores.argmax())
    assert torch.allclose(vector, prior)


def restorer(compute: Compute, asked: list[tuple[int, int]]) -> LoRAIRRestorer:
    networks: list[LoRAIR] = []
    for seed in range(3):
        torch.manual_seed(seed)
        networks.append(place(LoRAIR(TINY), compute))

    def route(seen: Pixels) -> tuple[int, Tensor]:
        asked.append(seen.shape[:2])
        return int(seen.mean() * 3), torch.ones(1, PRIOR)

    return LoRAIRRestorer(route, networks.__getitem__, compute)


def test_sizes_come_back_and_each_photo_goes_to_its_expert() -> None:
    sizes = [(322, 482), (68, 68), (1, 1), (37, 53)]
    photos = [Photo(f"{h}x{w}", pixels(h, w) * 0.3) for h, w in sizes]
    asked: list[tuple[int, int]] = []
    results = list(restorer(Compute(), asked).restore(photos, TASKS["derain"], [DETERMINISTIC]))
    assert [r.pixels.shape[:2] for r in results] == asked == sizes
    outputs = []
    for level in (0.2, 0.5, 0.9):
        photo = Photo("a", np.full((16, 16, 3), level, np.float32))
        (result,) = restorer(Compute(), []).restore([photo], TASKS["derain"], [DETERMINISTIC])
        outputs.append(result.pixels.mean() - level)
    assert len({round(float(value), 6) for value in outputs}) == 3


def test_the_route_is_asked_once_and_about_the_whole_where_tiles_are_run() -> None:
    asked: list[tuple[int, int]] = []
    photo = Photo("a", pixels(50, 60))
    (result,) = restorer(Compute(tile=32), asked).restore([photo], TASKS["derain"], [DETERMINISTIC])
    assert result.pixels.shape == (50, 60, 3)
    assert asked == [(50, 60)]
