"""One pairing for all: names, endings, folders, sequences, and nothing guessed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pairs import (
    BEGINNINGS,
    CLEAN_FOLDERS,
    DEGRADED_FOLDERS,
    ENDINGS,
    Matching,
    dataset_pairs,
    list_pictures,
    pair_folders,
    partners,
)


def fill(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def names(pairs: list) -> list[tuple[str, str]]:
    return [(pair.name, pair.clean.name) for pair in pairs]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("0001.png", "0001.jpg"),
        ("IMG_0.JPG", "IMG_0.PNG"),
        ("img_000_out.png", "img_000.png"),
        ("img_000_SR.png", "img_000_HR.png"),
        ("0000.png", "0000_GT.png"),
        ("0000_out.png", "0000.png"),
        ("rain-000.png", "norain-000.png"),
        ("0001_0.8_0.2.jpg", "0001.png"),
    ],
)
def test_partners_by_the_rules_that_are_stated(tmp_path: Path, ours: str, theirs: str) -> None:
    fill(tmp_path, f"a/{ours}", f"b/{theirs}", "a/another.png", "b/another.png")
    pairs = pair_folders(tmp_path / "a", tmp_path / "b")
    assert (Path(ours).stem, theirs) in names(pairs)
    assert len(pairs) == 2


def test_names_win_over_endings_and_order_never_counts(tmp_path: Path) -> None:
    fill(tmp_path, "a/1_x.png", "a/10_x.png", "b/1.png", "b/10.png")
    assert names(pair_folders(tmp_path / "a", tmp_path / "b")) == [
        ("10_x", "10.png"),
        ("1_x", "1.png"),
    ]
    fill(tmp_path, "c/k_out.png", "d/k_out.png")
    assert names(pair_folders(tmp_path / "c", tmp_path / "d")) == [("k_out", "k_out.png")]


def test_what_has_two_partners_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, "a/k_out.png", "b/k_gt.png", "b/k_hr.png")
    with pytest.raises(UsageError, match="expected one partner of 'k_out', found k_gt and k_hr"):
        pair_folders(tmp_path / "a", tmp_path / "b")
    fill(tmp_path, "c/k_out.png", "c/k_pred.png", "d/k.png")
    with pytest.raises(UsageError, match="expected one file for 'k', found k_out and k_pred"):
        pair_folders(tmp_path / "c", tmp_path / "d")


def test_every_lonely_file_is_named_up_to_eight(tmp_path: Path) -> None:
    fill(tmp_path, "a/k.png", "a/lonely.png", "b/k.png", "b/left.png")
    with pytest.raises(UsageError, match=r"none for 2: .*a/lonely\.png, .*b/left\.png;"):
        pair_folders(tmp_path / "a", tmp_path / "b")
    fill(tmp_path, *(f"c/{k}.png" for k in range(30)), "d/z.png")
    with pytest.raises(UsageError, match=r"none for 31: .*and 23 more"):
        pair_folders(tmp_path / "c", tmp_path / "d")


def test_a_pattern_replaces_the_rules(tmp_path: Path) -> None:
    fill(tmp_path, "a/k.png", "b/truth-of-k.png")
    found = pair_folders(tmp_path / "a", tmp_path / "b", Matching(pattern="truth-of-{name}"))
    assert names(found) == [("k", "truth-of-k.png")]
    fill(tmp_path, "c/k_out.png", "d/k.png")
    with pytest.raises(UsageError, match="expected a partner"):
        pair_folders(tmp_path / "c", tmp_path / "d", Matching(pattern="{name}"))


@pytest.mark.parametrize("clean", CLEAN_FOLDERS)
def test_clean_folders_by_any_case(tmp_path: Path, clean: str) -> None:
    fill(tmp_path, f"{clean.upper()}/k.png", "lq/k.png")
    assert names(dataset_pairs(tmp_path)) == [("k", "k.png")]


@pytest.mark.parametrize("degraded", DEGRADED_FOLDERS)
def test_degraded_folders_by_any_case(tmp_path: Path, degraded: str) -> None:
    fill(tmp_path, f"{degraded.title()}/k.png", "GT/k.png")
    assert dataset_pairs(tmp_path)[0].first.parent.name == degraded.title()


def test_no_known_folder_says_which_are_known(tmp_path: Path) -> None:
    fill(tmp_path, "this/k.png", "that/k.png")
    with pytest.raises(UsageError, match=r"found none; one of clean target .*degraded input"):
        dataset_pairs(tmp_path)
    fill(tmp_path, "gt/k.png")
    with pytest.raises(UsageError, match="found only gt/"):
        dataset_pairs(tmp_path)
    fill(tmp_path, "clean/k.png", "lq/k.png")
    with pytest.raises(UsageError, match="found clean/ and gt/; keep one"):
        dataset_pairs(tmp_path)


def test_sub_folders_are_asked_for(tmp_path: Path) -> None:
    fill(tmp_path, "a/s1/0.png", "a/s2/0.png", "b/s1/0.png", "b/s2/0.png")
    with pytest.raises(UsageError, match=r"found only sub-folders \(s1, s2\); give --recursive"):
        list_pictures(tmp_path / "a")
    pairs = pair_folders(tmp_path / "a", tmp_path / "b", Matching(recursive=True))
    assert [(pair.name, pair.clean.parent.name) for pair in pairs] == [
        ("s1/0", "s1"),
        ("s2/0", "s2"),
    ]


def test_sequences_hold_their_own_sides(tmp_path: Path) -> None:
    fill(
        tmp_path, *(f"{s}/{side}/{k}.png" for s in "pq" for side in ("blur", "sharp") for k in "01")
    )
    with pytest.raises(UsageError, match="found none; give --recursive, or one of"):
        dataset_pairs(tmp_path)
    found = dataset_pairs(tmp_path, Matching(recursive=True))
    assert [pair.name for pair in found] == ["p/0", "p/1", "q/0", "q/1"]
    assert found[2].clean == tmp_path / "q" / "sharp" / "0.png"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "a.png", "a.BMP", ".hidden.png")
    with pytest.raises(UsageError, match=r"a\.BMP and a\.png have one name"):
        list_pictures(tmp_path)


@given(st.text("ab01", min_size=1, max_size=4), st.sampled_from(ENDINGS), st.sampled_from("-_"))
def test_endings_and_beginnings_never_change_which_picture_is_meant(
    stem: str, ending: str, sign: str
) -> None:
    theirs = {stem: Path(f"{stem}.png"), f"z{stem}": Path(f"z{stem}.png")}
    wanted = f"{stem}{sign}{ending}"
    assert partners([wanted], theirs, Matching(), "here") == {wanted: stem}
    for beginning in BEGINNINGS:
        wanted = f"{beginning}{sign}{stem}"
        assert partners([wanted], theirs, Matching(), "here") == {wanted: stem}
