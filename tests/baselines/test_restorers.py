"""Restorers as the runner sees them: sizes, batches, tiles, dtypes, devices of one call."""

import numpy as np
import pytest
import torch

from e2r_baselines.adair import AdaIR, AdaIRConfig
from e2r_baselines.bioir import BioIR, BioIRConfig
from e2r_baselines.instructir import InstructIR, InstructIRConfig
from e2r_baselines.method import DETERMINISTIC, Compute, Draw, Photo, Pixels
from e2r_baselines.moce_ir import MoCEIR, MoCEIRConfig
from e2r_baselines.network import NetworkRestorer, place
from e2r_baselines.prenet import PReNet
from e2r_baselines.promptir import NANO, PromptIR
from e2r_baselines.sizes import pad_to_multiple, tiled
from e2r_baselines.tasks import TASKS

SIZES = [(322, 482), (68, 68), (1, 1), (37, 53)]
TASK = TASKS["denoise25"]
TINY_ADAIR = AdaIRConfig(16, (1, 1, 1, 1), 1, heads=(1, 1, 1, 1), expansion=2.0)
TINY_MOCE = MoCEIRConfig(8, (1, 1, 1, 1), (1, 1, 1), 1, heads=(1, 1, 1, 1))


def pixels(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def restorer(name: str, compute: Compute) -> NetworkRestorer:
    torch.manual_seed(0)
    if name == "promptir":
        network = place(PromptIR(NANO), compute)
        return NetworkRestorer(lambda x, _: network(x), compute, multiple=8)
    if name == "moce-ir":
        routed = place(MoCEIR(TINY_MOCE), compute)
        return NetworkRestorer(lambda x, _: routed(x), compute, multiple=8)
    if name == "prenet":
        recurrent = place(PReNet(1), compute)
        return NetworkRestorer(lambda x, _: recurrent(x), compute)
    if name == "adair":
        mining = place(AdaIR(TINY_ADAIR), compute)
        return NetworkRestorer(lambda x, _: mining(x), compute, multiple=8)
    if name == "bioir":
        steered = place(BioIR(BioIRConfig(8, (1, 1, 1), 1)), compute)
        return NetworkRestorer(lambda x, _: steered(x), compute, multiple=4, smallest=12)
    told = place(InstructIR(InstructIRConfig(8, (1, 1, 1, 1), 1, (1, 1, 1, 1), text=4)), compute)
    text = torch.ones(1, 4, dtype=getattr(torch, compute.dtype))
    return NetworkRestorer(
        lambda x, _: told(x, text.expand(len(x), -1)), compute, multiple=16, padding="zero"
    )


NETWORKS = ["promptir", "moce-ir", "adair", "bioir", "prenet", "instructir"]


@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_come_back_unchanged(name: str) -> None:
    photos = [Photo(f"{h}x{w}", pixels(h, w)) for h, w in SIZES]
    results = list(restorer(name, Compute()).restore(photos, TASK, [DETERMINISTIC]))
    assert [r.pixels.shape[:2] for r in results] == SIZES
    assert all(r.pixels.dtype == np.float32 for r in results)
    assert all(np.isfinite(r.pixels).all() for r in results)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_photo_does_not_depend_on_its_neighbours(name: str) -> None:
    photos = [Photo(str(i), pixels(16, 24, i)) for i in range(3)]
    together = restorer(name, Compute(batch=3)).restore(photos, TASK, [DETERMINISTIC])
    alone = restorer(name, Compute()).restore(photos[2:], TASK, [DETERMINISTIC])
    np.testing.assert_allclose(list(together)[2].pixels, next(alone).pixels, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_bfloat16_stays_near_float32(name: str) -> None:
    photo = [Photo("a", pixels(16, 24))]
    exact, coarse = (
        next(restorer(name, Compute(dtype=dtype)).restore(photo, TASK, [DETERMINISTIC])).pixels
        for dtype in ("float32", "bfloat16")
    )
    assert coarse.dtype == np.float32
    assert 0 < np.abs(exact - coarse).max() < 0.1


def test_every_draw_of_a_deterministic_method_gets_the_same_pixels() -> None:
    draws = [Draw(0, 0), Draw(1, 0)]
    first, second = restorer("prenet", Compute()).restore([Photo("a", pixels(9, 9))], TASK, draws)
    assert (first.draw, second.draw) == tuple(draws)
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_padding_extends_right_and_below() -> None:
    picture = pixels(5, 7)
    padded = pad_to_multiple(picture, 8, "reflect")
    assert padded.shape == (8, 8, 3)
    np.testing.assert_array_equal(padded[:5, :7], picture)
    np.testing.assert_array_equal(padded[5, :7], picture[3])
    assert not pad_to_multiple(picture, 8, "zero")[5:].any()
    assert pad_to_multiple(picture, 1, "edge", 16).shape == (16, 16, 3)


@pytest.mark.parametrize(("height", "width"), [(40, 70), (64, 64), (65, 64), (33, 200), (1, 130)])
def test_tiles_of_a_local_function_give_the_function_back(height: int, width: int) -> None:
    picture = pixels(height, width)
    sizes: list[tuple[int, ...]] = []

    def doubled(part: Pixels) -> Pixels:
        sizes.append(part.shape)
        return 2 * part

    np.testing.assert_allclose(tiled(picture, 64, doubled), 2 * picture, rtol=1e-6)
    assert max(max(size) for size in sizes) <= 64


def test_tiles_blend_without_a_seam() -> None:
    picture = np.zeros((64, 160, 3), np.float32)
    calls = iter(range(10))
    blended = tiled(picture, 64, lambda part: part + next(calls))
    assert np.abs(np.diff(blended[0, :, 0])).max() < 0.1


def test_a_tile_is_made_a_multiple_of_what_the_network_needs() -> None:
    photo = [Photo("a", pixels(50, 60))]
    result = next(restorer("promptir", Compute(tile=21)).restore(photo, TASK, [DETERMINISTIC]))
    assert result.pixels.shape == (50, 60, 3)
