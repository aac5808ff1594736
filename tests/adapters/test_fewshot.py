"""Which pairs are chosen, what is recorded of them, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from e2r_adapters.dataset import content_hash, list_pairs, painted_pair, read_pair, squared
from e2r_adapters.fewshot import choose, hash_of, record, select
from e2r_baselines.procedural import dead_leaves
from e2r_metrics.base.errors import UsageError


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
    first = select(["derain"], 2, 0, {"derain": folder}, 64)
    again = select(["derain"], 2, 0, {"derain": folder}, 64)
    assert [pair.key for pair in first.pairs] == [pair.key for pair in again.pairs]
    told = record(first)
    assert [entry["sha256"] for entry in told["pairs"]] == [
        content_hash(pair.clean, pair.degraded) for pair in first.pairs
    ]
    assert str(tmp_path) not in str(told)
    changed = first.pairs[0].files[1]
    Image.fromarray(scene(99)).save(changed)
    assert hash_of(select(["derain"], 2, 0, {"derain": folder}, 64)) != hash_of(first)


def test_input_and_target_folders_pair_by_name(tmp_path):
    folder = write_set(tmp_path / "r", 2, names=("target", "input"))
    assert [(c.parent.name, d.parent.name) for c, d in list_pairs(folder)] == [
        ("target", "input"),
        ("target", "input"),
    ]


def test_bad_pairs_are_one_clear_line(tmp_path):
    folder = write_set(tmp_path / "a", 3)
    (folder / "degraded" / "01.png").unlink()
    with pytest.raises(UsageError, match=r"01\.png: no partner of the same name; 1 such"):
        list_pairs(folder)
    with pytest.raises(UsageError, match="expected folders clean/ and degraded/"):
        list_pairs(tmp_path / "nowhere")
    small, large = tmp_path / "s.png", tmp_path / "l.png"
    Image.fromarray(scene(0, 64)).save(small)
    Image.fromarray(scene(0, 80)).save(large)
    with pytest.raises(UsageError, match=r"s\.png: expected the size of .*80x80 and 64x64"):
        read_pair("derain", large, small)
    small.write_bytes(small.read_bytes()[:200])
    with pytest.raises(UsageError, match=r"s\.png: expected a whole image file"):
        read_pair("derain", large, small)


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
        select(["derain"], 2, 0, {"derain": folder}, 64, [tmp_path / "test"])
    allowed = select(
        ["derain"], 2, 0, {"derain": folder}, 64, [tmp_path / "test"], allow_overlap=True
    )
    assert {o.test.stem for o in allowed.overlaps} == {"leak"}
    assert {entry["train"] for entry in record(allowed)["overlaps"]} == {"01.png"}


def test_unrelated_test_pictures_pass(tmp_path):
    folder = write_set(tmp_path / "train", 2)
    tests = write_set(tmp_path / "test", 3, offset=40)
    assert select(["derain"], 2, 0, {"derain": folder}, 64, [tests]).overlaps == ()


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
