"""Overlaps between training and test pictures: found when planted, silent when not."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from e2r_baselines.nearduplicate import find_overlaps
from e2r_metrics.base.errors import PictureError

SIDE = 128


def _crop(image: Image.Image, rng: np.random.Generator, side: int = SIDE) -> Image.Image:
    left = int(rng.integers(0, image.width - side + 1))
    top = int(rng.integers(0, image.height - side + 1))
    return image.crop((left, top, left + side, top + side))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths: dict[str, Path] = {}
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        paths[name] = folder / f"{name}.png"
        Image.fromarray(getattr(photographs, name)()).save(paths[name])
    return paths


@pytest.mark.parametrize(
    ("kind", "edit"),
    [
        ("identical", lambda image: image),
        ("near-duplicate", lambda image: image.resize((300, 200), Image.Resampling.BILINEAR)),
        ("crop", lambda image: image.crop((60, 40, 220, 200))),
        ("crop", lambda image: image.crop((60, 40, 220, 200)).resize((224, 224))),
    ],
)
def test_every_kind_is_found_and_named(photos, tmp_path, kind, edit):
    copy = tmp_path / "copy.png"
    edit(Image.open(photos["chelsea"])).save(copy)
    found = find_overlaps(list(photos.values()), [copy])
    assert [(entry.train, entry.kind) for entry in found] == [(photos["chelsea"], kind)]
    assert find_overlaps([copy], list(photos.values()))[0].test == photos["chelsea"]


def test_coverage_is_the_shared_part_of_the_test_picture(photos, tmp_path):
    part = tmp_path / "part.png"
    Image.open(photos["coffee"]).crop((100, 50, 300, 250)).save(part)
    whole = 200 * 200 / (600 * 400)
    assert find_overlaps([photos["coffee"]], [part])[0].coverage == pytest.approx(1, abs=0.02)
    assert find_overlaps([part], [photos["coffee"]])[0].coverage == pytest.approx(whole, rel=0.05)


def test_jpeg_coding_does_not_hide_a_copy(photos, tmp_path):
    copy = tmp_path / "copy.jpg"
    Image.open(photos["rocket"]).save(copy, quality=40)
    assert find_overlaps([photos["rocket"]], [copy])[0].kind == "near-duplicate"


def test_crops_of_other_places_are_no_overlap(photos, tmp_path):
    rng = np.random.default_rng(0)
    left, right = [], []
    for name, path in photos.items():
        image = Image.open(path)
        half = image.width // 2
        for k in range(3):
            left.append(tmp_path / f"{name}{k}l.png")
            right.append(tmp_path / f"{name}{k}r.png")
            _crop(image.crop((0, 0, half, image.height)), rng).save(left[-1])
            _crop(image.crop((half, 0, image.width, image.height)), rng).save(right[-1])
    assert find_overlaps(left, right) == []


def test_flat_pictures_agree_about_nothing(tmp_path):
    ramp = np.linspace(0, 255, SIDE)[:, None, None] * np.ones((1, SIDE, 3))
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    Image.fromarray(ramp.astype(np.uint8)).save(paths[0])
    Image.fromarray((ramp * 0.8 + 20).astype(np.uint8)).save(paths[1])
    assert find_overlaps(paths[:1], paths[1:]) == []


def test_a_file_that_is_no_image_is_one_line(tmp_path):
    path = tmp_path / "not.png"
    path.write_text("not an image")
    with pytest.raises(PictureError, match=r"not\.png: expected a whole image file"):
        find_overlaps([path], [path])


def test_nothing_to_compare(tmp_path):
    assert find_overlaps([], [tmp_path / "absent.png"]) == []


def _plant(
    sources: Sequence[Path], others: Sequence[Path], folder: Path, count: int
) -> tuple[list[Path], dict[Path, Path]]:
    """Write `count` crops of `others`, and 5% as many of `sources`; every second one is JPEG."""
    rng = np.random.default_rng(5)
    files: list[Path] = []
    for k in range(count):
        files.append(folder / f"own{k:03}.png")
        _crop(Image.open(others[k % len(others)]).convert("RGB"), rng).save(files[-1])
    planted: dict[Path, Path] = {}
    for k in range(count // 20):
        path = folder / f"leak{k:03}.{('png', 'jpg')[k % 2]}"
        _crop(Image.open(sources[k]).convert("RGB"), rng).save(path)
        planted[path] = sources[k]
    return [*files, *planted], planted


def _rain(shared_data: Path) -> tuple[list[Path], list[Path]]:
    train = sorted((shared_data / "rain100l" / "train" / "target").iterdir())
    test = sorted((shared_data / "rain100l" / "test" / "target").iterdir())
    return train, test + sorted((shared_data / "cbsd68").iterdir())


@pytest.mark.data
def test_a_planted_leak_among_photographs(shared_data, tmp_path):
    train, others = _rain(shared_data)
    files, planted = _plant(train[:24], others, tmp_path, 60)
    found = {entry.test: entry.train for entry in find_overlaps(train[:24], files)}
    assert found == planted


@pytest.mark.data
@pytest.mark.slow
def test_a_five_percent_leak_and_no_false_alarm_on_500_crops(shared_data, tmp_path):
    train, others = _rain(shared_data)
    files, planted = _plant(train, others, tmp_path, 500)
    found = {entry.test: entry.train for entry in find_overlaps(train, files)}
    assert {path: source for path, source in found.items() if planted.get(path) != source} == {}
    assert len(found) >= 24, "at least 24 of 25 planted crops"


@pytest.mark.data
def test_cbsd68_photographs_stand_in_rain100l(shared_data):
    """A finding: all in all 25 pairs of the two usual test sets are one clean photograph."""
    rain = sorted((shared_data / "rain100l" / "test" / "target").glob("[34].png"))
    noise = sorted((shared_data / "cbsd68").glob("003*.png"))
    found = find_overlaps(rain, noise)
    assert found
    assert {entry.kind for entry in found} == {"identical"}
