"""Which pairs are chosen, what is recorded of them, and what is refused."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from e2r_adapters.train import PAINTED, TrainConfig
from e2r_adapters.train.pictures import content_hash, painted_pair, read_pair, squared
from e2r_adapters.train.profiles import PROFILES
from e2r_adapters.train.selection import choose, hash_of, record, select
from e2r_baselines.procedural import dead_leaves
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pairs import Matching
from e2r_metrics.base.pairs import Pair as Files
from e2r_metrics.base.pictures import AS_STORED, Reading

NANO = dataclasses.replace(PROFILES["nano"], painted=64)


def scene(index, side=160):
    clean, _ = dead_leaves(np.random.default_rng(index), side)
    return np.rint(clean * 255).astype(np.uint8)


def write_set(folder, count, offset=0, names=("clean", "degraded")):
    for name in names:
        (folder / name).mkdir(parents=True)
    for index in range(count):
        clean = scene(index + offset)
        noise = np.random.default_rng(index).normal(0, 5, clean.shape)
        hurt = np.clip(clean + noise, 0, 255).astype(np.uint8)
        Image.fromarray(clean).save(folder / names[0] / f"{index:02d}.png")
        Image.fromarray(hurt).save(folder / names[1] / f"{index:02d}.png")
    return folder


def selected(data, pairs=2, task="derain", **fields):
    folders = {} if data is None else {task: data}
    config = TrainConfig(Path("out"), NANO, (task,), pairs, data=folders, **fields)
    return select(config)


def test_smaller_choice_is_part_of_larger_and_the_seed_decides():
    large = choose(200, 128, seed=3, task="derain")
    assert len(set(large)) == 128
    for count in (16, 32, 64):
        assert choose(200, count, seed=3, task="derain") == large[:count]
    assert choose(200, 16, seed=4, task="derain") != large[:16]
    assert choose(200, 16, seed=3, task="dehaze") != large[:16]
    with pytest.raises(UsageError, match="at least 17 pairs to choose from, found 16"):
        choose(16, 17, seed=0, task="derain")


def test_selection_from_folders_is_recorded_by_content(tmp_path):
    folder = write_set(tmp_path / "rain", 4)
    first = selected(folder)
    again = selected(folder)
    assert [pair.key for pair in first.pairs] == [pair.key for pair in again.pairs]
    told = record(first)
    assert [entry["sha256"] for entry in told["pairs"]] == [
        content_hash(pair.clean, pair.degraded) for pair in first.pairs
    ]
    assert str(tmp_path) not in str(told)
    changed = first.pairs[0].files[1]
    Image.fromarray(scene(99)).save(changed)
    assert hash_of(selected(folder)) != hash_of(first)


LAYOUTS = {
    "input and target": (("target", "{}.png"), ("input", "{}.png")),
    "any case": (("GT", "{}.png"), ("LQ", "{}.png")),
    "rain100l": (("norain", "norain-{}.png"), ("rain", "rain-{}.png")),
    "endings": (("hr", "{}_HR.png"), ("lr", "{}_LR.png")),
    "scene": (("clear", "{}.png"), ("hazy", "{}_0.8_0.2.png")),
    "upper-case suffix": (("clean", "{}.PNG"), ("degraded", "{}.png")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_that_runs_read_is_trained_on(tmp_path, layout):
    for index in range(3):
        for (folder, name), shift in zip(LAYOUTS[layout], (0, 1), strict=True):
            path = tmp_path / "set" / folder / name.format(index)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((64, 64, 3), 40 * index + shift, np.uint8)).save(path)
    chosen = selected(tmp_path / "set", 3)
    assert {int(pair.clean[0, 0, 0]) for pair in chosen.pairs} == {0, 40, 80}
    assert all(pair.degraded[0, 0, 0] == pair.clean[0, 0, 0] + 1 for pair in chosen.pairs)
    assert chosen.sources == {"derain": "pairs of set"}


def test_sequences_are_searched_when_asked(tmp_path):
    for part in ("a", "b"):
        write_set(tmp_path / "video" / part, 2, names=("sharp", "blur"))
    with pytest.raises(UsageError, match="expected two folders of pairs"):
        selected(tmp_path / "video")
    chosen = selected(tmp_path / "video", 4, matching=Matching(recursive=True))
    assert {pair.name for pair in chosen.pairs} == {"a/00", "a/01", "b/00", "b/01"}


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3)])
def test_sixteen_bits_are_what_they_say_and_not_white(tmp_path, shape):
    rng = np.random.default_rng(0)
    eight = rng.integers(0, 256, shape, dtype=np.uint8)
    for side in ("clean", "degraded"):
        (tmp_path / side).mkdir()
        assert cv2.imwrite(str(tmp_path / side / "a.png"), eight.astype(np.uint16) * 257)
    (pair,) = selected(tmp_path, 1).pairs
    expected = eight[..., ::-1] if eight.ndim == 3 else np.stack([eight] * 3, -1)
    np.testing.assert_array_equal(pair.clean, expected)


def test_alpha_has_one_rule(tmp_path):
    for side in ("clean", "degraded"):
        (tmp_path / side).mkdir()
        pixels = np.full((64, 64, 4), 255, np.uint8)
        pixels[..., :3], pixels[:32, :, 3] = 100, 128 if side == "degraded" else 255
        Image.fromarray(pixels).save(tmp_path / side / "a.png")
    with pytest.raises(UsageError, match=r"degraded/a\.png: expected an opaque picture"):
        selected(tmp_path, 1)
    (pair,) = selected(tmp_path, 1, reading=Reading(flatten=(255, 255, 255))).pairs
    assert pair.clean[0, 0, 0] == pair.degraded[40, 0, 0] == 100
    assert pair.degraded[0, 0, 0] == 177  # 100 * 128/255 + 255 * 127/255


@pytest.mark.parametrize("nested", [False, True])
def test_denoise_takes_clean_pictures_and_names_the_noise(tmp_path, nested):
    folder = tmp_path / "bsd"
    for index in range(6):
        path = folder / (f"part{index % 2}" if nested else "") / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((96, 96, 3), 128, np.uint8)).save(path)
    matching = Matching(recursive=nested)
    chosen = selected(folder, 6, "denoise", matching=matching)
    assert chosen.sources == {"denoise": "noise painted on bsd"}
    spread = [float((p.degraded.astype(float) - p.clean).std()) for p in chosen.pairs]
    assert spread == pytest.approx([15, 25, 50] * 2, rel=0.08)
    assert len({pair.key for pair in chosen.pairs}) == 6
    again = selected(folder, 3, "denoise", matching=matching)
    assert [pair.key for pair in again.pairs] == [pair.key for pair in chosen.pairs[:3]]
    other = selected(folder, 6, "denoise", matching=matching, pairs_seed=1)
    assert not {pair.key for pair in other.pairs} & {pair.key for pair in chosen.pairs}
    with pytest.raises(UsageError, match="expected two folders of pairs"):
        selected(folder, 6, "derain", matching=matching)
    (one, *_) = selected(folder, 1, "denoise25", matching=matching).pairs
    assert (one.degraded.astype(float) - one.clean).std() == pytest.approx(25, rel=0.08)


def test_painted_pictures_may_be_asked_for_by_name():
    by_name, unasked = selected(PAINTED), selected(None)
    assert [pair.key for pair in by_name.pairs] == [pair.key for pair in unasked.pairs]
    assert by_name.sources == {"derain": "painted"}


def test_bad_pairs_are_one_clear_line(tmp_path):
    folder = write_set(tmp_path / "a", 3)
    (folder / "degraded" / "01.png").unlink()
    with pytest.raises(UsageError, match=r"expected a partner of the same name.*clean/01\.png"):
        selected(folder)
    with pytest.raises(UsageError, match="nowhere: expected a folder of pairs for derain"):
        selected(tmp_path / "nowhere")
    small, large = tmp_path / "s.png", tmp_path / "l.png"
    Image.fromarray(scene(0, 64)).save(small)
    Image.fromarray(scene(0, 80)).save(large)
    with pytest.raises(UsageError, match=r"s\.png: expected the size of .*80x80 and 64x64"):
        read_pair("derain", Files("s", small, large), AS_STORED)
    small.write_bytes(small.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"s\.png: expected a whole image file"):
        read_pair("derain", Files("s", small, large), AS_STORED)


@pytest.mark.parametrize("data", ["painted", "pairs"])
def test_a_folder_of_tests_that_is_not_there_is_refused(tmp_path, data):
    folder = PAINTED if data == "painted" else write_set(tmp_path / "train", 2)
    with pytest.raises(UsageError, match=r"--test .*nowhere: expected a folder of test"):
        selected(folder, test=(tmp_path / "nowhere",))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="expected test pictures, found none"):
        selected(folder, test=(tmp_path / "empty",))


@pytest.mark.parametrize("how", ["same file", "other coding", "crop"])
def test_a_training_picture_in_the_test_set_is_refused_or_recorded(tmp_path, how):
    folder = write_set(tmp_path / "train", 2)
    tests = tmp_path / "test" / "deep"
    tests.mkdir(parents=True)
    Image.fromarray(scene(500)).save(tests / "other.png")
    if how == "same file":
        Image.fromarray(scene(1)).save(tests / "leak.png")
    elif how == "other coding":
        Image.fromarray(scene(1)).save(tests / "leak.jpg", quality=80)
    else:
        Image.fromarray(scene(1)[8:152, 8:152]).save(tests / "leak.png")
    with pytest.raises(UsageError, match=r"training pictures also stand in the test set.*leak"):
        selected(folder, test=(tmp_path / "test",))
    allowed = selected(folder, test=(tmp_path / "test",), allow_overlap=True)
    assert {o.test.stem for o in allowed.overlaps} == {"leak"}
    assert {entry["train"] for entry in record(allowed)["overlaps"]} == {"01.png"}


def test_training_pictures_in_the_test_set_are_left_out_and_recorded(tmp_path):
    folder = write_set(tmp_path / "train", 4)
    tests = tmp_path / "test"
    tests.mkdir()
    Image.fromarray(scene(2)).save(tests / "leak.png")
    found = selected(folder, pairs=3, test=(tests,), drop_overlap=True)
    assert not found.overlaps
    assert sorted(pair.name for pair in found.pairs) == ["00", "01", "03"]
    assert record(found)["dropped"] == [
        {"train": "02.png", "test": "leak.png", "kind": "identical"}
    ]
    assert found.sources["derain"].endswith(", without 1 that stand in a test set")
    with pytest.raises(UsageError, match="at least 4 pairs to choose from, found 3"):
        selected(folder, pairs=4, test=(tests,), drop_overlap=True)
    # What is left is drawn as from a folder that never had it.
    for side in ("clean", "degraded"):
        (folder / side / "02.png").unlink()
    alone = selected(folder, pairs=3, test=(tests,), drop_overlap=True)
    assert hash_of(alone) == hash_of(found)
    assert alone.dropped == ()


@pytest.mark.parametrize(("task", "what"), [("dehaze", "haze"), ("denoise", "noise")])
def test_clean_pictures_are_degraded_for_noise_and_haze(tmp_path, task, what):
    clean = write_set(tmp_path / "train", 3) / "clean"
    first, again = (selected(clean, task=task) for _ in range(2))
    assert hash_of(first) == hash_of(again)
    assert first.sources == {task: f"{what} painted on clean"}
    for pair in first.pairs:
        assert pair.degraded.shape == pair.clean.shape
        assert not np.array_equal(pair.degraded, pair.clean)
    hashes = {hash_of(selected(clean, task=task, pairs_seed=seed)) for seed in range(3)}
    assert len(hashes) == 3


def test_clean_pictures_are_no_training_set_for_rain(tmp_path):
    clean = write_set(tmp_path / "train", 3) / "clean"
    with pytest.raises(UsageError, match="expected two folders of pairs"):
        selected(clean, task="derain")


def test_unrelated_test_pictures_pass(tmp_path):
    folder = write_set(tmp_path / "train", 2)
    tests = write_set(tmp_path / "test", 3, offset=40)
    assert selected(folder, test=(tests,)).overlaps == ()


def test_painted_pairs_are_a_function_of_seed_task_and_index():
    pair = painted_pair("denoise", seed=1, index=2, side=64)
    assert painted_pair("denoise", 1, 2, 64).key == pair.key
    others = [("denoise", 2, 2), ("denoise", 1, 3), ("derain", 1, 2)]
    assert pair.key not in {painted_pair(*names, side=64).key for names in others}
    assert pair.clean.dtype == np.uint8
    assert pair.clean.shape == pair.degraded.shape == (64, 64, 3)


def test_bare_denoise_cycles_through_the_three_sigmas():
    found = []
    for index in range(3):
        pair = painted_pair("denoise", seed=5, index=index, side=128)
        inside = (pair.clean > 80) & (pair.clean < 175)  # where clipping does not bite
        found.append((pair.degraded.astype(float) - pair.clean)[inside].std())
    assert found == pytest.approx([15, 25, 50], rel=0.12)


def test_squaring_keeps_the_two_pictures_aligned():
    pair = painted_pair("derain", seed=0, index=0, side=96)
    twin = type(pair)(pair.task, pair.name, pair.key, pair.clean, pair.clean)
    for fit in ("crop", "squash"):
        clean, degraded = squared(twin, 32, fit)
        assert clean.shape == (32, 32, 3)
        np.testing.assert_array_equal(clean, degraded)
    with pytest.raises(UsageError, match="at least 128x128 pixels to crop, found 96x96"):
        squared(pair, 128, "crop")
