"""What differs from epoch to epoch, and that both pictures of a pair are moved alike."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from e2r_adapters.editors.kontext import KONTEXT
from e2r_adapters.train import TrainConfig, feed, record_of, select
from e2r_adapters.train.geometry import Geometry, draw_geometry, moved
from e2r_adapters.train.latents import Memory
from e2r_adapters.train.pictures import Pair, content_hash
from e2r_adapters.train.profiles import PROFILES
from e2r_adapters.train.ready import make_ready
from e2r_adapters.train.variation import UNVARIED, Variation, check_variation, wording
from e2r_adapters.train.views import Place, draw_view
from e2r_metrics.base.errors import UsageError

NANO = dataclasses.replace(PROFILES["nano"], resolution=16)
augmentations = st.sets(st.sampled_from(["crop", "flip", "turn"]), min_size=1)


def pair_of(clean, degraded, name="a"):
    return Pair("denoise", name, content_hash(clean, degraded), clean, degraded)


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(16, 45),
    width=st.integers(16, 45),
    augment=augmentations,
    seed=st.integers(0, 5),
    index=st.integers(0, 50),
    data=st.data(),
)
def test_a_marker_in_both_pictures_stays_on_one_place(height, width, augment, seed, index, data):
    """At sizes that are no multiple of 8 or 32 too, where trainers shift one of the two."""
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    clean, degraded = (np.zeros((height, width, 3), np.uint8) for _ in range(2))
    clean[row, column], degraded[row, column] = (255, 0, 9), (7, 255, 0)
    variation = Variation(augment=tuple(augment))
    view = draw_view(pair_of(clean, degraded), Place(index, 0, 16), NANO, variation, seed)
    assert view.clean.shape == view.degraded.shape == (16, 16, 3)
    np.testing.assert_array_equal(view.clean.any(2), view.degraded.any(2))
    assert view.clean.any(2).sum() <= 1
    if view.clean.any():
        (place,) = np.argwhere(view.clean.any(2))
        assert tuple(view.clean[tuple(place)]) == (255, 0, 9)
        assert tuple(view.degraded[tuple(place)]) == (7, 255, 0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 99), side=st.integers(1, 9), extra=st.integers(0, 8))
def test_a_geometry_is_a_window_a_mirror_and_quarter_turns(seed, side, extra):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (side + extra, side + 2 * extra, 3), dtype=np.uint8)
    how = draw_geometry(picture.shape[:2], side, {"flip", "turn"}, rng)
    found = moved(picture, how)
    window = picture[how.top : how.top + side, how.left : how.left + side]
    sources = np.indices((side, side))
    if how.mirrored:
        sources[1] = side - 1 - sources[1]
    for _ in range(how.turns):
        # Counter-clockwise: what was in the last column comes to the first row.
        sources = np.stack([s.T[::-1] for s in sources])
    np.testing.assert_array_equal(found, window[sources[0], sources[1]])


def test_every_augmentation_is_drawn_and_only_what_is_asked_for():
    drawn = [
        draw_geometry((20, 20), 16, {"flip", "turn"}, np.random.default_rng(i)) for i in range(200)
    ]
    assert {(one.mirrored, one.turns) for one in drawn} == {
        (mirrored, turns) for mirrored in (False, True) for turns in range(4)
    }
    assert {one.top for one in drawn} == set(range(5))
    plain = [draw_geometry((16, 16), 16, (), np.random.default_rng(i)) for i in range(9)]
    assert set(plain) == {Geometry(0, 0, 16)}


def scene(seed=0, side=40):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def test_draws_depend_on_seed_epoch_and_sample_alone():
    one, other = pair_of(scene(), scene()), pair_of(scene(), scene(), "b")
    variation = Variation(augment=("crop",), degrade="mixed")

    def shown(pair=one, index=3, variant=2, seed=1):
        return draw_view(pair, Place(index, variant, 16), NANO, variation, seed)

    first = shown()
    assert first.key == shown().key == content_hash(first.clean, first.degraded)
    for changed in (
        shown(index=4), shown(variant=3), shown(seed=2), shown(other),
    ):  # fmt: skip
        assert not np.array_equal(changed.degraded, first.degraded)
    # The window goes by seed, epoch and index, the degradation by the sample too.
    np.testing.assert_array_equal(shown(other).clean, first.clean)


def test_an_unvaried_view_is_the_pair_as_it_was():
    one = pair_of(scene(), scene(1))
    views = [draw_view(one, Place(i, 0, 16), NANO, UNVARIED, seed) for i, seed in ((0, 1), (5, 2))]
    assert {view.key for view in views} == {one.key}
    np.testing.assert_array_equal(views[0].clean, views[1].clean)
    with pytest.raises(UsageError, match="at least 64x64 pixels to crop, found 40x40"):
        draw_view(one, Place(0, 0, 64), NANO, Variation(augment=("crop",)), 0)


def test_stages_and_variants_are_functions_of_the_epoch():
    staged = Variation(curriculum=((0, 16), (3, 32)))
    assert [staged.side(epoch, 64) for epoch in range(5)] == [16, 16, 16, 32, 32]
    assert staged.sides(5, 64) == [16, 32]
    assert UNVARIED.sides(5, 64) == [64]
    drawn = Variation(augment=("flip",))
    assert [drawn.variant(epoch) for epoch in range(4)] == [0, 1, 2, 3]
    held = dataclasses.replace(drawn, variants=2)
    assert [held.variant(epoch) for epoch in range(4)] == [0, 1, 0, 1]
    assert (drawn.live, held.live, staged.live) == (True, False, False)


@pytest.mark.parametrize(
    ("variation", "said"),
    [
        (Variation(augment=("flop",)), "unknown augmentation 'flop': did you mean 'flip'"),
        (Variation(degrade="bsrgn"), "did you mean 'bsrgan'"),
        (Variation(variants=2), "--variants 2: expected --augment or --degrade"),
        (Variation(prompts={"derain": ("a",)}), "--prompts: 'derain' is not trained"),
        (Variation(curriculum=((1, 16),)), "expected a stage for epoch 0 first.*found 1"),
        (Variation(curriculum=((0, 16), (0, 32))), "expected epochs that rise, found 0 twice"),
        (Variation(curriculum=((0, 16), (3, 32), (2, 64))), "that rise, found 2 after 3"),
        (Variation(curriculum=((0, 16), (4, 32))), "begin before epoch 4"),
    ],
)
def test_a_variation_that_cannot_be_shown_is_refused(variation, said):
    with pytest.raises(UsageError, match=said):
        check_variation(variation, ("denoise",), 4)


def test_all_wordings_are_drawn_evenly_by_seed_epoch_and_index():
    pool = ("a", "b", "c")
    drawn = [wording(pool, 1, epoch, index) for epoch in range(30) for index in range(20)]
    assert all(150 < drawn.count(text) < 250 for text in pool)
    again = [wording(pool, 1, epoch, index) for epoch in range(30) for index in range(20)]
    assert drawn == again
    assert drawn != [wording(pool, 2, epoch, index) for epoch in range(30) for index in range(20)]


def fed(pipe, config, variation, pairs=2):
    chosen = select(dataclasses.replace(config, variation=variation, pairs=pairs)).pairs
    show = feed.Show(config.profile, variation, seed=1)
    return feed.make_feed(KONTEXT.open(pipe), chosen, show, Memory())


VARIED = Variation(
    augment=("crop", "turn"), degrade="mixed-neutral", prompts={"denoise": ("clean it", "denoise")}
)


def test_what_is_encoded_before_is_what_is_encoded_when_shown(tiny_pipe, config):
    live = fed(tiny_pipe, config, VARIED)
    held = fed(tiny_pipe, config, dataclasses.replace(VARIED, variants=2))
    assert not live.keys
    # 16 samples, 2 draws of each, and the same two epochs.
    assert len(held.keys) == len(set(held.keys.values())) == 32
    editor = KONTEXT.open(tiny_pipe)
    for step in range(8):
        one, other = (feed.draw(step, 0, 1, editor) for feed in (live, held))
        for name in ("clean", "noise"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        for name in ("tokens", "states"):
            first, second = (getattr(batch.conditioning, name) for batch in (one, other))
            assert torch.equal(first, second)


def test_processes_share_a_varied_batch_without_changing_it(tiny_pipe, config):
    live, editor = fed(tiny_pipe, config, VARIED), KONTEXT.open(tiny_pipe)
    whole = live.draw(3, 0, 1, editor)
    for rank in range(2):
        half = live.draw(3, rank, 2, editor)
        assert torch.equal(whole.clean[rank::2], half.clean)
    # Later epochs show the same samples otherwise.
    seen = [live.draw(step, 0, 1, editor).clean for step in range(8)]
    assert not any(torch.equal(a, b) for i, a in enumerate(seen) for b in seen[:i])


def test_a_curriculum_changes_the_side_of_whole_batches(tiny_pipe, config):
    staged = fed(tiny_pipe, config, Variation(curriculum=((0, 16), (1, 32))))
    editor = KONTEXT.open(tiny_pipe)
    sides = [staged.draw(step, 0, 1, editor).clean.shape[-1] for step in (0, 3, 4, 7)]
    assert sides == [8, 8, 16, 16]


def a_list(folder: Path, captions=True):
    """Write four pairs whose pictures and caption tell their number."""
    rows = []
    for index in range(4):
        for side, level in (("out", 10), ("in", 11)):
            picture = np.full((33, 35, 3), 20 * index + level, np.uint8)
            Image.fromarray(picture).save(folder / f"{side}{index}.png")
        rows.append(f"out{index}.png,in{index}.png" + (f",number {index}" if captions else ""))
    head = "image_path,condition_image_path" + (",caption" if captions else "")
    (folder / "pairs.csv").write_text("\n".join([head, *rows]), encoding="utf-8")
    return folder / "pairs.csv"


def test_picture_condition_and_caption_keep_together_in_shuffled_epochs(
    tiny_pipe, config, tmp_path, monkeypatch
):
    said: list[tuple[int, int, str]] = []
    encoded = feed.encoded

    def watched(editor, view, told):
        said.append((int(view.clean[0, 0, 0]), int(view.degraded[0, 0, 0]), told[0].text))
        return encoded(editor, view, told)

    monkeypatch.setattr(feed, "encoded", watched)
    asked = dataclasses.replace(
        config, tasks=("denoise",), data={"denoise": a_list(tmp_path)},
        variation=Variation(augment=("crop", "flip")),
    )  # fmt: skip
    chosen = select(asked)
    assert chosen.sources == {"denoise": "pairs of pairs.csv"}
    live = feed.make_feed(
        KONTEXT.open(tiny_pipe), chosen.pairs, feed.Show(config.profile, asked.variation, 1),
        Memory(),
    )  # fmt: skip
    editor = KONTEXT.open(tiny_pipe)
    for step in range(6):
        for rank in range(2):
            live.draw(step, rank, 2, editor)
    assert len(said) == 24
    assert set(said) == {(20 * i + 10, 20 * i + 11, f"number {i}") for i in range(4)}
    epochs = [[text for *_, text in said[start : start + 8]] for start in (0, 8, 16)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_captions_and_variation_are_part_of_the_record(config, tmp_path):
    listed = dataclasses.replace(
        config, tasks=("denoise",), data={"denoise": a_list(tmp_path)}, variation=VARIED
    )
    told = record_of(listed, select(listed))
    assert told["variation"] == {
        "augment": ["crop", "turn"], "degrade": "mixed-neutral",
        "prompts": {"denoise": ["clean it", "denoise"]},
    }  # fmt: skip
    a_list(tmp_path, captions=False)
    assert record_of(listed, select(listed))["pairs_sha256"] != told["pairs_sha256"]
    plain = dataclasses.replace(listed, variation=UNVARIED)
    assert "variation" not in record_of(plain, select(plain))


def test_a_task_has_captions_or_other_wordings(config, tmp_path):
    asked = dataclasses.replace(
        config, tasks=("denoise",), data={"denoise": a_list(tmp_path)}, variation=VARIED
    )
    with pytest.raises(UsageError, match="the pairs of denoise have captions"):
        make_ready(asked)


def test_clean_pictures_are_degraded_when_they_are_shown(config, tmp_path):
    for index in range(2):
        Image.fromarray(scene(index)).save(tmp_path / f"{index}.png")
    asked = TrainConfig(
        Path("out"), NANO, ("derain",), 2, data={"derain": tmp_path},
        variation=Variation(degrade="real-esrgan"),
    )  # fmt: skip
    chosen = select(asked)
    assert chosen.sources["derain"].startswith("real-esrgan painted on")
    for pair in chosen.pairs:
        assert pair.clean is pair.degraded
        view = draw_view(pair, Place(0, 0, 16), NANO, asked.variation, 0)
        assert not np.array_equal(view.clean, view.degraded)
    painted = dataclasses.replace(asked, data={})
    assert select(painted).sources == {"derain": "painted, real-esrgan on it"}
