"""`folder:PATH`: every way in which results of others were misread, missed, or ended a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from e2r_baselines.catalog import method_named
from e2r_baselines.method import DETERMINISTIC, Compute, MethodSpec, Photo, Pixels, spec_of
from e2r_baselines.results import FolderRestorer, Results, _core, _Listing
from e2r_baselines.tasks import TASKS
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import AS_STORED

TASK = TASKS["derain"]


def pixels(seed: int, height: int = 6, width: int = 8) -> Pixels:
    eight_bit = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return (eight_bit / 255).astype(np.float32)


def save(path: Path, picture: Pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(picture * 255).astype(np.uint8)).save(path)


def folder(root: Path, options: Mapping[str, Any] | None = None) -> MethodSpec:
    return spec_of(method_named(f"folder:{root}"), options)


def restored(
    root: Path, photos: list[Photo], options: Mapping[str, Any] | None = None
) -> list[Pixels]:
    spec = folder(root, options)
    restorer = spec.open(spec.builds[0], {}, Compute())
    return [result.pixels for result in restorer.restore(photos, TASK, [DETERMINISTIC])]


PHOTOS = [Photo("b", pixels(1)), Photo("a.1", pixels(2, 5, 5))]
ONE = PHOTOS[:1]


@pytest.mark.parametrize("inside", [".", "derain"])
def test_pictures_are_paired_by_name_never_by_order(tmp_path: Path, inside: str) -> None:
    save(tmp_path / inside / "b.png", pixels(3))
    save(tmp_path / inside / "a.1.bmp", pixels(4, 5, 5))
    save(tmp_path / inside / "aa.png", pixels(5))
    first, second = restored(tmp_path, PHOTOS)
    np.testing.assert_allclose(first, pixels(3), atol=1e-6)
    np.testing.assert_allclose(second, pixels(4, 5, 5), atol=1e-6)


def test_the_folder_of_the_task_wins(tmp_path: Path) -> None:
    save(tmp_path / "b.png", pixels(3))
    save(tmp_path / "derain" / "b.png", pixels(4))
    np.testing.assert_allclose(restored(tmp_path, ONE)[0], pixels(4), atol=1e-6)


@pytest.mark.parametrize("suffix", [".PNG", ".Png", ".TIF", ".Bmp"])
def test_a_suffix_is_read_in_any_case(tmp_path: Path, suffix: str) -> None:
    save(tmp_path / f"b{suffix}", pixels(3))
    np.testing.assert_allclose(restored(tmp_path, ONE)[0], pixels(3), atol=1e-6)


def test_sixteen_bits_are_read_at_65535_and_not_rounded(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (6, 8, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "b.png"), deep[..., ::-1])
    (found,) = restored(tmp_path, ONE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, deep / 65535, atol=1e-6)
    # Rounded to 8 bits, a value would be off by up to 1/510.
    assert np.abs(found - np.rint(found * 255) / 255).max() > 1e-3


def test_sixteen_bits_of_grey_are_grey(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 48).reshape(6, 8).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "b.png")
    (found,) = restored(tmp_path, ONE)
    np.testing.assert_allclose(found, (deep / 65535)[..., None].repeat(3, 2), atol=1e-6)


def test_floats_need_a_range_and_keep_their_depth(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).random((6, 8), dtype=np.float32)
    values = grey[..., None].repeat(3, 2)
    Image.fromarray(2 * grey).save(tmp_path / "b.tiff")
    with pytest.raises(PictureError, match="say what white is"):
        restored(tmp_path, ONE)
    np.testing.assert_allclose(restored(tmp_path, ONE, {"value_range": "2"})[0], values, atol=1e-6)
    with pytest.raises(PictureError, match="expected values from 0 to --range 1"):
        restored(tmp_path, ONE, {"value_range": 1})


@pytest.mark.parametrize("white", [0, -1, "inf", "nan"])
def test_a_range_is_above_zero(tmp_path: Path, white: Any) -> None:
    save(tmp_path / "b.png", pixels(3))
    with pytest.raises(UsageError, match="value_range above 0"):
        folder(tmp_path, {"value_range": white})


def test_opaque_alpha_is_read_and_translucent_alpha_needs_a_background(tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (6, 8, 4)).astype(np.uint8)
    rgba[..., 3] = 255
    Image.fromarray(rgba).save(tmp_path / "b.png")
    np.testing.assert_allclose(restored(tmp_path, ONE)[0], rgba[..., :3] / 255, atol=1e-6)
    rgba[0, 0] = (10, 20, 30, 0)
    Image.fromarray(rgba).save(tmp_path / "b.png")
    with pytest.raises(PictureError, match="expected an opaque picture"):
        restored(tmp_path, ONE)
    (found,) = restored(tmp_path, ONE, {"flatten": "white"})
    np.testing.assert_allclose(found[0, 0], 1)
    with pytest.raises(UsageError, match="expected a colour"):
        folder(tmp_path, {"flatten": "wite"})


def test_one_picture_at_fault_is_its_own_and_the_others_are_handed_on(tmp_path: Path) -> None:
    save(tmp_path / "a.1.png", pixels(4, 5, 5))
    with pytest.raises(PictureError, match="expected one picture named 'b', found none"):
        restored(tmp_path, PHOTOS)
    assert len(restored(tmp_path, PHOTOS[1:])) == 1
    save(tmp_path / "b.png", pixels(3, 7, 8))
    with pytest.raises(PictureError, match=r"b\.png: expected 8x6 as its input is, found 8x7"):
        restored(tmp_path, PHOTOS)
    save(tmp_path / "b.png", pixels(3))
    whole = (tmp_path / "b.png").read_bytes()
    for content in (whole[:-20], whole[:30], b"", b"no picture"):
        (tmp_path / "b.png").write_bytes(content)
        with pytest.raises(PictureError, match=r"b\.png: expected"):
            restored(tmp_path, PHOTOS)


def test_a_folder_that_says_nothing_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected folder:PATH"):
        method_named(f"folder:{tmp_path / 'gone'}")
    with pytest.raises(UsageError, match="expected pictures"):
        restored(tmp_path, ONE)
    save(tmp_path / "b.png", pixels(3))
    save(tmp_path / "b.bmp", pixels(3))
    with pytest.raises(UsageError, match="have one name"):
        restored(tmp_path, ONE)


def test_sub_folders_are_said_and_read_when_asked_for(tmp_path: Path) -> None:
    save(tmp_path / "clip" / "001.png", pixels(3))
    photo = Photo("clip/001", pixels(1))
    with pytest.raises(UsageError, match=r"only sub-folders \(clip\); give --recursive"):
        restored(tmp_path, [photo])
    (found,) = restored(tmp_path, [photo], {"recursive": "true"})
    np.testing.assert_allclose(found, pixels(3), atol=1e-6)


def test_what_the_runner_hashes_is_what_is_read(tmp_path: Path) -> None:
    save(tmp_path / "b.png", pixels(3))
    save(tmp_path / "dehaze" / "b_out.png", pixels(4))
    inputs = folder(tmp_path).inputs
    assert inputs
    assert inputs("derain", "b") == tmp_path / "b.png"
    assert inputs("dehaze", "b") == tmp_path / "dehaze" / "b_out.png"
    assert inputs("derain", "gone") is None


@pytest.mark.parametrize(
    ("file", "image", "pair"),
    [
        ("b_out", "b", None), ("b_SR", "b_LR", None), ("norain-3", "rain-3", None),
        ("b-final", "b", "{name}-final"),
    ],
)  # fmt: skip
def test_known_endings_and_a_pattern_find_their_result(
    tmp_path: Path, file: str, image: str, pair: str | None
) -> None:
    save(tmp_path / f"{file}.png", pixels(3))
    inputs = folder(tmp_path, {"pair": pair} if pair else {}).inputs
    assert inputs
    assert inputs("derain", image) == tmp_path / f"{file}.png"


def test_a_result_is_of_one_picture(tmp_path: Path) -> None:
    """SOTS has ten hazy pictures of a scene: a result named after the scene is of none of them."""
    save(tmp_path / "0001.png", pixels(3))
    inputs = folder(tmp_path).inputs
    assert inputs
    assert inputs("dehaze", "0001_0.8_0.2") is None
    assert inputs("dehaze", "0001_noisy") == tmp_path / "0001.png"
    with pytest.raises(UsageError, match="that of '0001_noisy' and '0001_hazy'"):
        inputs("dehaze", "0001_hazy")


PARTS = st.sampled_from(["a", "b", "01", "out", "SR", "hr", "rain", "gt", "x2", "norain", ""])
NAMES = st.lists(st.tuples(PARTS, st.sampled_from("-_")), min_size=1, max_size=4).map(
    lambda parts: "x" + "".join(part + mark for part, mark in parts).rstrip("-_")
) | st.lists(PARTS.filter(bool), min_size=1, max_size=4).map("_".join)


@settings(max_examples=300, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=8, unique_by=str.lower), image=NAMES)
def test_only_what_could_be_meant_is_looked_at_and_nothing_is_lost(
    names: list[str], image: str
) -> None:
    """Listings are narrowed before they are paired, since pairing looks at each name."""
    pictures = {name: Path(f"{name}.png") for name in names}
    by_core: dict[str, dict[str, Path]] = {}
    for name, path in pictures.items():
        by_core.setdefault(_core(name), {})[name] = path
    answers: list[str | None] = []
    for listing in (_Listing(pictures, by_core), _Listing(pictures, {_core(image): pictures})):
        try:
            answers.append(Results(Path("x"))._key(image, listing, Path("x")))
        except UsageError as error:
            answers.append(str(error))
    assert answers[0] == answers[1]


def test_a_pattern_names_its_input(tmp_path: Path) -> None:
    save(tmp_path / "b.png", pixels(3))
    with pytest.raises(UsageError, match=r"expected a pair with \{name\} in it"):
        folder(tmp_path, {"pair": "b"})


def test_a_result_is_of_one_task(tmp_path: Path) -> None:
    """One flat folder cannot hold what a method made of the same picture in two tasks."""
    save(tmp_path / "b.png", pixels(3))
    inputs = folder(tmp_path).inputs
    assert inputs
    assert inputs("denoise25", "b") == inputs("denoise25", "b") == tmp_path / "b.png"
    with pytest.raises(UsageError, match="that of denoise25 and denoise50; put each task"):
        inputs("denoise50", "b")
    save(tmp_path / "denoise50" / "b.png", pixels(4))
    assert inputs("denoise50", "b") == tmp_path / "denoise50" / "b.png"


@pytest.mark.parametrize("name", ["folder:", "spandrel:"])
@pytest.mark.parametrize("place", ["/nowhere/x", "~nobody-of-this-name/x", "x" * 5000, "a\0b"])
def test_a_place_that_cannot_be_is_one_line(name: str, place: str) -> None:
    with pytest.raises(UsageError, match="found no such"):
        method_named(name + place)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.text("ab_-.01xX", min_size=1, max_size=6).filter(lambda n: not n.startswith(".")),
        min_size=1, max_size=6, unique=True,
    ),
    image=st.text("ab_-.01xX", min_size=1, max_size=6),
)  # fmt: skip
def test_an_exact_name_is_always_found_and_nothing_is_made_up(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], image: str
) -> None:
    root = tmp_path_factory.mktemp("results")
    for name in names:
        (root / f"{name}.png").touch()
    results = Results(root)
    try:
        found = results.find("derain", image)
    except UsageError:
        assert image not in names
        return
    assert found is None or found.parent == root
    if image in names:
        assert found == root / f"{image}.png"


def test_a_result_is_no_larger_than_its_input_before_it_is_decoded(tmp_path: Path) -> None:
    """A header that promises a gigapixel is refused by its size; nothing is allocated for it."""
    save(tmp_path / "b.png", pixels(3))
    content = bytearray((tmp_path / "b.png").read_bytes())
    content[16:24] = (60000).to_bytes(4, "big") * 2
    (tmp_path / "b.png").write_bytes(content)
    restorer = FolderRestorer(Results(tmp_path), AS_STORED)
    with pytest.raises(PictureError, match="expected 8x6 as its input is, found 60000x60000"):
        list(restorer.restore(ONE, TASK, [DETERMINISTIC]))
