"""Speed of the maps: all maps with truth, but LPIPS, on one core."""

import cv2
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from skimage.color import deltaE_ciede2000, rgb2lab

from e2r_bench.maps.colour import ciede2000
from e2r_bench.maps.compute import with_truth
from e2r_bench.run.mini import mini
from e2r_metrics.base.pictures import read_image


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A 481x321 photograph, and itself with noise."""
    photo = read_image(next(s.clean for s in mini().sources if s.scene == "coffee"))
    truth = np.ascontiguousarray(photo[:321, :481])
    noise = np.random.default_rng(0).normal(0, 10, truth.shape)
    return np.clip(np.rint(truth + noise), 0, 255).astype(np.uint8), truth


@pytest.fixture(autouse=True)
def one_core():
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(threads)


def test_all_maps_with_truth(
    benchmark: BenchmarkFixture, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    benchmark.extra_info["must reach"] = "0.25 s"
    benchmark.pedantic(with_truth, pair, rounds=15, warmup_rounds=1)


@pytest.mark.benchmark(group="ciede2000")
def test_ciede2000(benchmark: BenchmarkFixture, pair: tuple[np.ndarray, np.ndarray]) -> None:
    benchmark.pedantic(ciede2000, pair, rounds=10, warmup_rounds=1)


@pytest.mark.benchmark(group="ciede2000")
def test_ciede2000_of_scikit_image(
    benchmark: BenchmarkFixture, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    def named_peer(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        return deltaE_ciede2000(rgb2lab(one), rgb2lab(two))

    benchmark.pedantic(named_peer, pair, rounds=5, warmup_rounds=1)
