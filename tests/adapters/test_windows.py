"""Sampling in overlapping windows: the whole where it fits, no seams where it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from e2r_adapters.catalog import METHODS
from e2r_adapters.editors import MINIATURES, NANO, Instruction
from e2r_adapters.editors.editor import Sizes
from e2r_adapters.editors.fill import FILL
from e2r_adapters.editors.klein import KLEIN
from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.editors.miniatures import miniature_folder
from e2r_adapters.restorer import EditorRestorer, Settings
from e2r_adapters.sampling import noise_for, sample
from e2r_adapters.windows import Windowed, windows_of
from e2r_baselines.method import Compute, Draw, Photo, spec_of
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import UsageError

DENOISE = TASKS["denoise25"]
SAID = Instruction("remove the noise", 1.0, 32)
SIDE = 32


@given(
    st.integers(2, 60), st.integers(2, 60), st.integers(2, 12), st.sampled_from([4, 8, 16])
)  # fmt: skip
def test_windows_cover_the_picture_and_overlap(rows, columns, side, multiple):
    height, width, side = rows * multiple, columns * multiple, side * multiple
    places = windows_of(height, width, side, multiple)
    seen = np.zeros((height, width), int)
    for place in places:
        assert all(span.start % multiple == 0 for span in place)
        seen[place] += 1
        assert seen[place].shape == (min(side, height), min(side, width))
    assert seen.min() >= 1
    for axis, length in enumerate((height, width)):
        starts = sorted({place[axis].start for place in places})
        # A stride is never more than three quarters, rounded to what windows can begin at.
        assert (np.diff(starts) <= max(side - side // 4, multiple)).all()
        assert starts[-1] + min(side, length) == length


@dataclass(frozen=True)
class _Told:
    """What the stand-in is told of a picture: its latents."""

    latents: torch.Tensor

    @property
    def shape(self) -> tuple[int, int, int]:
        channels, height, width = self.latents.shape[1:]
        return channels, height, width

    dtype, device = torch.float32, torch.device("cpu")


@dataclass(frozen=True)
class _Local:
    """An editor whose velocity at a place depends on that place alone, in panels side by side."""

    panels: int
    sizes = Sizes(4, 8, ())

    def condition(self, photo: Photo, instructions: Sequence[Instruction]) -> tuple[_Told, ...]:
        pixels = torch.from_numpy(photo.pixels).permute(2, 0, 1)[None]
        small = torch.nn.functional.avg_pool2d(pixels, 2)
        # Panels differ, so that one taken for another would be seen.
        both = torch.cat([small * (1 + panel) for panel in range(self.panels)], dim=3)
        return tuple(_Told(both) for _ in instructions)

    def together(self, parts: Sequence[_Told]) -> _Told:
        return _Told(torch.cat([part.latents for part in parts]))

    def schedule(self, steps: int, shape: tuple[int, int, int], shift: str = "own") -> torch.Tensor:
        del shape, shift
        return torch.linspace(1, 0, steps + 1)

    def velocity(self, x: torch.Tensor, sigma: torch.Tensor, told: _Told) -> torch.Tensor:
        return x * sigma.view(-1, 1, 1, 1) - told.latents


@pytest.mark.parametrize("panels", [1, 2])
@pytest.mark.parametrize("size", [(32, 32), (32, 76), (100, 76), (64, 64)])
def test_a_local_velocity_is_the_same_in_windows_as_whole(panels, size):
    """The weights sum to one everywhere, and every window meets its own part of each panel."""
    photos = [
        Photo(name, np.random.default_rng(seed).random((*size, 3), np.float32))
        for seed, name in enumerate("ab")
    ]
    found = []
    for side in (None, SIDE):
        editor: Any = Windowed(_Local(panels), side)  # pyright: ignore[reportArgumentType]
        together = editor.together([editor.condition(photo, [SAID])[0] for photo in photos])
        assert together.whole == (3, size[0] // 2, panels * size[1] // 2)
        noise = torch.cat([noise_for(0, p.id, together.whole, "local") for p in photos])
        found.append(sample(editor, together, noise, 3))
    assert torch.allclose(found[0], found[1], atol=1e-6)


@pytest.fixture(params=["kontext", "klein", "fill"])
def opened(request, make_tiny_pipe, make_klein, make_fill):
    """Opens a tiny editor of one family, as often as a test needs one."""
    families = {"kontext": (KONTEXT, make_tiny_pipe), "klein": (KLEIN, make_klein),
                "fill": (FILL, make_fill)}  # fmt: skip
    family, make = families[request.param]
    return lambda: family.open(make())


def test_a_picture_no_larger_than_a_window_is_as_without(opened):
    photo = Photo("a", np.random.default_rng(0).random((24, 32, 3), np.float32))
    found = [_restored(opened(), photo, tile) for tile in (None, SIDE)]
    assert np.array_equal(found[0], found[1])


def test_larger_pictures_come_back_at_their_size_and_each_part_counts(opened):
    pixels = np.random.default_rng(0).random((43, 70, 3), np.float32)
    whole, windowed = (_restored(opened(), Photo("a", pixels), tile) for tile in (None, SIDE))
    assert windowed.shape == pixels.shape
    assert not np.array_equal(whole, windowed)
    changed = pixels.copy()
    changed[:, 60:] = 1 - changed[:, 60:]
    assert not np.array_equal(_restored(opened(), Photo("a", changed), SIDE), windowed)


def _restored(editor: Any, photo: Photo, tile: int | None, batch: int = 1) -> np.ndarray:
    settings = Settings(1.0, 32, "native", batch, tile=tile)
    (result,) = EditorRestorer(editor, settings).restore([photo], DENOISE, [Draw(0, 2)])
    return result.pixels


def test_a_batch_is_its_pictures_one_by_one(tiny_pipe):
    rng = np.random.default_rng(1)
    photos = [Photo(name, rng.random((40, 52, 3), np.float32)) for name in "abc"]
    editor, draws = KONTEXT.open(tiny_pipe), [Draw(0, 2), Draw(1, 2)]
    found = []
    for batch in (1, 4):
        settings = Settings(1.0, 32, "native", batch, tile=SIDE)
        made = EditorRestorer(editor, settings).restore(photos, DENOISE, draws)
        found.append({(r.photo_id, r.draw): r.pixels for r in made})
    for cell, picture in found[0].items():
        assert np.allclose(picture, found[1][cell], atol=1e-5)


def test_a_tile_is_rounded_down_and_one_that_is_too_small_is_one_line(tiny_pipe):
    editor = KONTEXT.open(tiny_pipe)
    photo = Photo("a", np.zeros((64, 64, 3), np.float32))
    (told,) = Windowed(editor, 35).condition(photo, [SAID])
    assert told.windows == windows_of(64, 64, 32, 4)
    with pytest.raises(UsageError, match="--tile 7: expected at least 8 pixels for an editor of"):
        Windowed(editor, 7)


def test_the_miniature_restores_a_photograph_better_in_windows_than_at_once():
    """It was trained on at most 128 pixels; as the catalog opens it, it has windows of 128."""
    from skimage import data

    clean = np.float32(data.astronaut()[100:340, 100:484]) / 255
    noisy = clean + np.random.default_rng(0).normal(0, 25 / 255, clean.shape).astype(np.float32)
    own = miniature_folder(NANO)
    files = {NANO: own, MINIATURES[NANO].adapters: own.parent / "adapters"}
    found = {}
    for tile in (None, 128, 384):
        spec = spec_of(METHODS["kontext_lora"], {})
        made = spec.open(spec.builds[0], files, Compute(tile=tile))
        (result,) = made.restore([Photo("a", noisy)], DENOISE, [Draw(0, 4)])
        found[tile] = result.pixels
    assert np.array_equal(found[None], found[128])
    errors = {tile: float(np.square(picture - clean).mean()) for tile, picture in found.items()}
    assert errors[128] < 0.8 * errors[384]
    # No seam: the error jumps no more where windows begin or end than it does elsewhere.
    starts = {columns.start for _, columns in windows_of(240, 384, 128, 8)}
    steps = np.abs(np.diff(found[128] - clean, axis=1)).mean(axis=(0, 2))
    borders = sorted(
        {start - 1 for start in starts if start} | {s + 127 for s in starts if s < 256}
    )
    assert steps[borders].mean() < 1.15 * steps.mean()
