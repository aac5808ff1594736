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
from e2r_metrics import FeatureStore, Session, UsageError, resolve
from e2r_metrics import score as scoring
from e2r_metrics.base.pairs import pair_folders
from e2r_metrics.base.pictures import read_image
from e2r_metrics.features import content_key
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
    monkeypatch.setattr(scoring, "read_image", lambda path: seen.append(path) or read_image(path))
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
    with pytest.raises(UsageError, match=r"2 files .*extra\.png.*alone\.png"):
        pair_folders(restored, clean)


def test_pairing_is_by_name_and_knows_sots(tmp_path, photo):
    for name in ("10", "9", "0001_0.8_0.2", "0001_0.9_0.1"):
        _write(tmp_path / "r" / f"{name}.jpg", photo)
    for name in ("10", "9", "0001"):
        _write(tmp_path / "c" / f"{name}.png", photo)
    pairs = {p.restored.name: p.clean.name for p in pair_folders(tmp_path / "r", tmp_path / "c")}
    assert pairs == {
        "10.jpg": "10.png", "9.jpg": "9.png",
        "0001_0.8_0.2.jpg": "0001.png", "0001_0.9_0.1.jpg": "0001.png",
    }  # fmt: skip


def test_two_files_of_one_name_are_refused(folders, photo):
    _write(folders[0] / "0.jpg", photo)
    with pytest.raises(UsageError, match="have one name"):
        pair_folders(*folders)


def test_unequal_sizes_are_refused(folders, session, photo):
    _write(folders[0] / "2.png", photo[:-1])
    with pytest.raises(UsageError, match=r"2: expected .* one size, found 208x191 and 208x192"):
        scoring.score_folders(*folders, resolve(["psnr"]), session)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_cut_file_is_refused(tmp_path, photo, suffix):
    path = tmp_path / f"a{suffix}"
    _write(path, photo)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UsageError, match="cut off"):
        read_image(path)


def test_what_is_not_8_bit_rgb_is_refused(tmp_path, photo):
    cv2.imwrite(str(tmp_path / "16.png"), photo.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([photo, photo[..., :1] // 2]))
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").touch()
    for name, match in (("16", "8 bits"), ("alpha", "transparency"), ("text", "expected an image"),
                        ("empty", "expected an image"), ("absent", "cannot be read")):  # fmt: skip
        with pytest.raises(UsageError, match=match):
            read_image(tmp_path / f"{name}.png")


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
