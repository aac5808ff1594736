"""`explain`: each planted protocol is found, equal numbers are one, and chance is called chance."""

import json
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from e2r_bench.cli import main
from e2r_metrics import Missing, Resolver
from e2r_metrics.base.pictures import read_image, write_png
from e2r_metrics.catalog import metric_of
from e2r_metrics.channels import CHANNELS
from e2r_metrics.explain.candidates import (
    CHANNEL,
    KIND,
    POOLING,
    Choice,
    Setting,
    kinds_of,
    psnr_choice,
    ssim_choice,
    views,
)
from e2r_metrics.explain.measured import measure_pair
from e2r_metrics.explain.search import AROUND, Protocol, Said, search
from e2r_metrics.images import peak
from e2r_metrics.lpips import load_lpips, lpips_distance
from e2r_metrics.psnr import psnr_on
from e2r_metrics.ssim import ssim_on
from e2r_metrics.view import WHOLE, View


def test_every_number_is_the_metrics_own(photo, noisy):
    """One PSNR and one SSIM: what is derived from maps is what the functions give on the parts."""
    x, y = noisy(15) / 255.0, photo / 255.0
    seen = views(["stored"])
    numbers = measure_pair(x, y, seen, ("psnr", "ssim"))
    for at, view in list(enumerate(seen))[::5]:
        one, other = view.apply(x), view.apply(y)
        for name in ("rgb", "y", "y709_full_rounded"):
            own = psnr_on(one, other, CHANNELS[name])
            assert numbers.psnr[name][at] == pytest.approx(own, rel=1e-11)
            for kind in kinds_of(view):
                value = numbers.ssim[kind, name][at]
                assert value == pytest.approx(ssim_on(one, other, kind, CHANNELS[name]), abs=1e-11)


def test_pooling_and_small_pictures_have_their_own_numbers(photo, noisy):
    large = [np.tile(image, (3, 3, 1)) for image in (noisy(15), photo)]
    numbers = measure_pair(large[0], large[1], [View(), View(crop=64)], ("ssim",))
    for at, crop in enumerate((1, 64)):
        cut = [View(crop=crop).apply(image) for image in large]
        own = ssim_on(cut[0], cut[1], "pooled", CHANNELS["y"])
        assert numbers.ssim["pooled", "y"][at] == pytest.approx(own, abs=1e-11)
    tiny = measure_pair(noisy(15)[:20, :20], photo[:20, :20], [View(), View(8)], ("psnr", "ssim"))
    assert np.isfinite(tiny.psnr["rgb"]).all()
    assert np.isnan(tiny.ssim["gauss", "rgb"]).tolist() == [False, True]


def test_equal_pictures_are_infinite_and_not_nearly_so(photo):
    frame = photo.copy()
    frame[:3] = 255 - frame[:3]
    numbers = measure_pair(frame, photo, [View(), View(3), View(4)], ("psnr",))
    assert np.isinf(numbers.psnr["y"]).tolist() == [False, True, True]


def _table(values):
    """A table of one setting with PSNRs on channels, in order of oddness."""
    names = ("rgb", "y_full", "y709_full", "y709")
    return {
        Setting(View()): {
            "psnr": [
                Choice(f"psnr:{name}", name, "images", 0, v)
                for name, v in zip(names, values, strict=True)
            ]
        }
    }


def test_equal_numbers_are_one_protocol_called_by_the_most_usual():
    said = [Said("psnr", 30.0, 0.005, "30.00")]
    found = search(_table([30.001, 30.001, 30.004, 31.5]), said)
    assert (found.tried, found.distinct) == (4, 3)
    assert [a.protocol.choices[0].channel for a in found.hits] == ["rgb", "y709_full"]
    assert [p.choices[0].channel for p in found.hits[0].same] == ["y_full"]
    # Two protocols lie within 1 dB of the number, and one of them is as usual as the first.
    assert found.by_chance == pytest.approx(2 * 0.005 / AROUND["psnr"])
    assert found.hits[0].by_chance == pytest.approx(0.005)


def test_every_odd_choice_counts_and_one_channel_of_two_metrics_counts_once():
    def odd(channel, pooling, kind, view=WHOLE):
        choices = psnr_choice(channel, pooling, 30.0), ssim_choice(kind, channel, 0.9)
        return Protocol(Setting(view), choices).odd

    assert odd("y", "images", "gauss") == 0
    assert odd("y_full", "images", "gauss") == CHANNEL["y_full"]
    assert odd("y", "error", "gauss_sample") == POOLING["error"] + KIND["gauss_sample"]
    # Five choices that some make are odder than three of which two are rare.
    many = odd("y_rounded", "error", "gauss_sample", View(3, 16))
    assert many > odd("y709", "error", "gauss", View(1)) > 0


def test_digits_are_taken_as_printed():
    table = _table([30.0049, 30.0051, 29.9951, 29.9949])
    two = search(table, [Said("psnr", 30.0, 0.005, "30.00")])
    assert [a.protocol.choices[0].channel for a in two.hits] == ["rgb", "y709_full"]
    none = search(table, [Said("psnr", 30.01, 0.00005, "30.0100")], nearest=2)
    assert not none.hits
    assert [a.protocol.choices[0].channel for a in none.nearest] == ["y_full", "rgb"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Four pairs of a photograph, of two sizes, of unlike quality, with a bad border."""
    from skimage import data

    folder = tmp_path_factory.mktemp("explain")
    photo = np.ascontiguousarray(data.astronaut()[:150, 100:247])
    for k, sigma in enumerate((4, 9, 16, 25)):
        clean = photo[: 150 - 5 * (k % 2), k * 3 :]
        noise = np.random.default_rng(k).normal(0, sigma, clean.shape) * [1.3, 0.7, 1.0]
        restored = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
        restored[:2] = 128
        write_png(folder / "clean" / f"{k}.png", np.ascontiguousarray(clean))
        write_png(folder / "restored" / f"{k}.png", restored)
    return str(folder / "restored"), str(folder / "clean")


def _score(capsys, *arguments):
    assert main(["score", *arguments, "--format", "json"]) == 0
    return [row["value"] for row in json.loads(capsys.readouterr().out)["summary"]]


@pytest.mark.parametrize(
    "flags",
    [
        "--metrics psnr:y,ssim:y --shave 4",
        "--metrics psnr:rgb,ssim:uniform7 --crop x16 --pool error",
        "--metrics psnr:y709_rounded,ssim:padded-y709_rounded",
        "--metrics psnr:y_full,ssim:gauss_sample-y_full --crop x8 --shave 3",
    ],
)
def test_a_planted_protocol_is_found_and_its_command_scores_so(folders, flags, capsys):
    psnr, ssim = _score(capsys, *folders, *flags.split())
    told = ["--says", f"psnr={psnr:.3f}", "--says", f"ssim={ssim:.5f}"]
    assert main(["explain", *folders, *told, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["hits"][0]
    asked = shlex.split(first["command"])
    assert asked[:4] == ["e2r-bench", "score", *folders]
    again = _score(capsys, *asked[2:])
    assert (f"{again[0]:.3f}", f"{again[1]:.5f}") == (f"{psnr:.3f}", f"{ssim:.5f}")
    assert asked[4:] == flags.split() or any(first["same_numbers"])
    assert [m["id"] for m in first["metrics"]] == flags.split()[1].split(",")


def test_a_number_that_no_protocol_gives_has_its_nearest_and_exit_code_1(folders, capsys):
    assert main(["explain", *folders, "--says", "psnr=61.2"]) == 1
    out = capsys.readouterr().out
    assert "No protocol gives psnr 61.2" in out
    assert "no hit" in out
    assert "--metrics psnr:" in out


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ("psnr", "--says: expected METRIC=NUMBER such as psnr=37.44, found 'psnr';"),
        (
            "ssim=97.8",
            "--says: expected an SSIM of at most 1, found 97.8, which looks like percent",
        ),
    ],
)
def test_what_is_no_stated_number_is_one_line(folders, says, said, capsys):
    assert main(["explain", *folders, "--says", says]) == 2
    assert said in capsys.readouterr().err


def test_a_chance_hit_at_two_digits_is_named_as_one(folders, capsys):
    """A number made up between the protocols' own is hit by some odd one, and called chance."""
    assert main(["explain", *folders, "--says", "psnr=99", "--json"]) == 1
    capsys.readouterr()
    usual = _score(capsys, *folders, "--metrics", "psnr,psnr:y,psnr:y_full")
    named = 0
    for step in range(-40, 40):
        made_up = np.mean(usual) + step / 50
        main(["explain", *folders, "--says", f"psnr={made_up:.1f}", "--json"])
        told = json.loads(capsys.readouterr().out)
        assert re.fullmatch(r"\d+\.\d", told["said"][0]["digits"])
        for hit in told["hits"]:
            assert hit["may_be_chance"] == (hit["by_chance"] >= 0.05)
        named += any(hit["may_be_chance"] for hit in told["hits"])
        if named:
            break
    assert named
    main(["explain", *folders, "--says", f"psnr={made_up:.1f}"])
    assert "may be chance" in capsys.readouterr().out


def test_pictures_of_16_bits_are_tried_rounded_and_truncated(tmp_path, folders, capsys):
    for side, folder in zip(("restored", "clean"), folders, strict=True):
        (tmp_path / side).mkdir()
        for path in sorted(Path(folder).iterdir()):
            deep = cv2.imread(str(path)).astype(np.uint16) * 257
            cv2.imwrite(str(tmp_path / side / path.name), deep + (140 if side == "restored" else 0))
    both = [str(tmp_path / "restored"), str(tmp_path / "clean")]
    (value,) = _score(capsys, *both, "--metrics", "psnr", "--depth", "truncate")
    assert main(["explain", *both, "--says", f"psnr={value:.4f}", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["hits"][0]
    assert first["command"].endswith("--metrics psnr:rgb --depth truncate")


def test_another_order_of_pairs_is_found(tmp_path, capsys):
    for k, name in enumerate(("1", "2", "10")):
        clean = np.random.default_rng(k).integers(0, 256, (40, 40, 3)).astype(np.uint8)
        write_png(tmp_path / "clean" / f"{name}.png", clean)
        write_png(tmp_path / "restored" / f"{name}.png", clean // 2 + 64)
    both = [str(tmp_path / "restored"), str(tmp_path / "clean")]
    (value,) = _score(capsys, *both, "--metrics", "psnr", "--order", "sorted-numeric")
    assert main(["explain", *both, "--says", f"psnr={value:.4f}", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["hits"][0]
    assert "--order sorted-numeric" in first["command"] + str(first["same_numbers"])


def test_a_picture_that_fails_is_named_and_the_rest_is_explained(tmp_path, folders, capsys):
    for side, folder in zip(("restored", "clean"), folders, strict=True):
        for path in sorted(Path(folder).iterdir()):
            (tmp_path / side).mkdir(exist_ok=True)
            (tmp_path / side / path.name).write_bytes(path.read_bytes())
    (tmp_path / "restored" / "2.png").write_bytes(b"no picture")
    both = [str(tmp_path / "restored"), str(tmp_path / "clean")]
    assert main(["explain", *both, "--says", "psnr=25.0", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["n"] == 3
    assert captured.err.count("failed: 2: ") == 1


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (["psnr"], "expected METRIC=NUMBER"),
        (["psnr=-3"], "expected METRIC=NUMBER"),
        (["psnr=nan"], "expected METRIC=NUMBER"),
        (["pnsr=30"], "expected psnr, ssim or lpips"),
        (["psnr=30", "psnr=31"], "each metric once"),
        (["psnr=30.1234567"], "at most 6 decimals"),
    ],
)
def test_a_users_mistake_is_one_line(folders, stated, said, capsys):
    flags = [part for one in stated for part in ("--says", one)]
    assert main(["explain", *folders, *flags]) == 2
    assert said in capsys.readouterr().err


@pytest.fixture
def here(session):
    """Skip without the weights of LPIPS that a registry has."""
    if gone := session.missing(metric_of("lpips:alex")):
        pytest.skip(gone.reason)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("flags", ["", "--crop x16", "--shave 4"])
def test_a_planted_lpips_is_found_beside_a_psnr_on_y(folders, flags, capsys):
    psnr, lpips = _score(capsys, *folders, "--metrics", "psnr:y,lpips:alex", *flags.split())
    told = ["--says", f"psnr={psnr:.3f}", "--says", f"lpips={lpips:.5f}", "--offline"]
    assert main(["explain", *folders, *told, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    first = found["hits"][0]
    assert first["command"].split()[4:] == ["--metrics", "lpips:alex,psnr:y", *flags.split()]
    assert not found["two_channels"]


@pytest.mark.parametrize("slip", ["[0, 1] fed", "BGR fed"])
def test_a_mistake_in_what_lpips_is_fed_is_named_and_has_no_command(folders, slip, files, capsys):
    network = load_lpips("alex", files("alexnet-imagenet", "lpips-heads-alex"))
    if slip == "[0, 1] fed":
        # (x - shift) / scale of pictures in [0, 1], by a network that doubles them.
        network.shift, network.scale = 2 * network.shift - 1, 2 * network.scale
    values: list[float] = []
    for path in sorted(Path(folders[0]).iterdir()):
        pair = read_image(path), read_image(Path(folders[1]) / path.name)
        planes = [
            torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None] for image in pair
        ]
        fed = [plane.flip(1) for plane in planes] if slip == "BGR fed" else planes
        values.append(float(lpips_distance(network, *fed)))
    said = f"lpips={np.mean(values):.6f}"
    assert main(["explain", *folders, "--says", said, "--offline", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["hits"][0]
    assert slip in first["protocol"]
    assert first["command"] is None


def test_another_network_is_found(folders, files, capsys):
    files("vgg16-imagenet", "lpips-heads-vgg")
    (lpips,) = _score(capsys, *folders, "--metrics", "lpips:vgg")
    assert main(["explain", *folders, "--says", f"lpips={lpips:.5f}", "--offline", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)["hits"][0]
    assert first["command"].endswith("--metrics lpips:vgg")


def test_a_network_without_weights_is_said_not_to_be_tried(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Resolver, "find", lambda self, name: Missing(name, "gone", "fetch it", 1))
    assert main(["explain", *folders, "--says", "lpips=0.1234", "--offline"]) == 1
    out = capsys.readouterr().out
    assert "No protocol for lpips 0.1234 could be tried." in out
    assert "not tried: lpips:alex: gone; to fetch: fetch it" in out


def test_every_protocol_tried_can_be_scored():
    for view in views(["stored", "round", "truncate"]):
        assert list(view.flags()) or view == View()
    assert metric_of("ssim:padded-y709_full_rounded").protocol
    assert peak(np.zeros((1, 1, 3), np.uint8)) == 255
