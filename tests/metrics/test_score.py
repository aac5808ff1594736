"""Two folders to numbers: pairing, one decode per file, the store, and bad input."""

import json
import math
import multiprocessing
import os

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from e2r_bench.commands.score import command
from e2r_metrics import FeatureStore, Session, UsageError, pair_pixels, resolve
from e2r_metrics import score as scoring
from e2r_metrics.base.pairs import pair_folders
from e2r_metrics.base.pictures import Reading, read_image, read_pixels
from e2r_metrics.features import content_key
from e2r_metrics.parts import Parts
from e2r_metrics.psnr import psnr


def _write(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]))


@pytest.fixture
def folders(tmp_path, photo, noisy):
    """Three pairs of two sizes, written as PNG."""
    for index, sigma in enumerate((5, 15, 30)):
        size = slice(None) if index else slice(0, 150)
        _write(tmp_path / "restored" / f"{index}.png", noisy(sigma)[size])
        _write(tmp_path / "clean" / f"{index}.png", photo[size])
    return tmp_path / "restored", tmp_path / "clean"


def test_values_are_those_of_the_functions(folders, session, photo, noisy):
    metrics = resolve(["psnr", "ssim", "psnr:y"])
    scores = scoring.score_folders(*folders, metrics, session)
    assert [v.image for v in scores.values] == ["0"] * 3 + ["1"] * 3 + ["2"] * 3
    assert scores.values[3].value == psnr(noisy(15), photo)
    summary = scores.summaries[0]
    own = [v.value for v in scores.values if v.metric.id == "psnr:rgb"]
    assert summary.n == 3
    assert summary.value == pytest.approx(np.mean(own))
    # Student's t with two degrees of freedom
    half = 4.302653 * np.std(own, ddof=1) / math.sqrt(3)
    assert summary.high - summary.value == pytest.approx(half, rel=1e-6)


def test_each_file_is_decoded_once(folders, session, monkeypatch):
    seen = []
    monkeypatch.setattr(
        pair_pixels, "read_pixels", lambda path, how: seen.append(path) or read_pixels(path, how)
    )
    scoring.score_folders(*folders, resolve(["psnr", "ssim", "ssim:y", "psnr:y"]), session)
    assert sorted(seen) == sorted([*folders[0].iterdir(), *folders[1].iterdir()])


class _Counting(Session):
    """A session whose extractor is the mean colour, and counts."""

    count = 0

    def _extractor(self, row):
        def extract(pixels):
            self.count += 1
            return np.resize(pixels.mean((0, 1)), row.dimension).astype(np.float32)

        return extract

    def missing(self, metric):
        return None

    def _extractor_key(self, row):
        return row.id


def test_ground_truth_is_extracted_once_ever(folders, resolver, tmp_path, noisy):
    store = FeatureStore(tmp_path / "store")
    metrics = resolve(["fd_effnet", "mmd_effnet", "mmd_effnet:u"])
    first = _Counting(resolver, store)
    scoring.score_folders(*folders, metrics, first)
    assert first.count == 5, "two of the six files hold the same pixels"
    for index in range(3):
        path = tmp_path / "second" / f"{index}.png"
        _write(path, np.flipud(read_image(folders[0] / f"{index}.png")))
    second = _Counting(resolver, store)
    scoring.score_folders(tmp_path / "second", folders[1], metrics, second)
    assert second.count == 3, "the second method costs no ground-truth extraction"
    again = _Counting(resolver, store)
    scoring.score_folders(*folders, metrics, again)
    assert again.count == 0


def test_features_are_keyed_by_pixels_not_by_names(tmp_path, photo):
    _write(tmp_path / "a.png", photo)
    _write(tmp_path / "other" / "b.bmp", photo)
    keys = {content_key(read_image(p)) for p in (tmp_path / "a.png", tmp_path / "other" / "b.bmp")}
    assert keys == {content_key(photo)}
    assert content_key(photo.reshape(1, -1, 3)) != content_key(photo)


def test_a_damaged_vector_is_computed_again(tmp_path):
    store = FeatureStore(tmp_path)
    vector = np.arange(4, dtype=np.float32)
    store.put("e", "abc", vector)
    assert np.array_equal(store.get("e", "abc"), vector)
    path = next(tmp_path.rglob("*.npy"))
    path.write_bytes(path.read_bytes()[:-3])
    assert store.get("e", "abc") is None


def _fill(folder):
    store = FeatureStore(folder)
    for index in range(200):
        vector = np.full(64, index % 20, np.float32)
        store.put("e", f"{index % 20:02d}", vector)
        found = store.get("e", f"{(index * 7) % 20:02d}")
        if found is not None and len(set(found.tolist())) != 1:
            os._exit(1)


def test_two_processes_may_write_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    with pytest.MonkeyPatch.context():
        workers = [context.Process(target=_fill, args=(tmp_path,)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert not list(tmp_path.rglob(".*"))


def test_files_without_partner_are_all_named(folders, photo):
    restored, clean = folders
    _write(restored / "extra.png", photo)
    _write(clean / "alone.png", photo)
    with pytest.raises(UsageError, match=r"none for 2: .*extra\.png.*alone\.png"):
        pair_folders(restored, clean)


def test_pairing_is_by_name_and_knows_sots(tmp_path, photo):
    for name in ("10", "9", "0001_0.8_0.2", "0001_0.9_0.1"):
        _write(tmp_path / "r" / f"{name}.jpg", photo)
    for name in ("10", "9", "0001"):
        _write(tmp_path / "c" / f"{name}.png", photo)
    pairs = {p.first.name: p.clean.name for p in pair_folders(tmp_path / "r", tmp_path / "c")}
    assert pairs == {
        "10.jpg": "10.png", "9.jpg": "9.png",
        "0001_0.8_0.2.jpg": "0001.png", "0001_0.9_0.1.jpg": "0001.png",
    }  # fmt: skip


def test_two_files_of_one_name_are_refused(folders, photo):
    _write(folders[0] / "0.jpg", photo)
    with pytest.raises(UsageError, match="have one name"):
        pair_folders(*folders)


def test_one_pictures_fault_is_recorded_by_name_and_the_rest_goes_on(folders, session, photo):
    before = scoring.score_folders(*folders, resolve(["psnr"]), session)
    _write(folders[0] / "2.png", photo[:-1])
    (folders[1] / "0.png").write_bytes((folders[1] / "0.png").read_bytes()[:500])
    scores = scoring.score_folders(*folders, resolve(["psnr"]), session)
    assert set(scores.failed) == {"0", "2"}
    assert "cut off" in scores.failed["0"]
    assert "one size, found 208x191 and 208x192" in scores.failed["2"]
    assert [(v.image, v.value) for v in scores.values] == [("1", before.values[1].value)]
    assert scores.summaries[0].n == 1


def test_a_picture_too_small_for_one_metric_fails_that_one_alone(folders, session, photo):
    _write(folders[0] / "small.png", photo[:9, :9])
    _write(folders[1] / "small.png", photo[:9, :9])
    scores = scoring.score_folders(*folders, resolve(["psnr", "ssim"]), session)
    assert list(scores.failed) == ["small ssim:gauss"]
    assert {row.metric.id: row.n for row in scores.summaries} == {"psnr:rgb": 4, "ssim:gauss": 3}


def test_a_set_metric_of_one_pair_is_not_measured_and_the_others_are(folders, resolver, photo):
    for folder in folders:
        for name in ("1", "2"):
            (folder / f"{name}.png").unlink()
    metrics = resolve(["psnr", "fd_effnet"])
    scores = scoring.score_folders(*folders, metrics, _Counting(resolver))
    assert [row.metric.id for row in scores.summaries] == ["psnr:rgb"]
    assert "at least two pairs, found 1" in scores.unmeasured["fd_effnet:lite0"]


def test_deep_pictures_are_scored_at_their_depth(folders, session, photo):
    restored, clean = folders
    eight = scoring.score_folders(restored, clean, resolve(["psnr", "ssim"]), session)
    for path in sorted(restored.iterdir()):
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 257)
    deep = scoring.score_folders(restored, clean, resolve(["psnr", "ssim"]), session)
    assert not deep.failed
    for one, two in zip(eight.values, deep.values, strict=True):
        assert two.value == pytest.approx(one.value, abs=2e-5)


def test_floats_are_scored_by_their_declared_range(folders, session):
    restored, clean = folders
    eight = scoring.score_folders(restored, clean, resolve(["psnr"]), session)
    for path in sorted(restored.iterdir()):
        pixels = cv2.imread(str(path)).astype(np.float32) / 255
        # OpenCV before 5 packs colours in floats as logarithms unless it is told not to.
        plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
        cv2.imwrite(str(path.with_suffix(".tif")), pixels, plain)
        path.unlink()
    unsaid = scoring.score_folders(restored, clean, resolve(["psnr"]), session)
    assert set(unsaid.failed) == {"0", "1", "2"}
    assert unsaid.unmeasured == {"psnr:rgb": "every picture failed"}
    said = scoring.score_folders(restored, clean, resolve(["psnr"]), session, Parts(Reading(1.0)))
    for one, two in zip(eight.values, said.values, strict=True):
        assert two.value == pytest.approx(one.value, abs=2e-5)


def test_a_store_that_cannot_be_written_ends_nothing(folders, resolver, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    session = _Counting(resolver, FeatureStore(tmp_path / "file"))
    scores = scoring.score_folders(*folders, resolve(["fd_effnet"]), session)
    assert len(scores.summaries) == 1
    assert caplog.text.count("features are computed anew each time") == 1


def test_readers_agree_with_pillow(tmp_path, photo):
    from PIL import Image

    Image.fromarray(photo).save(tmp_path / "rgb.png")
    Image.fromarray(photo[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(photo).quantize(64).save(tmp_path / "palette.png")
    Image.fromarray(photo).quantize(64).save(tmp_path / "palette.gif")
    Image.fromarray(photo).save(tmp_path / "rgb.bmp")
    Image.fromarray(np.dstack([photo, np.full(photo.shape[:2], 255, np.uint8)])).save(
        tmp_path / "opaque.png"
    )
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            assert np.array_equal(read_image(path), np.array(picture.convert("RGB"))), path.name


def test_command_json_and_parquet(folders, tmp_path):
    arguments = [*map(str, folders), "--metrics", "psnr,cmmd", "--variant", "psnr=y", "--offline"]
    done = CliRunner().invoke(command, [*arguments, "--format", "json"], catch_exceptions=False)
    content = json.loads(done.stdout)
    assert [(row["metric"], row["variant"], row["n"]) for row in content["summary"]] == [
        ("psnr", "y", 3)
    ]
    assert content["not_measured"]["cmmd:v"]["fetch"] == "e2r-bench weights fetch clip-vit-l-14-336"
    out = tmp_path / "scores.parquet"
    CliRunner().invoke(
        command, [*arguments, "--format", "parquet", "--out", str(out)], catch_exceptions=False
    )
    frame = pd.read_parquet(out)
    assert frame.value.tolist() == [row["value"] for row in content["values"]]
    assert frame.protocol.str.startswith("psnr:y v").all()


def test_command_identical_pictures_are_valid_json(folders):
    arguments = [str(folders[1]), str(folders[1]), "--metrics", "psnr", "--format", "json"]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert json.loads(done.stdout)["summary"][0]["value"] == "inf"


def test_command_table_and_csv(folders):
    arguments = [*map(str, folders), "--metrics", "psnr,cmmd", "--offline"]
    table = CliRunner().invoke(command, arguments, catch_exceptions=False).stdout
    assert "not measured" in table
    assert "psnr:rgb v" in table
    text = CliRunner().invoke(command, [*arguments, "--format", "csv"], catch_exceptions=False)
    assert text.stdout.splitlines()[0] == "image,metric,variant,value,n,protocol"
    assert len(text.stdout.splitlines()) == 4


def test_command_usage():
    done = CliRunner().invoke(command, ["a", "b", "--variant", "psnr"])
    assert done.exit_code == 2
    with pytest.raises(UsageError, match="did you mean 'psnr'"):
        CliRunner().invoke(command, ["a", "b", "--metrics", "psrn"], catch_exceptions=False)


@pytest.mark.data
def test_rain100l_input_published(shared_data, session):
    folder = shared_data / "rain100l" / "test"
    metrics = resolve(["psnr:y", "ssim:y"])
    scores = scoring.score_folders(folder / "input", folder / "target", metrics, session)
    values = {row.metric.id: row.value for row in scores.summaries}
    assert scores.summaries[0].n == 100
    assert values["psnr:y"] == pytest.approx(26.90, abs=0.005)
    assert values["ssim:y"] == pytest.approx(0.838, abs=0.0005)
