"""Degradation under a protocol: what may change a byte, and what may not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.tasks import TASKS
from e2r_bench.run.data import Dataset
from e2r_bench.run.datasets import folder
from e2r_bench.run.mini import mini
from e2r_bench.run.prepare import TaskSet, degraded_pixels, photo, prepare, to_eight_bit
from e2r_bench.run.protocols import PROTOCOLS, protocol_named
from e2r_metrics import resolve
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png


def task_set(task: str, protocol: str = "e2r", limit: int = 3, seed: int = 0) -> TaskSet:
    dataset = mini()
    return TaskSet(TASKS[task], dataset, dataset.sources[:limit], PROTOCOLS[protocol], seed)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.png"))}


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


@pytest.mark.parametrize("task", sorted(TASKS))
def test_resume_order_and_limit_never_change_a_byte(tmp_path: Path, task: str) -> None:
    whole, cut = task_set(task), task_set(task, limit=2)
    list(prepare(whole, tmp_path / "whole"))
    list(prepare(cut, tmp_path / "cut"))
    backwards = replace(whole, sources=whole.sources[::-1])
    list(prepare(backwards, tmp_path / "cut"))
    assert files(tmp_path / "cut") == files(tmp_path / "whole")
    (tmp_path / "cut" / "degraded" / f"{whole.sources[1].id}.png").unlink()
    list(prepare(whole, tmp_path / "cut"))
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_noise_stream_does_not_depend_on_the_limit(tmp_path: Path) -> None:
    list(prepare(task_set("denoise25", "airnet-promptir"), tmp_path / "three"))
    list(prepare(task_set("denoise25", "airnet-promptir", limit=1), tmp_path / "one"))
    three, one = files(tmp_path / "three"), files(tmp_path / "one")
    assert one.items() <= three.items()
    # Nor on what is there already.
    (tmp_path / "three" / "degraded" / f"{mini().sources[2].id}.png").unlink()
    list(prepare(task_set("denoise25", "airnet-promptir"), tmp_path / "three"))
    assert files(tmp_path / "three") == three


def test_noise_stream_is_the_one_of_the_original(tmp_path: Path) -> None:
    """AirNet: np.clip(clean + np.random.randn(*shape) * sigma, 0, 255).astype(np.uint8)."""
    list(prepare(task_set("denoise25", "airnet-promptir", limit=1), tmp_path))
    (source, *_), count = mini().sources, len(mini().sources)
    stream = np.random.RandomState(0)
    for _ in range(count):  # Sigma 15 comes first.
        stream.randn(128, 128, 3)
    clean = read_image(tmp_path / "clean" / f"{source.id}.png")
    expected = np.clip(clean + 25 * stream.randn(128, 128, 3), 0, 255).astype(np.uint8)
    made = read_image(tmp_path / "degraded" / f"{source.id}.png")
    # Ours adds in float32: a value beside a whole number may fall on its other side.
    assert (made != expected).mean() < 1e-3


def test_seed_image_and_sigma_each_change_the_noise() -> None:
    first, second = mini().sources[:2]
    base = degraded_pixels(task_set("denoise25"), first)
    other_seed = degraded_pixels(task_set("denoise25", seed=1), first)
    assert not np.array_equal(base, other_seed)
    clean = read_image(first.clean)[first.window()].astype(np.float32) / 255
    noise25 = base - clean
    noise50 = degraded_pixels(task_set("denoise50"), first) - clean
    assert not np.allclose(noise50, 2 * noise25, atol=1e-4)
    renamed = replace(first, id=second.id)
    assert not np.array_equal(base, degraded_pixels(task_set("denoise25"), renamed))


@pytest.mark.parametrize("protocol", ["e2r", "restormer"])
@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_noise_has_the_stated_deviation(sigma: int, protocol: str) -> None:
    pictures = task_set(f"denoise{sigma}", protocol, limit=1)
    source = pictures.sources[0]
    clean = read_image(source.clean)[source.window()].astype(np.float32) / 255
    noise = 255 * (degraded_pixels(pictures, source) - clean)
    # 49152 samples: the standard error of the deviation is sigma / sqrt(2 n), four of them allowed.
    assert noise.std() == pytest.approx(sigma, rel=4 / np.sqrt(2 * noise.size))
    assert abs(noise.mean()) < 4 * sigma / np.sqrt(noise.size)


def test_unclipped_noise_reaches_the_method_and_only_it(tmp_path: Path) -> None:
    pictures = task_set("denoise50", "restormer", limit=1)
    list(prepare(pictures, tmp_path))
    handed = photo(pictures, pictures.sources[0], tmp_path, "degraded").pixels
    assert handed.min() < 0
    assert handed.max() > 1
    on_disk = read_image(tmp_path / "degraded" / f"{pictures.sources[0].id}.png")
    assert np.array_equal(to_eight_bit(handed), on_disk)
    rounded = task_set("denoise50", limit=1)
    list(prepare(rounded, tmp_path / "rounded"))
    kept = photo(rounded, rounded.sources[0], tmp_path / "rounded", "degraded").pixels
    assert kept.min() >= 0
    assert kept.max() <= 1
    assert np.array_equal(np.rint(kept * 255), kept * 255)


def test_truncation_and_rounding_differ_as_named() -> None:
    pixels = np.full((1, 1, 3), 100.7 / 255, np.float32)
    assert to_eight_bit(pixels).max() == 101
    assert to_eight_bit(pixels, truncate=True).max() == 100
    assert to_eight_bit(np.float32([[[-1, 2, 0.5]]])).tolist() == [[[0, 255, 128]]]


def test_crop_to_sixteen_is_central(tmp_path: Path) -> None:
    image = np.arange(35 * 50 * 3, dtype=np.uint32).reshape(35, 50, 3).astype(np.uint8)
    write_png(tmp_path / "set" / "target" / "a.png", image)
    write_png(tmp_path / "set" / "input" / "a.png", 255 - image)
    dataset = folder(tmp_path / "set")
    for task in ("denoise15", "derain"):
        pictures = TaskSet(TASKS[task], dataset, dataset.sources, PROTOCOLS["moce-ir"], 0)
        list(prepare(pictures, tmp_path / task))
        kept = read_image(tmp_path / task / "clean" / "a.png")
        assert np.array_equal(kept, image[1:33, 1:49])
    fed = read_image(tmp_path / "derain" / "degraded" / "a.png")
    assert np.array_equal(fed, 255 - image[1:33, 1:49])


def test_a_protocol_that_takes_files_says_so_on_a_clean_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only clean ones"):
        list(prepare(task_set("denoise15", "instructir"), tmp_path))


def test_a_rain_folder_serves_rain_but_noise_is_made_on_its_clean_side(tmp_path: Path) -> None:
    clean = np.full((16, 16, 3), 90, np.uint8)
    write_png(tmp_path / "target" / "a.png", clean)
    write_png(tmp_path / "input" / "a.png", clean + 50)
    dataset = folder(tmp_path)
    for task, expected in (("derain", 140), ("denoise15", 90)):
        pictures = TaskSet(TASKS[task], dataset, dataset.sources, PROTOCOLS["e2r"], 0)
        list(prepare(pictures, tmp_path / task))
        fed = read_image(tmp_path / task / "degraded" / "a.png")
        assert fed.mean() == pytest.approx(expected, abs=2)
        assert pictures.from_files() == (task == "derain")


def test_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'airnet-promptir'"):
        protocol_named("airnet-promptr")


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_every_protocol_prescribes_variants_that_exist(name: str) -> None:
    for task in TASKS.values():
        for metric, variant in PROTOCOLS[name].variants(task.kind).items():
            assert resolve([metric], "default", {metric: variant})[0].variant == variant


@pytest.mark.data
def test_the_published_noisy_psnr_of_cbsd68(shared_data: Path, tmp_path: Path) -> None:
    """AirNet's and PromptIR's clip-truncate convention: 24.83 / 20.54 / 15.00 dB over 68 images."""
    dataset: Dataset = folder(shared_data / "cbsd68")
    for sigma, expected in ((15, 24.833), (25, 20.538), (50, 15.004)):
        task, protocol = TASKS[f"denoise{sigma}"], PROTOCOLS["airnet-promptir"]
        pictures = TaskSet(task, dataset, dataset.sources, protocol, 0)
        where = tmp_path / str(sigma)
        names = [name for name, _ in prepare(pictures, where)]
        values = [
            psnr(
                read_image(where / "clean" / f"{n}.png"),
                read_image(where / "degraded" / f"{n}.png"),
            )
            for n in names
        ]
        # Rounding instead of truncating moves sigma 15 by 0.0035 dB.
        assert np.mean(values) == pytest.approx(expected, abs=0.0025)


def test_crops_are_central_in_every_partner_and_named_in_the_protocol(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:70, :101].astype(np.uint8)
    image = np.stack([rows, columns, rows], axis=2)
    write_png(tmp_path / "set" / "target" / "a.png", image)
    write_png(tmp_path / "set" / "input" / "a.png", 255 - image)
    dataset = folder(tmp_path / "set")
    protocol = protocol_named("e2r").cropped(32)
    assert protocol.describe() == "e2r(crop=centre-32,noise=per-image,rounding=round)"
    pictures = TaskSet(TASKS["derain"], dataset, dataset.sources, protocol, 0)
    assert [error for _, error in prepare(pictures, tmp_path / "made")] == [None]
    clean = read_image(tmp_path / "made" / "clean" / "a.png")
    assert np.array_equal(clean, image[19:51, 34:66])
    assert np.array_equal(read_image(tmp_path / "made" / "degraded" / "a.png"), 255 - clean)


def test_a_picture_smaller_than_its_crop_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    for name, side in (("large", 40), ("small", 31)):
        write_png(tmp_path / "set" / f"{name}.png", np.full((side, 64, 3), 9, np.uint8))
    dataset = folder(tmp_path / "set")
    protocol = protocol_named("e2r").cropped(32)
    pictures = TaskSet(TASKS["denoise25"], dataset, dataset.sources, protocol, 0)
    made = dict(prepare(pictures, tmp_path / "made"))
    assert made["large"] is None
    assert "expected at least 32x32 pixels for --crop 32, found 64x31" in str(made["small"])


def test_crops_of_protocols_with_multiples_of_sixteen() -> None:
    protocol = protocol_named("airnet-promptir")
    assert "crop=centre-128," in protocol.cropped(128).describe()
    assert protocol.cropped(None) == protocol
    with pytest.raises(UsageError, match="expected a multiple of 16"):
        protocol.cropped(100)
