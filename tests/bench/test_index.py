"""The index beside a file of rows: used where it is of just that file, and never otherwise."""

import os
from pathlib import Path

import pytest

from e2r_baselines.method import Draw
from e2r_bench.store import index
from e2r_bench.store.index import open_index
from e2r_bench.store.info import Row
from e2r_bench.store.rows import RowFile, Rows
from e2r_metrics.base.errors import UsageError

GROUP = ("m", "t", Draw(0, 0), "psnr:rgb")


def row(image: str, value: float | None = 1.0, **other: object) -> Row:
    told = {
        "method": "m", "build": "m", "task": "t", "image": image, "scene": image, "seed": 0,
        "steps": 0, "metric": "psnr", "variant": "rgb", "value": value,
        "status": "failed" if value is None else "ok", "protocol": "p",
    }  # fmt: skip
    return Row.model_validate(told | other)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of four rows, whose index is kept."""
    monkeypatch.setattr(index, "KEPT_FROM", 4)
    rows = [row("b", 2.0), row("a", None), row("a", float("inf"), metric="ssim"), row("c", -1.5)]
    path = tmp_path / "per_image.jsonl"
    path.write_text("".join(one.model_dump_json() + "\n" for one in rows))
    open_index(path)
    assert (tmp_path / ".per_image.sqlite").is_file()
    return path


@pytest.fixture
def unread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the rows is a failure of the test."""
    monkeypatch.setattr(index, "read_lines", lambda path: pytest.fail(f"{path} was read"))


@pytest.mark.usefixtures("unread")
def test_an_index_answers_without_the_rows(path: Path) -> None:
    found = open_index(path)
    assert found.count == 4
    assert found.plain
    assert found.values(GROUP) == {"b": 2.0, "c": -1.5}
    assert list(found.values(GROUP)) == ["b", "c"]
    assert found.images(GROUP) == {"a", "b", "c"}
    assert found.values(("m", "t", Draw(0, 0), "ssim:rgb")) == {"a": float("inf")}
    assert found.values(("nobody", "t", Draw(0, 0), "psnr:rgb")) == {}


def test_rows_are_those_of_the_file_in_its_order(path: Path) -> None:
    rows = RowFile(path).rows()
    assert [one.image for one in rows.all] == ["b", "a", "a", "c"]
    assert [one.image for one in rows.groups[GROUP]] == ["b", "a", "c"]
    assert rows.all[1] == row("a", None)
    assert [one.image for one in rows.all[2:]] == ["a", "c"]
    assert [one.image for one in rows.failed()] == ["a"]
    assert len(rows.groups) == 2


@pytest.mark.usefixtures("unread")
def test_a_copy_keeps_its_index(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy"
    other.mkdir()
    for name in (path.name, ".per_image.sqlite"):
        (other / name).write_bytes((tmp_path / name).read_bytes())
    assert open_index(other / path.name).values(GROUP) == {"b": 2.0, "c": -1.5}


def test_a_number_that_was_changed_is_seen_whatever_the_clock_says(path: Path) -> None:
    before = path.stat()
    path.write_text(path.read_text().replace("2.0", "7.0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert open_index(path).values(GROUP) == {"b": 7.0, "c": -1.5}


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0 and nothing", None])
def test_a_damaged_index_is_made_again(path: Path, damage: bytes | None) -> None:
    beside = path.with_name(".per_image.sqlite")
    beside.write_bytes(beside.read_bytes()[:4096] if damage is None else damage)
    assert open_index(path).values(GROUP) == {"b": 2.0, "c": -1.5}
    assert open_index(path).count == 4


def test_rows_that_are_not_written_as_we_write_are_known(path: Path) -> None:
    whole = path.read_bytes()
    for content in (whole.replace(b'":', b'": ', 1), whole + b"{torn", whole[:-1]):
        path.write_bytes(content)
        assert not open_index(path).plain


def test_a_second_row_of_a_cell_is_named_by_its_line(path: Path) -> None:
    with path.open("a") as stream:
        stream.write(row("b", 9.0).model_dump_json() + "\n")
    with pytest.raises(UsageError, match="line 5: expected one row for each cell and metric"):
        open_index(path)


def test_a_small_file_leaves_no_index(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(row("a").model_dump_json() + "\n")
    assert Rows(path, open_index(path)).all[0] == row("a")
    assert [one.name for one in tmp_path.iterdir()] == ["rows.jsonl"]


def test_no_file_is_no_rows(tmp_path: Path) -> None:
    rows = RowFile(tmp_path / "rows.jsonl").rows()
    assert (list(rows.all), len(rows.all), dict(rows.groups), list(rows.failed())) == (
        [],
        0,
        {},
        [],
    )
