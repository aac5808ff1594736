"""Crops of pictures: the grids, whose features are whose, and pictures that hold no crop."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from e2r_bench.cli import main
from e2r_metrics import EXTRACTORS, FeatureStore, PictureError, Session, UsageError, resolve
from e2r_metrics.base.pictures import write_png
from e2r_metrics.features import content_key
from e2r_metrics.frechet import frechet_distance
from e2r_metrics.patches import corners, crops
from e2r_metrics.reference_files import read_reference, write_reference
from e2r_metrics.rows.types import Extractor
from e2r_metrics.score import score_folders

METRIC = "patch_fd_effnet"
CROPS = "effnet-lite0-patch64"
SIZES = ((128, 128), (64, 64), (97, 130), (200, 66))
COUNTS = (5, 1, 3, 3)
"""Two by two and one between; one alone; one in two and one between; three in a column."""


class Means(Session):
    """A session whose network is a picture's mean, spread and corner; it counts what it saw."""

    def __init__(self, resolver, store=None):
        super().__init__(resolver, store)
        self.seen = 0

    def missing(self, metric):
        return None

    def _extractor_key(self, row):
        return row.id

    def _extractor(self, row):
        assert row.patch is None, "a network is given pictures, and knows of no crops"

        def extract(pixels):
            self.seen += 1
            found = [*pixels.mean((0, 1)), *pixels.std((0, 1)), *pixels[0, 0]]
            return np.resize(found, row.dimension).astype(np.float32)

        return extract


def picture(seed, height=128, width=128):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def restated(image, side):
    """Return the crops by walking over all places and asking which belong to a grid."""
    found = {0: [], side // 2: []}
    for start, made in found.items():
        for top in range(image.shape[0]):
            for left in range(image.shape[1]):
                down, across = top - start, left - start
                on = down >= 0 and across >= 0 and down % side == 0 and across % side == 0
                if on and top + side <= image.shape[0] and left + side <= image.shape[1]:
                    made.append(image[top : top + side, left : left + side])
    return [*found[0], *found[side // 2]]


@given(st.integers(2, 12), st.integers(0, 30), st.integers(0, 30))
def test_the_grids_are_the_definition(side, more, further):
    image = picture(side, side + more, side + further)
    found, expected = crops(image, side), restated(image, side)
    assert len(found) == len(expected)
    assert all(map(np.array_equal, found, expected))


@given(st.integers(1, 6), st.integers(0, 30), st.integers(0, 30))
def test_the_grids_are_those_of_unfold(half, more, further):
    """As NeuralCompression states them: the second grid where both sides have 1.5 crops."""
    side = 2 * half
    image = picture(side, side + more, side + further)
    planes = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    shifted = [half] if min(image.shape[:2]) >= 1.5 * side else []
    expected = [
        F.unfold(planes[:, :, start:, start:], side, stride=side)
        .permute(0, 2, 1)
        .reshape(-1, 3, side, side)
        .permute(0, 2, 3, 1)
        .numpy()
        for start in [0, *shifted]
    ]
    assert np.array_equal(np.stack(crops(image, side)), np.concatenate(expected))


def test_a_picture_smaller_than_a_crop_is_refused(resolver):
    assert corners(64, 64, 64) == [(0, 0)]
    for size in ((63, 200), (200, 63), (1, 1)):
        with pytest.raises(PictureError, match=f"at least 64x64 .* found {size[1]}x{size[0]}"):
            corners(*size, 64)
        with pytest.raises(PictureError, match="at least 64x64"):
            Means(resolver).features(CROPS, [picture(0, *size)])


def test_crops_have_a_side_and_a_network_that_takes_pictures():
    for row in EXTRACTORS.values():
        if row.patch is not None:
            whole = EXTRACTORS[row.crops_by]
            assert whole.patch is None
            assert (row.dimension, row.weights) == (whole.dimension, whole.weights)
            assert f"{row.patch}x{row.patch}" in row.preprocessing
            assert whole.preprocessing in row.preprocessing
    with pytest.raises(TypeError, match="a side and an extractor"):
        Extractor("x", "effnet", 3, "-", (), patch=64)


def test_a_crop_has_the_features_of_a_picture_of_its_pixels(session, files):
    files("efficientnet-lite0")
    image = picture(0, 97, 130)
    found = session.features(CROPS, [image])
    expected = session.features("effnet-lite0", crops(image, 64))
    assert np.array_equal(found, expected)
    assert np.array_equal(session.features(CROPS, [image / 255.0]), found)


def test_rows_say_whose_they_are_whatever_else_is_asked_for(resolver):
    session = Means(resolver)
    images = [picture(k, *size) for k, size in enumerate(SIZES)]
    together = session.clustered(CROPS, images)
    assert tuple(np.bincount(together.pictures)) == COUNTS
    alone = [session.features(CROPS, [image]) for image in images]
    assert np.array_equal(together.rows, np.concatenate(alone))
    for image, rows in zip(images, alone, strict=True):
        assert np.array_equal(rows, session.features("effnet-lite0", crops(image, 64)))
    back = session.clustered(CROPS, images[::-1])
    assert np.array_equal(back.of([3, 2, 1, 0]).rows, together.rows)
    assert np.array_equal(together.of([2, 0]).pictures, [0, 0, 0, 1, 1, 1, 1, 1])
    whole = session.clustered("effnet-lite0", images)
    assert np.array_equal(whole.pictures, range(4))
    assert session.features(CROPS, []).shape == (0, 1280)


def test_the_store_confuses_no_picture_with_its_crops(resolver, tmp_path):
    store = FeatureStore(tmp_path)
    image = picture(0)
    first = Means(resolver, store)
    whole, parts = first.features("effnet-lite0", [image]), first.features(CROPS, [image])
    assert (first.seen, whole.shape, parts.shape) == (6, (1, 1280), (5, 1280))
    again = Means(resolver, store)
    assert np.array_equal(again.features(CROPS, [image]), parts)
    assert np.array_equal(again.features("effnet-lite0", [image]), whole)
    assert again.seen == 0
    # Planted: what another grid or none would have left under the same key.
    for wrong in (parts[0], parts[:4], parts[:1]):
        store.put(CROPS, content_key(image), wrong)
        assert np.array_equal(Means(resolver, store).features(CROPS, [image]), parts)
    one = picture(1, 64, 64)
    store.put(CROPS, content_key(one), np.ones(1280, np.float32))
    store.put("effnet-lite0", content_key(one), np.ones((1, 1280), np.float32))
    for extractor in (CROPS, "effnet-lite0"):
        assert not np.array_equal(
            Means(resolver, store).features(extractor, [one])[0], np.ones(1280)
        )


def test_keys_differ_by_side_and_grid(resolver):
    session = Session(resolver)
    keys = {session.extractor_key(name) for name in EXTRACTORS}
    assert len(keys) == len(EXTRACTORS)


@pytest.fixture
def folders(tmp_path):
    for k, size in enumerate((*SIZES, (60, 200))):
        clean = picture(k, *size)
        write_png(tmp_path / "clean" / f"{k}.png", clean)
        write_png(tmp_path / "restored" / f"{k}.png", clean // 2 + 40)
    return tmp_path / "restored", tmp_path / "clean"


def test_scoring_counts_every_crop_and_names_what_holds_none(resolver, folders):
    metrics = resolve([METRIC, "fd_effnet", "psnr"])
    scores = score_folders(*folders, metrics, Means(resolver))
    assert list(scores.failed) == [f"4 {METRIC}:lite0-64"]
    assert "at least 64x64" in scores.failed[f"4 {METRIC}:lite0-64"]
    assert [row.n for row in scores.summaries] == [4, 5, 5]
    images = [picture(k, *size) for k, size in enumerate(SIZES)]
    session = Means(resolver)
    expected = frechet_distance(
        session.features("effnet-lite0", [c // 2 + 40 for i in images for c in crops(i, 64)]),
        session.features("effnet-lite0", [c for image in images for c in crops(image, 64)]),
    )
    assert scores.summaries[0].value == pytest.approx(expected, rel=1e-12)
    assert f"; {sum(COUNTS)} crops; " in scores.summaries[0].metric.protocol
    assert "crops" not in scores.summaries[1].metric.protocol
    seen = scores.features[CROPS]
    assert (seen.names, tuple(np.bincount(seen.clean.pictures))) == (("0", "1", "2", "3"), COUNTS)


def test_one_picture_with_many_crops_is_one_picture(resolver, tmp_path):
    for side in ("restored", "clean"):
        write_png(tmp_path / side / "0.png", picture(len(side)))
    (metric,) = resolve([METRIC])
    scores = score_folders(tmp_path / "restored", tmp_path / "clean", [metric], Means(resolver))
    assert scores.unmeasured[metric.id] == "a set metric needs at least two pairs, found 1"


def test_few_crops_are_called_crops(resolver, caplog):
    session, (metric,) = Session(resolver), resolve([METRIC])
    X = np.random.default_rng(0).normal(size=(9, 8))
    session.set_value(metric, X, X + 1)
    assert "9 crops: below 2048" in caplog.text


# A file on the clean side


def test_a_file_of_crops_says_whose_each_row_is(resolver, folders, tmp_path):
    session, (metric,) = Means(resolver), resolve([METRIC])
    seen = score_folders(*folders, [metric], session).features[CROPS]
    write_reference(tmp_path / "k.npz", seen, CROPS, session)
    found = read_reference(tmp_path / "k.npz", None, session)
    assert f"{sum(COUNTS)} crops of 4 pictures, of {CROPS}" in found.words
    found.check(metric)
    with pytest.raises(UsageError, match="expected one extractor"):
        found.check(resolve(["fd_effnet"])[0])
    with np.load(tmp_path / "k.npz") as content:
        assert list(content["names"][:6]) == ["0"] * 5 + ["1"]


@pytest.mark.parametrize("content", [{"mu": np.zeros(1280), "sigma": np.eye(1280)},
                                     {"feats": np.zeros((9, 1280))}])  # fmt: skip
def test_a_file_that_says_nothing_of_its_crops_is_refused(resolver, tmp_path, content):
    np.savez(tmp_path / "m.npz", **content)
    with pytest.raises(UsageError, match="does not say how its pictures were cut into crops"):
        read_reference(tmp_path / "m.npz", CROPS, Means(resolver))
    whole = read_reference(tmp_path / "m.npz", "effnet-lite0", Means(resolver))
    with pytest.raises(UsageError, match="expected one extractor"):
        whole.check(resolve([METRIC])[0])
    with pytest.raises(UsageError, match="does not say what made it") as refused:
        read_reference(tmp_path / "m.npz", None, Means(resolver))
    assert "patch" not in str(refused.value)


def test_the_command_scores_crops_and_their_file_alike(files, folders, tmp_path, capsys):
    files("efficientnet-lite0")
    restored, clean, kept = (str(one) for one in (*folders, tmp_path / "k.npz"))
    end = ("--metrics", METRIC, "--offline", "--format", "json")
    assert main(["score", restored, clean, *end, "--keep-clean", kept]) == 1
    first = json.loads(capsys.readouterr().out)
    assert main(["score", restored, kept, *end]) == 1
    again = json.loads(capsys.readouterr().out)
    assert again["summary"][0]["value"] == first["summary"][0]["value"]
    assert "12 crops of 4 pictures" in again["summary"][0]["protocol"]
    assert list(first["failed"]) == [f"4 {METRIC}:lite0-64"]
    assert "at least 64x64" in again["failed"]["4"]
    assert main(["score", restored, clean, *end, "--crop", "32"]) == 1
    assert (
        "found 0"
        in json.loads(capsys.readouterr().out)["not_measured"][f"{METRIC}:lite0-64"]["reason"]
    )
