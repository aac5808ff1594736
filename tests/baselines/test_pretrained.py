"""What real weights give on real photographs."""

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import e2r_baselines
from e2r_baselines.catalog import METHODS
from e2r_baselines.method import DETERMINISTIC, Compute, Photo, Pixels, Restorer, spec_of
from e2r_baselines.tasks import TASKS, gaussian_noise, haze, rain_streaks
from e2r_metrics.base.draws import rng_for

HOME = Path(e2r_baselines.__file__).parent
NANO = HOME / "embedded" / "promptir-nano"


def opened(method: str, build: str, files: Mapping[str, Path]) -> Restorer:
    spec = spec_of(METHODS[method])
    (chosen,) = (b for b in spec.builds if b.name == build)
    return spec.open(chosen, files, Compute())


def restored(restorer: Restorer, picture: Pixels, task: str) -> Pixels:
    (result,) = restorer.restore([Photo("a", picture)], TASKS[task], [DETERMINISTIC])
    return result.pixels


def psnr(a: NDArray[np.floating], b: NDArray[np.floating], peak: float = 1.0) -> float:
    error = np.mean((np.clip(a, 0, peak).astype(np.float64) - b) ** 2)
    return float(10 * np.log10(peak**2 / error))


def photograph(name: str) -> Pixels:
    from skimage import data

    return (getattr(data, name)() / 255).astype(np.float32)


@pytest.fixture(scope="module")
def nano() -> Restorer:
    weights = NANO / "model.safetensors"
    return opened("promptir", "promptir-nano", {"promptir-nano": weights})


def test_the_embedded_file_is_the_declared_one() -> None:
    row = tomllib.loads((HOME / "weights.toml").read_text(encoding="utf-8"))["promptir-nano"]
    content = (NANO / "model.safetensors").read_bytes()
    assert hashlib.sha256(content).hexdigest() == row["sha256"]
    assert len(content) == row["size"] < 4_000_000
    card = json.loads((NANO / "card.json").read_text(encoding="utf-8"))
    assert card["sha256"] == row["sha256"]
    assert card["seed"] == 0
    assert "photograph" in card["never_trained_on"]


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_promptir_nano_gains_four_decibels_at_sigma_50(nano: Restorer, name: str) -> None:
    clean = photograph(name)[60:188, 80:208]
    noisy = np.clip(gaussian_noise(clean, 50, rng_for(0, name, "test")), 0, 1)
    assert psnr(restored(nano, noisy, "denoise50"), clean) > psnr(noisy, clean) + 4


def test_promptir_nano_gains_on_rain_and_haze(nano: Restorer) -> None:
    gains: dict[str, list[float]] = {"derain": [], "dehaze": []}
    for name in ("astronaut", "coffee", "chelsea"):
        clean = photograph(name)[60:188, 80:208]
        depth = np.linspace(1, 0, 128, dtype=np.float32)[:, None].repeat(128, 1)
        rng = rng_for(0, name, "test")
        for task, bad in (
            ("derain", rain_streaks(clean, rng)),
            ("dehaze", haze(clean, depth, rng)),
        ):
            bad = np.clip(bad, 0, 1)
            gains[task].append(psnr(restored(nano, bad, task), clean) - psnr(bad, clean))
    assert np.mean(gains["derain"]) > 2
    assert np.mean(gains["dehaze"]) > 1.5


@pytest.fixture(scope="module")
def ffdnet() -> Restorer:
    from e2r_metrics.base.declarations import read_declarations
    from e2r_metrics.base.weights import Found, Resolver

    declared = read_declarations(HOME / "weights.toml")
    answer = Resolver(declared).find("ffdnet-rgb")
    if not isinstance(answer, Found):
        pytest.skip(f"FFDNet's weights cannot be had here: {answer.reason}")
    return opened("ffdnet", "ffdnet-rgb", {"ffdnet-rgb": answer.path})


def test_ffdnet_on_the_astronaut(ffdnet: Restorer) -> None:
    clean = photograph("astronaut")
    noisy = gaussian_noise(clean, 25, rng_for(0, "astronaut", "test"))
    assert psnr(restored(ffdnet, noisy, "denoise25"), clean) == pytest.approx(33.4, abs=0.2)


def picture(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), np.float32) / 255


def ffdnet_psnr(restorer: Restorer, paths: Sequence[Path]) -> float:
    """Mean PSNR in dB at sigma 25, noise unclipped, as in the paper."""
    values: list[float] = []
    for path in paths:
        clean = picture(path)
        noisy = gaussian_noise(clean, 25, rng_for(0, path.stem, "test"))
        values.append(psnr(restored(restorer, noisy, "denoise25"), clean))
    return float(np.mean(values))


@pytest.mark.data
def test_ffdnet_on_three_of_cbsd68(ffdnet: Restorer, shared_data: Path) -> None:
    paths = sorted((shared_data / "cbsd68").glob("*.png"))[1:4]
    assert ffdnet_psnr(ffdnet, paths) == pytest.approx(31.66, abs=0.1)


@pytest.mark.data
@pytest.mark.slow
def test_ffdnet_on_all_of_cbsd68(ffdnet: Restorer, shared_data: Path) -> None:
    paths = sorted((shared_data / "cbsd68").glob("*.png"))
    assert len(paths) == 68
    assert ffdnet_psnr(ffdnet, paths) == pytest.approx(31.19, abs=0.1)


def luma(rgb: Pixels) -> NDArray[np.float64]:
    """Y of BT.601 in 8-bit units, 16..235, of a picture rounded to 8 bits."""
    eight_bit = np.rint(np.clip(rgb, 0, 1) * 255).astype(np.float64) / 255
    return eight_bit @ np.array([65.481, 128.553, 24.966]) + 16


def prenet_psnr(folder: Path, count: int) -> list[float]:
    weights = folder / "prenet" / "rain100l_prenet6.pth"
    restorer = opened("prenet", "prenet-rain100l", {"prenet-rain100l": weights})
    pairs = folder / "rain100l" / "test"
    values: list[float] = []
    for number in range(1, count + 1):
        rainy, clean = (picture(pairs / side / f"{number}.png") for side in ("input", "target"))
        values.append(psnr(luma(restored(restorer, rainy, "derain")), luma(clean), 255))
    return values


@pytest.mark.data
def test_prenet_on_a_picture_of_rain100l(shared_data: Path) -> None:
    assert prenet_psnr(shared_data, 1) == pytest.approx([38.06], abs=0.02)


@pytest.mark.data
@pytest.mark.slow
def test_prenet_on_the_first_thirty_of_rain100l(shared_data: Path) -> None:
    assert np.mean(prenet_psnr(shared_data, 30)) == pytest.approx(37.70, abs=0.05)
