"""Data sets: pairing by name, the embedded set, and every way a folder can be wrong."""

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.run.config import Experiment
from e2r_bench.run.data import Source, read_clean, read_degraded, read_depth
from e2r_bench.run.datasets import datasets_of, folder, load_dataset, read_scenes
from e2r_bench.run.mini import EDITION, NAME, PHOTOGRAPHS, SIDE, mini
from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import write_png


def picture(seed: int, height: int = 20, width: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def pairs(
    root: Path, names: dict[str, str], clean: str = "target", degraded: str = "input"
) -> Path:
    """Write pairs: degraded file name -> clean file name."""
    for bad, good in names.items():
        write_png(root / degraded / bad, picture(1))
        write_png(root / clean / good, picture(2))
    return root


def test_mini_has_scenes_enough_for_a_verdict_and_four_crops_of_each() -> None:
    # Ten is the least that any verdict is given for, see docs/statistics.md.
    sources = mini().sources
    assert len({source.id for source in sources}) == len(sources)
    crops = Counter(source.scene for source in sources)
    assert len(crops) >= 10
    assert min(crops.values()) >= 4
    for source in sources:
        crop = read_clean(source)
        assert crop.shape == (SIDE, SIDE, 3)
        assert crop.dtype == np.uint8
        # A crop outside its photograph would come back smaller, one of nothing would be flat.
        assert crop.std() > 2


def test_no_pixel_of_mini_is_in_two_crops() -> None:
    for photo in PHOTOGRAPHS.values():
        seen = np.zeros((2000, 2000), bool)
        for top, left in photo.corners:
            window = seen[top : top + SIDE, left : left + SIDE]
            assert not window.any()
            window[:] = True


def test_an_edition_of_mini_is_what_its_record_says() -> None:
    """Whoever changes a crop must raise the edition: its digest is written here, beside it."""
    digest = hashlib.sha256()
    for source in mini().sources:
        digest.update(source.id.encode())
        digest.update(np.ascontiguousarray(read_clean(source)).tobytes())
    assert (EDITION, digest.hexdigest()[:16]) == (2, "9f4a374f6becc749")
    assert mini().name == NAME


def test_mini_begins_with_all_scenes_so_that_a_limited_run_sees_them() -> None:
    scenes = len(PHOTOGRAPHS)
    assert len({source.scene for source in mini().sources[:scenes]}) == scenes


def test_a_package_without_its_picture_is_a_line() -> None:
    with pytest.raises(UsageError, match=r"expected data/none\.png in scikit-image, found none"):
        PHOTOGRAPHS["coffee"].file("data/none.png")
    gone = replace(PHOTOGRAPHS["coffee"], package="no_such_package")
    with pytest.raises(UsageError, match="pip install --force-reinstall no_such_package"):
        gone.file(gone.path)


def test_depth_is_relative_and_true_where_there_is_disparity() -> None:
    for source in mini().sources:
        depth = read_depth(source)
        assert depth.shape == (SIDE, SIDE)
        assert depth.dtype == np.float32
        assert 0 < depth.min() <= depth.max() <= 1
    motorcycle = next(s for s in mini().sources if s.scene == "motorcycle")
    model = next(s for s in mini().sources if s.scene == "astronaut")
    assert np.unique(read_depth(motorcycle), axis=1).shape[1] > 1
    assert np.unique(read_depth(model), axis=1).shape[1] == 1
    # The model rises towards the top; the truth is f b / (disparity + offset), up to one factor.
    assert (np.diff(read_depth(model)[:, 0]) < 0).all()
    disparity = np.load(motorcycle.disparity)["arr_0"][motorcycle.window()]
    matched = np.isfinite(disparity)
    factor = read_depth(motorcycle)[matched] * (disparity[matched] + 31.086)
    assert np.allclose(factor, factor[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("clean", "degraded"),
    [("target", "input"), ("clean", "degraded"), ("gt", "lq"), ("clean", "hazy")],
)
def test_pairs_by_name_never_by_order(tmp_path: Path, clean: str, degraded: str) -> None:
    # In a sorted folder 1 stands before 10, but 10_x before 1_x.
    pairs(tmp_path, {"1_x.png": "1.png", "10_x.png": "10.png"}, clean, degraded)
    found = [(s.id, s.clean.name, s.degraded.name) for s in folder(tmp_path).sources]
    assert found == [("10_x", "10.png", "10_x.png"), ("1_x", "1.png", "1_x.png")]


def test_sots_names_pair_and_share_a_scene(tmp_path: Path) -> None:
    pairs(tmp_path, {"0001_0.8_0.2.png": "0001.png", "0001_0.9_0.1.png": "0001.png"})
    sources = folder(tmp_path).sources
    assert [s.id for s in sources] == ["0001_0.8_0.2", "0001_0.9_0.1"]
    assert {s.scene for s in sources} == {"0001"}


def test_every_file_without_partner_is_named(tmp_path: Path) -> None:
    pairs(tmp_path, {"a.png": "a.png"})
    write_png(tmp_path / "input" / "lonely.png", picture(3))
    write_png(tmp_path / "target" / "left.png", picture(3))
    with pytest.raises(UsageError, match=r"none for 2: .*input/lonely\.png, .*target/left\.png"):
        folder(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", picture(1))
    write_png(tmp_path / "a.bmp", picture(1))
    with pytest.raises(UsageError, match=r"a\.bmp and a\.png have one name"):
        folder(tmp_path)


def test_two_folders_for_one_side_are_refused(tmp_path: Path) -> None:
    pairs(tmp_path, {"a.png": "a.png"})
    (tmp_path / "clean").mkdir()
    with pytest.raises(UsageError, match="found clean/ and target/; keep one"):
        folder(tmp_path)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        ("nothing", "expected 'mini' or a folder of images, found no such folder"),
        ("empty", r"set: expected pictures \(.*\.png .*\), found none$"),
        ("others", "expected two folders of pairs, found none"),
        ("one side", "expected two folders of pairs, found only clean/"),
    ],
)
def test_folders_without_pairs_say_what_was_expected(tmp_path: Path, make: str, said: str) -> None:
    where = tmp_path / "set"
    if make != "nothing":
        where.mkdir()
    if make in ("others", "one side"):
        (where / ("clean" if make == "one side" else make)).mkdir()
    with pytest.raises(UsageError, match=said):
        load_dataset(str(where))


def test_unequal_sizes_are_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "clean.png", picture(1, 20, 30))
    write_png(tmp_path / "bad.png", picture(1, 20, 31))
    source = Source("a", "a", tmp_path / "clean.png", degraded=tmp_path / "bad.png")
    with pytest.raises(PictureError, match=r"expected 30x20, .* found 31x20"):
        read_degraded(source)


@pytest.mark.data
def test_real_sets_pair(shared_data: Path) -> None:
    assert len(folder(shared_data / "cbsd68").sources) == 68
    rain = folder(shared_data / "rain100l" / "test")
    assert rain.name == "rain100l/test"
    assert len(rain.sources) == 100
    assert all(s.degraded is not None and s.degraded.stem == s.clean.stem for s in rain.sources)
    haze = folder(shared_data / "sots_outdoor")
    assert {(s.id.split("_")[0], s.clean.stem) for s in haze.sources} == {
        (s.scene, s.scene) for s in haze.sources
    }


def scened(tmp_path: Path, text: str) -> Experiment:
    """Return an experiment on two sets of two pictures each, with a file of scenes."""
    for name in ("one", "two"):
        for image in ("a.png", "b.png"):
            write_png(tmp_path / name / image, picture(1))
    (tmp_path / "scenes.csv").write_text(text)
    data = (f"denoise25={tmp_path / 'one'}", f"derain={tmp_path / 'two'}")
    return Experiment(
        methods=("degraded",), tasks=("denoise25", "derain"), data=data,
        scenes=tmp_path / "scenes.csv",
    )  # fmt: skip


def test_scenes_of_a_file_join_images_and_leave_the_others(tmp_path: Path) -> None:
    sets = datasets_of(scened(tmp_path, "image,scene\na,street\n"))
    for dataset in sets.values():
        assert [source.scene for source in dataset.sources] == ["street", "b"]
    sets = datasets_of(scened(tmp_path, "data,image,scene\ntwo,a,street\n"))
    assert [s.scene for s in sets["denoise25"].sources] == ["a", "b"]
    assert [s.scene for s in sets["derain"].sources] == ["street", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,scene\nc,street\n", "expected images of --data, found 'c'"),
        ("data,image,scene\nthree,a,street\n", "found 'a', not in the set 'three'"),
        ("image,place\na,street\n", "line 2: expected the columns image and scene"),
        ("image,scene\na,\n", "line 2: expected the columns image and scene"),
        ("image,scene\na,x\na,y\n", "line 3: expected one scene for a, found x and y"),
        ("image,scene\n", "found no rows"),
        ("", "found no rows"),
        ('image,scene\na,"x', "expected a CSV file"),
    ],
)
def test_a_file_of_scenes_that_says_nothing_sure_is_refused(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        datasets_of(scened(tmp_path, text))


def test_a_file_of_scenes_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: expected a CSV file"):
        read_scenes(tmp_path / "none.csv")
