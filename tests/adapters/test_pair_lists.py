"""Lists of pairs: both layouts, all three forms, and what is refused with its line."""

import csv
import io
import json
import string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e2r_adapters.train.pair_lists import Listed, is_list, read_list
from e2r_metrics.base.errors import UsageError

NOTE = ("image_path", "condition_image_path", "caption")
DIFFSYNTH = ("image", "edit_image", "prompt")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with six files named as pictures; readers do not open them."""
    root = tmp_path_factory.mktemp("lists")
    (root / "in, put").mkdir()
    for index in range(3):
        (root / f"{index}.png").touch()
        (root / "in, put" / f"{index}.png").touch()
    return root


def written(folder: Path, form: str, columns, rows) -> Path:
    path = folder / f"list.{form}"
    entries = [dict(zip(columns, row, strict=True)) for row in rows]
    if form == "json":
        path.write_text(json.dumps(entries), encoding="utf-8")
    elif form == "jsonl":
        lines = (json.dumps(entry) + "\n" for entry in entries)
        path.write_text("".join(lines), encoding="utf-8")
    else:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([columns, *rows])
        path.write_bytes(text.getvalue().encode())
    return path


captions = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=["Cs"]),
    min_size=1,
).filter(str.strip)


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(["csv", "json", "jsonl"]),
    columns=st.sampled_from([NOTE, DIFFSYNTH]),
    said=st.lists(captions, min_size=1, max_size=3),
    order=st.permutations(range(3)),
)
def test_what_was_written_is_read(folder, form, columns, said, order):
    rows = [
        (f"{index}.png", f"in, put/{index}.png", text)
        for index, text in zip(order, said, strict=False)
    ]
    turned = [2, 0, 1] if form == "csv" else [0, 1, 2]
    moved = [tuple(row[i] for i in turned) for row in rows]
    path = written(folder, form, [columns[i] for i in turned], moved)
    found = read_list(path)
    assert [one.caption for one in found] == [text.strip() for text in said]
    assert [one.files.clean for one in found] == [folder / row[0] for row in rows]
    assert [one.files.first for one in found] == [folder / row[1] for row in rows]
    assert [one.files.name for one in found] == [row[1].removesuffix(".png") for row in rows]


@settings(max_examples=80, deadline=None)
@given(
    form=st.sampled_from(["csv", "json", "jsonl"]),
    content=st.one_of(
        st.binary(max_size=80),
        st.text(string.printable, max_size=80).map(str.encode),
        st.text('{}[]",:\n0image_pthco n', max_size=60).map(str.encode),
    ),
)
def test_no_content_is_more_than_one_line(folder, form, content):
    path = folder / f"any.{form}"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_list(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


HEAD = ",".join(NOTE)
REFUSED = {
    "another column": (f"{HEAD},mask\n0.png,1.png,a,m\n", "line 1: expected the columns"),
    "no column": ("image_path,caption\n0.png,a\n", "line 1: expected the columns"),
    "a column twice": ("image_path,image_path,caption\n", "line 1: expected each column once"),
    "too many cells": (f"{HEAD}\n0.png,1.png,a, b\n", 'line 2: expected 3 columns.*"quotes"'),
    "too few cells": (f"{HEAD}\n0.png,1.png,a\n1.png\n", "line 3: expected 3 columns"),
    "a torn quote": (f'{HEAD}\n0.png,1.png,"a\n', "expected CSV, found"),
    "no caption": (f"{HEAD}\n0.png,1.png,a\n\n1.png,2.png, \n", "line 4: expected text as caption"),
    "no picture": (f"{HEAD}\n0.png,9.png,a\n", "line 2: condition_image_path '9.png': no such"),
    "a zero byte": (f"{HEAD}\n0.png,1\0.png,a\n", "line 2"),
    "a row twice": (f"{HEAD}\n0.png,1.png,a\n0.png,1.png,a\n", "line 3: the same row as line 2"),
    "no rows": (f"{HEAD}\n", "expected rows with image_path"),
    "nothing": ("", "expected rows with image_path"),
    "after a long caption": (f'{HEAD}\n0.png,1.png,"a\nb"\n9.png,1.png,a\n', "line 4: image_path"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_csv_that_is_not_whole_is_refused_by_its_line(folder, name):
    text, said = REFUSED[name]
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(UsageError, match=said):
        read_list(path)


ROW = {"image": "0.png", "edit_image": "1.png", "prompt": "a"}
TORN = {
    "two condition pictures": ([ROW | {"edit_image": ["1.png", "2.png"]}], "one picture as edit_"),
    "a number": ([ROW, ROW | {"prompt": 3}], "entry 2: expected text as prompt"),
    "no picture": ([ROW | {"image": []}], "entry 1: expected text as image"),
    "no rows": (ROW, "expected a JSON array of rows, found an object"),
    "a text": (["0.png"], "entry 1: expected an object with"),
    "mixed": ([ROW, dict(zip(NOTE, ROW.values(), strict=True))], "entry 2: .*the rows before"),
    "captions for some": ([ROW, {"image": "0.png", "edit_image": "1.png"}], "entry 2: .*before"),
}


@pytest.mark.parametrize("name", TORN)
def test_json_that_is_not_whole_is_refused_by_its_entry(folder, name):
    entries, said = TORN[name]
    path = folder / "list.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        read_list(path)


def test_lines_of_json_are_named(folder):
    path = folder / "list.jsonl"
    path.write_text(json.dumps(ROW) + '\n\n{"image": \n', encoding="utf-8")
    with pytest.raises(UsageError, match="line 3: expected JSON"):
        read_list(path)


def test_captions_may_be_left_out_and_absolute_paths_are_not_recorded(folder):
    path = folder / "list.csv"
    rows = f"{folder / '0.png'},{folder / '1.png'}\n0.png,in, put/1.png\n".replace(
        "in, put/1.png", '"in, put/1.png"'
    )
    path.write_text(f"\ufeffimage_path,condition_image_path\n{rows}", encoding="utf-8")
    first, second = read_list(path)
    assert (first.files.name, first.caption) == ("1", "")
    assert second.files.name == "in, put/1"
    path.write_text(json.dumps([ROW | {"edit_image": ["1.png"]}]), encoding="utf-8")
    (one,) = read_list(path.rename(folder / "list.json"))
    assert isinstance(one, Listed)


def test_lists_are_told_from_folders(folder, tmp_path):
    (tmp_path / "data.csv").mkdir()
    assert is_list(folder / "list.CSV")
    assert not is_list(folder)
    assert not is_list(tmp_path / "data.csv")
    with pytest.raises(UsageError, match="expected a list of pairs, found No such file"):
        read_list(folder / "none.csv")
