"""Real-ESRGAN and waifu2x: our networks against the graphs of their own files, and against ncnn.

The files come from a package registry. Three ways to be wrong are looked for: blocks against
arithmetic in NumPy, without any file; whole networks against an interpreter of the file's graph;
and both against the `ncnn` runtime, where it is installed.
"""

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import e2r_baselines
from e2r_baselines.catalog import METHODS
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, Pixels, spec_of
from e2r_baselines.ncnn_files import load_ncnn, read_ncnn
from e2r_baselines.ncnn_graphs import GRAPHS, Graph, Layer, graph_digest
from e2r_baselines.realesrgan import DenseBlock, ResidualDenseBlock, RRDBNet, reduced
from e2r_baselines.tasks import TASKS
from e2r_baselines.waifu2x import CUNet, Squeeze, UpConv7
from e2r_metrics.base.errors import UsageError
from tests.baselines.arithmetic import A, agree, conv, picture, randomised, run, sigmoid, values

HOME = Path(e2r_baselines.__file__).parent


def bend(x: A, slope: float) -> A:
    return np.where(x > 0, x, slope * x)


def dense(x: A, p: dict[str, A], at: str = "") -> A:
    seen = x
    for i in range(1, 5):
        new = conv(seen, p[f"{at}conv{i}.weight"], p[f"{at}conv{i}.bias"])
        seen = np.concatenate([seen, bend(new, 0.2)])
    return x + 0.2 * conv(seen, p[f"{at}conv5.weight"], p[f"{at}conv5.bias"])


def residual(x: A, p: dict[str, A], at: str = "") -> A:
    y = x
    for i in (1, 2, 3):
        y = dense(y, p, f"{at}rdb{i}.")
    return x + 0.2 * y


def test_dense_blocks() -> None:
    block = randomised(DenseBlock(6, 3))
    agree(run(block, picture(6)), dense(picture(6), values(block)))
    whole = randomised(ResidualDenseBlock(6, 3))
    agree(run(whole, picture(6)), residual(picture(6), values(whole)))


def test_a_small_rrdbnet() -> None:
    network = randomised(RRDBNet(6, 3, blocks=2))
    p, x = values(network), picture(3, 3, 4)

    def layer(y: A, name: str) -> A:
        return conv(y, p[f"{name}.weight"], p[f"{name}.bias"])

    first = layer(x, "conv_first")
    y = residual(residual(first, p, "body.0."), p, "body.1.")
    y = first + layer(y, "conv_body")
    for name in ("conv_up1", "conv_up2"):
        y = bend(layer(y.repeat(2, 1).repeat(2, 2), name), 0.2)
    agree(run(network, x), layer(bend(layer(y, "conv_hr"), 0.2), "conv_last"))


def test_squeeze() -> None:
    block = randomised(Squeeze(16))
    p, x = values(block), picture(16)
    inner = np.maximum(p["narrow.weight"] @ x.mean((1, 2)) + p["narrow.bias"], 0)
    share = sigmoid(p["wide.weight"] @ inner + p["wide.bias"])
    agree(run(block, x), x * share[:, None, None])


def cubic(t: A) -> A:
    """Keys' kernel with a = -0.5."""
    t = np.abs(t)
    near = 1.5 * t**3 - 2.5 * t**2 + 1
    far = -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def shrunk(x: A, axis: int) -> A:
    """To a quarter: the kernel four times as wide, cut off at the border and renormalised."""
    length = x.shape[axis]
    centres = (np.arange(length // 4) + 0.5) * 4
    weights = cubic((np.arange(length) + 0.5 - centres[:, None]) / 4)
    weights /= weights.sum(1, keepdims=True)
    return np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)


def test_the_kernel_of_the_reduction_is_the_stated_one() -> None:
    x = np.random.default_rng(0).random((3, 24, 36))
    expected = np.clip(shrunk(shrunk(x, 1), 2), 0, 1)
    measured = reduced(torch.from_numpy(x).float()[None])[0].double().numpy()
    np.testing.assert_allclose(measured, expected, atol=1e-5)


# The files' own graphs, interpreted.


def slid(x: A, weight: A, bias: A, stride: int, pad: int) -> A:
    side = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height, width = ((n - side) // stride + 1 for n in padded.shape[1:])
    out = np.zeros((len(weight), height, width))
    for i, j in product(range(side), repeat=2):
        part = padded[:, i : i + stride * height : stride, j : j + stride * width : stride]
        out += np.tensordot(weight[:, :, i, j], part, 1)
    return out + bias[:, None, None]


def spread(x: A, weight: A, bias: A, stride: int, pad: int) -> A:
    """Add each pixel's share of the kernel, (in, out, k, k), where it falls."""
    side, (height, width) = weight.shape[-1], x.shape[1:]
    out = np.zeros((weight.shape[1], (height - 1) * stride + side, (width - 1) * stride + side))
    for i, j in product(range(side), repeat=2):
        part = np.tensordot(weight[:, :, i, j].T, x, 1)
        out[:, i : i + stride * height : stride, j : j + stride * width : stride] += part
    return out[:, pad : out.shape[1] - pad, pad : out.shape[2] - pad] + bias[:, None, None]


def activated(layer: Layer, x: A) -> A:
    kind = int(setting(layer, 9))
    if kind == 2:
        (slope,) = layer.settings[10]  # pyright: ignore[reportGeneralTypeIssues]
        return bend(x, slope)
    return {0: lambda v: v, 1: lambda v: np.maximum(v, 0), 4: sigmoid}[kind](x)


def setting(layer: Layer, index: int, default: float = 0) -> Any:
    return layer.settings.get(index, default)


def filtered(layer: Layer, blobs: list[A], w: A, b: A) -> A:
    do = slid if layer.kind == "Convolution" else spread
    stride, pad = int(setting(layer, 3, 1)), int(setting(layer, 4))
    return activated(layer, do(blobs[0], w, b, stride, pad))


def cropped(layer: Layer, blobs: list[A]) -> A:
    x, like = blobs
    left, top = int(setting(layer, 0)), int(setting(layer, 1))
    return x[:, top : top + like.shape[1], left : left + like.shape[2]]


def summed(layer: Layer, blobs: list[A]) -> A:
    assert setting(layer, 0) == 1
    shares = setting(layer, 1, (1.0, 1.0))  # pyright: ignore[reportArgumentType]
    return sum(share * x for share, x in zip(shares, blobs, strict=True))


def enlarged(layer: Layer, blobs: list[A]) -> A:
    assert layer.settings == {0: 1, 1: 2, 2: 2}  # nearest, twice
    return blobs[0].repeat(2, 1).repeat(2, 2)


def pooled(layer: Layer, blobs: list[A]) -> A:
    assert layer.settings == {0: 1, 4: 1}  # the mean of all
    return blobs[0].mean((1, 2))


def added(layer: Layer, blobs: list[A]) -> A:
    assert setting(layer, 0) == 0
    return blobs[0] + blobs[1]


WITHOUT_WEIGHTS: Mapping[str, Callable[[Layer, list[A]], A]] = {
    "Crop": cropped, "Eltwise": summed, "Interp": enlarged, "Pooling": pooled, "BinaryOp": added,
    "Split": lambda _, blobs: blobs[0],
    "Scale": lambda _, blobs: blobs[0] * blobs[1][:, None, None],
    "Concat": lambda _, blobs: np.concatenate(blobs),
}  # fmt: skip


def interpreted(param: Path, weights: Path, x: A) -> A:
    layers, tensors = read_ncnn(param, weights)
    blobs: dict[str, A] = {layers[0].outputs[0]: x}
    for layer in layers[1:]:
        given = [blobs[name] for name in layer.inputs]
        if layer.kind in WITHOUT_WEIGHTS:
            result = WITHOUT_WEIGHTS[layer.kind](layer, given)
        else:
            w, b = (tensors[f"{layer.name}.{k}"].double().numpy() for k in ("weight", "bias"))
            dense_layer = layer.kind == "InnerProduct"
            result = (
                activated(layer, w @ given[0] + b) if dense_layer else filtered(layer, given, w, b)
            )
        blobs |= dict.fromkeys(layer.outputs, result)
    return blobs[layers[-1].outputs[0]]


def at_runtime(param: Path, weights: Path, x: A) -> A:
    """The same by the runtime of ncnn, in float32."""
    ncnn = pytest.importorskip("ncnn", reason="PyPI ncnn is not installed")
    network = ncnn.Net()
    network.opt.use_vulkan_compute, network.opt.num_threads = False, 1
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{option}", False)
    assert network.load_param(str(param)) == 0
    assert network.load_model(str(weights)) == 0
    layers, _ = read_ncnn(param, weights)
    extractor = network.create_extractor()
    given = np.ascontiguousarray(x, np.float32)  # kept: the runtime reads it in place
    extractor.input(layers[0].outputs[0], ncnn.Mat(given))
    code, out = extractor.extract(layers[-1].outputs[0])
    assert code == 0
    return np.array(out, np.float64)


def file(name: str) -> Path:
    from e2r_metrics.base.declarations import read_declarations
    from e2r_metrics.base.weights import Found, Resolver

    answer = Resolver(read_declarations(HOME / "weights.toml")).find(name)
    if not isinstance(answer, Found):
        pytest.skip(f"{name} cannot be had here: {answer.reason}")
    return answer.path


def files(network: str, level: int = 0) -> tuple[Path, Path]:
    if network == "realesrgan":
        return file("realesrgan-x4plus-graph"), file("realesrgan-x4plus-weights")
    return file(f"waifu2x-{network}-graph"), file(f"waifu2x-{network}-{level}")


# Network, its graph, its parameters, what it pads with around the picture, the side of a picture.
CASES: Mapping[str, tuple[type[nn.Module], Graph, int, int, int]] = {
    "photo": (UpConv7, "waifu2x upconv_7", 552_483, 7, 12),
    "cunet": (CUNet, "waifu2x cunet 1x", 1_283_254, 28, 12),
    "realesrgan": (RRDBNet, "Real-ESRGAN x4plus", 16_697_987, 0, 6),
}


def photograph(side: int) -> A:
    """(3, side, side) of a real photograph; odd places matter more than smooth ones."""
    from skimage import data

    return data.astronaut()[100 : 100 + side, 180 : 180 + side].transpose(2, 0, 1) / 255


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("reference", [interpreted, at_runtime])
def test_the_network_is_the_files_graph(name: str, reference: Callable[..., A]) -> None:
    kind, graph, count, border, side = CASES[name]
    param, weights = files(name)
    network = load_ncnn(kind(), param, weights, graph).eval()
    assert sum(p.numel() for p in network.parameters()) == count
    x = photograph(side)
    with torch.inference_mode():
        ours = network(torch.from_numpy(x).float()[None])[0].double().numpy()
    around = np.pad(x, ((0, 0), (border, border), (border, border)), mode="edge")
    expected = reference(param, weights, around)
    np.testing.assert_allclose(ours, expected, atol=2e-5)
    levels = [np.rint(np.clip(v, 0, 1) * 255) for v in (ours, expected)]
    assert np.abs(levels[0] - levels[1]).max() <= 1


def opened(name: str) -> Any:
    spec = spec_of(METHODS[name])
    (build,) = spec.builds
    return spec.open(build, {key: file(key) for key in build.files}, Compute())


def restored(name: str, pixels: Pixels, task: str = "dejpeg") -> Pixels:
    (result,) = opened(name).restore([Photo("a", pixels)], TASKS[task], [DETERMINISTIC])
    return result.pixels


@pytest.mark.parametrize("name", ["waifu2x", "waifu2x-cunet", "realesrgan"])
@pytest.mark.parametrize(("height", "width"), [(68, 68), (37, 53), (1, 1), (3, 50)])
def test_sizes_come_back(name: str, height: int, width: int) -> None:
    pixels = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    assert restored(name, pixels).shape == (height, width, 3)


def psnr(a: Pixels, b: Pixels) -> float:
    return float(-10 * np.log10(np.mean((np.clip(a, 0, 1).astype(np.float64) - b) ** 2)))


def test_every_level_takes_jpeg_out_and_leaves_the_picture_where_it_is() -> None:
    import cv2

    clean = photograph(128).transpose(1, 2, 0).astype(np.float32)
    eight_bit = np.rint(clean * 255).astype(np.uint8)[..., ::-1]
    _, coded = cv2.imencode(".jpg", eight_bit, [cv2.IMWRITE_JPEG_QUALITY, 20])
    bad = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1], np.float32) / 255  # pyright: ignore[reportOptionalSubscript]
    for name in ("waifu2x", "waifu2x-cunet"):
        gains = [
            psnr(restored(row, bad), clean) - psnr(bad, clean)
            for row in (f"{name}-0", f"{name}-1", f"{name}-2", name)
        ]
        assert min(gains) > 0
        assert gains[3] > gains[0] + 0.5, gains
    # A shift by a pixel would cost more than the blur of the network itself.
    restored_clean = restored("waifu2x-0", clean)
    assert psnr(restored_clean, clean) > psnr(np.roll(restored_clean, 1, 0), clean) + 10


@pytest.mark.data
@pytest.mark.parametrize(("name", "value"), [("waifu2x", 34.54), ("waifu2x-cunet", 34.90)])
def test_jpeg_30_on_three_crops_of_cbsd68(name: str, value: float, shared_data: Path) -> None:
    import cv2

    before, after = list[float](), list[float]()
    restorer = opened(name)
    for path in sorted((shared_data / "cbsd68").glob("*.png"))[:3]:
        whole = cv2.imread(str(path))
        assert whole is not None
        top, left = ((side - 256) // 2 for side in whole.shape[:2])
        crop = whole[top : top + 256, left : left + 256]
        _, coded = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, 30])
        bad = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert bad is not None
        clean, noisy = (np.asarray(v[..., ::-1] / 255, np.float32) for v in (crop, bad))
        (result,) = restorer.restore([Photo("a", noisy)], TASKS["dejpeg"], [DETERMINISTIC])
        eight_bit = np.rint(np.clip(result.pixels, 0, 1) * 255).astype(np.float32) / 255
        before.append(psnr(noisy, clean))
        after.append(psnr(eight_bit, clean))
    assert np.mean(before) == pytest.approx(32.87, abs=0.05)
    assert np.mean(after) == pytest.approx(value, abs=0.05)


def test_realesrgan_gives_the_picture_back_with_detail_of_its_own() -> None:
    clean = photograph(128).transpose(1, 2, 0).astype(np.float32)
    same = restored("realesrgan", clean)
    assert 20 < psnr(same, clean) < 35
    small = reduced(torch.from_numpy(clean).movedim(-1, 0)[None])
    smooth = F.interpolate(small, scale_factor=4, mode="bicubic")[0].movedim(0, -1).numpy()
    detail = [np.abs(np.diff(v, axis=0)).mean() for v in (same, smooth, clean)]
    assert detail[1] < detail[0]


def test_a_file_of_another_network_is_refused_by_name() -> None:
    graph, weights = files("cunet")
    with pytest.raises(UsageError, match="expected waifu2x upconv_7, found waifu2x cunet 1x"):
        load_ncnn(UpConv7(), graph, weights, "waifu2x upconv_7")
    photo, _ = files("photo")
    with pytest.raises(UsageError, match="found the tag 0x9febae30"):
        load_ncnn(UpConv7(), photo, weights, "waifu2x upconv_7")
    with pytest.raises(UsageError, match="expected 14 tensors of UpConv7, found"):
        load_ncnn(UpConv7(), graph, weights, "waifu2x cunet 1x")


def test_graphs_are_told_apart() -> None:
    assert len(set(GRAPHS.values())) == len(GRAPHS)
    for name, (_, graph, *_) in CASES.items():
        layers, _ = read_ncnn(*files(name))
        assert GRAPHS[graph_digest(layers)] == graph
