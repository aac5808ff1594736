"""Channel, window, crop, depth, pooling and order, each against an independent reference."""

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from e2r_bench.cli import main
from e2r_metrics import PictureError, UsageError, resolve
from e2r_metrics.base.orders import in_order
from e2r_metrics.base.pictures import write_png
from e2r_metrics.catalog import metric_of
from e2r_metrics.channels import CHANNELS
from e2r_metrics.psnr import pooled_decibel, psnr_on
from e2r_metrics.ssim import ssim_on
from e2r_metrics.variants import KINDS, ssim_name, ssim_variant
from e2r_metrics.view import View


def _db(x, y):
    return 10 * math.log10(255**2 / np.mean((x - y) ** 2))


@pytest.mark.parametrize(
    ("name", "weights", "span", "offset"),
    [
        ("y", (0.299, 0.587, 0.114), 219, 16),
        ("y_full", (0.299, 0.587, 0.114), 255, 0),
        ("y709", (0.2126, 0.7152, 0.0722), 219, 16),
        ("y709_full", (0.2126, 0.7152, 0.0722), 255, 0),
    ],
)
def test_lumas_are_the_standards_formulas(photo, noisy, name, weights, span, offset):
    def plane(image):
        r, g, b = (image[..., c] / 255.0 for c in range(3))
        return span * (weights[0] * r + weights[1] * g + weights[2] * b) + offset

    x, y = plane(noisy(10)), plane(photo)
    # MATLAB's own constants for 16-235 have five digits.
    assert psnr_on(noisy(10), photo, CHANNELS[name]) == pytest.approx(_db(x, y), abs=1e-4)
    rounded = psnr_on(noisy(10), photo, CHANNELS[f"{name}_rounded"])
    assert rounded == pytest.approx(_db(np.rint(x), np.rint(y)), abs=1e-3)
    assert rounded != pytest.approx(_db(x, y), abs=1e-4)


def test_gray_is_the_one_channel_and_colours_are_refused(photo, noisy):
    gray = [np.repeat(image[..., 1:2], 3, axis=2) for image in (noisy(10), photo)]
    own = _db(gray[0][..., 0].astype(float), gray[1][..., 0].astype(float))
    assert psnr_on(*gray, CHANNELS["gray"]) == pytest.approx(own, rel=1e-12)
    # The luma at 16-235 squeezes gray by 219/255: 1.32 dB that no one meant.
    assert psnr_on(*gray, CHANNELS["y"]) - own == pytest.approx(1.32, abs=0.01)
    with pytest.raises(PictureError, match="expected a gray picture"):
        psnr_on(noisy(10), photo, CHANNELS["gray"])
    assert 0 < ssim_on(*gray, "gauss", CHANNELS["gray"]) < 1


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("gauss_sample", {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": True}),
        ("uniform7_population", {"use_sample_covariance": False}),
    ],
)
def test_windows_and_covariances_are_scikit_images(photo, noisy, kind, asked):
    x, y = noisy(15), photo
    reference = structural_similarity(
        x / 255.0, y / 255.0, channel_axis=2, data_range=1.0, **asked
    )  # fmt: skip
    found = ssim_on(x / 255.0, y / 255.0, kind, CHANNELS["rgb"])
    assert found == pytest.approx(reference, abs=1e-12)
    assert found != pytest.approx(ssim_on(x, y, "gauss", CHANNELS["rgb"]), abs=1e-5)


@pytest.mark.parametrize("channel", ["rgb", "y_full"])
def test_padded_is_a_convolution_with_zeros_around(photo, noisy, channel):
    def planes(image):
        if channel == "rgb":
            return torch.from_numpy(image / 1.0).permute(2, 0, 1)[:, None]
        return torch.from_numpy(image @ np.array([0.299, 0.587, 0.114]))[None, None]

    taps = torch.exp(-0.5 * (torch.arange(-5, 6, dtype=torch.float64) / 1.5) ** 2)
    window = torch.outer(taps, taps)[None, None] / taps.sum() ** 2
    x, y = planes(noisy(15)), planes(photo)
    mx, my, xx, yy, xy = (
        F.conv2d(z, window, padding=5) for z in (x, y, x * x, y * y, x * y)
    )  # fmt: skip
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    low = (mx**2 + my**2 + c1) * (xx - mx**2 + yy - my**2 + c2)
    reference = float((top / low).mean())
    found = ssim_on(noisy(15), photo, "padded", CHANNELS[channel])
    assert found == pytest.approx(reference, abs=1e-10)


@given(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(CHANNELS)))
def test_a_variant_of_ssim_has_one_name(kind, channel):
    name = ssim_name(kind, channel)
    assert ssim_variant(name) == (kind, channel)
    assert metric_of(f"ssim:{name}").id == f"ssim:{name}"


def test_every_way_to_say_a_variant_is_one_metric():
    assert metric_of("ssim:gauss-y") is metric_of("ssim:y")
    assert resolve(["psnr", "ssim"], channel="y") == resolve(["psnr:y", "ssim:y"])
    assert [m.id for m in resolve(["ssim:uniform7", "lpips"], channel="y")] == [
        "ssim:uniform7-y", "lpips:alex"
    ]  # fmt: skip
    with pytest.raises(UsageError, match="did you mean 'y_full'"):
        resolve(["psnr:y_ful"])
    with pytest.raises(UsageError, match="no channel to choose"):
        resolve(["lpips"], channel="y")
    with pytest.raises(UsageError, match="one channel"):
        resolve(["psnr:y"], channel="y_full")


@given(
    st.integers(1, 90), st.integers(1, 90), st.integers(0, 20), st.integers(1, 40)
)  # fmt: skip
def test_a_view_is_centred_and_of_the_size_that_it_says(height, width, shave, crop):
    left = [side - side % crop - 2 * shave for side in (height, width)]
    view = View(shave, crop)
    if min(left) <= 0:
        with pytest.raises(PictureError, match="expected at least"):
            view.box(height, width)
        return
    box = view.box(height, width)
    assert [box.bottom - box.top, box.right - box.left] == left
    assert 0 <= height - box.bottom - box.top <= 1
    assert 0 <= width - box.right - box.left <= 1


def test_deeper_pictures_are_rounded_or_cut_to_8_bits(photo):
    deep = photo.astype(np.float32) / 255
    nearly = np.clip(photo.astype(np.float64) + 0.6, 0, 255) / 255
    assert np.array_equal(View(depth="truncate").apply(deep), photo)
    assert np.array_equal(View(depth="round").apply(deep), photo)
    assert np.array_equal(View(depth="truncate").apply(nearly), photo)
    assert View(depth="round").apply(nearly).mean() > photo.mean() + 0.9
    assert View(depth="stored").apply(nearly).dtype == np.float64


def test_db_of_the_mean_error_is_that_of_all_pixels(photo, noisy):
    errors = [np.mean((noisy(s) / 1.0 - photo) ** 2) for s in (5, 15, 30)]
    values = [psnr_on(noisy(s), photo, CHANNELS["rgb"]) for s in (5, 15, 30)]
    pooled = pooled_decibel(values)
    assert pooled == pytest.approx(10 * math.log10(255**2 / np.mean(errors)), rel=1e-12)
    assert pooled < np.mean(values) - 1
    assert pooled_decibel([math.inf, 20.0]) == pytest.approx(20 + 10 * math.log10(2))
    assert pooled_decibel([math.inf]) == math.inf


def test_orders_are_those_of_their_names():
    names = {name: Path(name) for name in ("1", "2", "10")}
    assert in_order(names, names, "sorted", "")[1] == ("10", "10")
    assert in_order(names, names, "numeric", "")[1] == ("2", "2")
    crossed = in_order(names, names, "sorted-numeric", "")
    assert crossed == [("1", "1"), ("10", "2"), ("2", "10")]
    assert in_order(names, names, "numeric-sorted", "")[1] == ("2", "10")
    with pytest.raises(UsageError, match="as many files in both"):
        in_order(names, {"1": Path("1")}, "sorted", "here")


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Three pairs whose frame is black on one side, and whose errors differ by picture."""
    for k, name in enumerate(("1", "2", "10")):
        clean = np.random.default_rng(k).integers(0, 200, (37, 50, 3)).astype(np.uint8)
        restored = clean + np.uint8(3 * (k + 1))
        restored[:2], restored[-2:], restored[:, :2], restored[:, -2:] = 0, 0, 0, 0
        write_png(tmp_path / "clean" / f"{name}.png", clean)
        write_png(tmp_path / "restored" / f"{name}.png", restored)
    return [str(tmp_path / "restored"), str(tmp_path / "clean")]


def _scored(capsys, *arguments):
    assert main(["score", *arguments, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)["summary"]


def test_score_takes_every_part_and_its_protocol_says_so(folders, capsys):
    flags = ["--metrics", "psnr", "--crop", "x16", "--shave", "1", "--pool", "error"]
    (told,) = _scored(capsys, *folders, *flags)
    errors = [(3 * k) ** 2 for k in (1, 2, 3)]
    assert told["value"] == pytest.approx(10 * math.log10(255**2 / np.mean(errors)))
    assert told["low"] < told["value"] < float(told["high"])
    protocol = told["protocol"]
    assert "crop to multiples of 16 around the centre, then 1 pixels at each border" in protocol
    assert "dB of the mean squared error over pictures" in protocol
    images = _scored(capsys, *folders, "--metrics", "psnr", "--shave", "2")[0]
    assert images["value"] == pytest.approx(np.mean([20 * math.log10(85 / k) for k in (1, 2, 3)]))
    both = _scored(capsys, *folders, "--metrics", "psnr,ssim", "--channel", "y_rounded")
    assert [row["variant"] for row in both] == ["y_rounded", "y_rounded"]
    assert "rounded to 8 bits" in both[0]["protocol"]


def test_pairs_by_place_are_scored_and_said(folders, capsys):
    crossed = _scored(capsys, *folders, "--metrics", "psnr", "--order", "sorted-numeric")[0]
    assert crossed["value"] < 15
    assert "first folder sorted as text, the second by numbers" in crossed["protocol"]
    assert main(["score", *folders, "--order", "sorted", "--pair", "{name}"]) == 2
    assert "one of --pair and --order" in capsys.readouterr().err


def test_depth_is_a_part_of_the_protocol(folders, capsys):
    for path in Path(folders[0]).iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 257 + 140)
    values = {
        depth: _scored(capsys, *folders, "--metrics", "psnr", "--depth", depth, "--shave", "2")[0]
        for depth in ("stored", "round", "truncate")
    }
    assert values["truncate"]["value"] > values["stored"]["value"] > values["round"]["value"]
    assert "deeper pictures truncated to 8 bits" in values["truncate"]["protocol"]
