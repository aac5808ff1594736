"""Shards laid end to end are the serial run; what does not belong together is refused by name."""

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import lab
import pytest

from e2r_bench.cli import main
from e2r_bench.run.runner import run_experiment
from e2r_bench.run.shards import Shard, parse_shard
from e2r_metrics.base.errors import UsageError


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four shards, each in a folder of its own."""
    where = tmp_path_factory.mktemp("shards")
    for part in range(1, 5):
        asked = lab.experiment(data, where / str(part))
        sharded = asked.model_copy(update={"shard": f"{part}/4"})
        assert not run_experiment(sharded, {"shard": f"{part}/4"}, methods=lab.CATALOG).failures
    return [where / str(part) for part in range(1, 5)]


@pytest.fixture
def shards(made: Sequence[Path], tmp_path: Path) -> list[Path]:
    """A copy of the four, to be spoiled."""
    return [Path(shutil.copytree(one, tmp_path / "shards" / one.name)) for one in made]


def merge(shards: Sequence[Path], out: Path) -> int:
    return main(["merge", *map(str, shards), "--out", str(out), "--device", "cpu", "--offline"])


def test_four_shards_in_any_order_are_the_serial_run(
    made: Sequence[Path], serial: Path, tmp_path: Path
) -> None:
    shuffled = list(made)
    random.Random(3).shuffle(shuffled)
    assert merge(shuffled, tmp_path / "run") == 0
    assert lab.differing(tmp_path / "run", serial) == []
    assert len(lab.contents(serial)) > 400
    mine, theirs = (
        json.loads((one / "run.json").read_text()) for one in (tmp_path / "run", serial)
    )
    for said in (mine, theirs):
        said["settings"].pop("out")
    assert mine == theirs


def test_a_merge_that_was_cut_short_goes_on(
    made: Sequence[Path], serial: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert merge(made, out) == 0
    for path in [*out.rglob("*.png")][::3]:
        path.unlink()
    (out / "per_image.jsonl").write_text("torn")
    (out / "summary.csv").unlink()
    assert merge(made, out) == 0
    assert lab.differing(out, serial) == []


def test_a_shard_makes_its_part_and_no_numbers(made: Sequence[Path]) -> None:
    for one in made:
        assert not (one / "summary.csv").exists()
        # (3 methods, two of them with 2 seeds, and 2 controls) x 12 of 48 pictures
        assert len([*(one / "images").rglob("*.png")]) == 7 * 12


def spoil(folder: Path, *keys: str, value: object) -> None:
    path = folder / "run.json"
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("settings", "noise_seed"), 7, "settings noise_seed: 0 in shard 1/4, 7 in shard 3/4"),
        (("versions", "numpy"), "1.0", "version of numpy: "),
        (("methods", "first", "weights"), {"w": "00"}, "weights of first: {} in shard 1/4"),
        (("seeds",), [0, 2], "seeds: [0, 1] in shard 1/4, [0, 2] in shard 3/4"),
        (("settings", "shard"), "4/4", "expected another shard, found 4/4 again"),
        (("settings", "shard"), "3/5", "expected shards of one number, found some of 4, 5"),
        (("settings", "shard"), None, "expected a shard, found a whole run"),
    ],
)
def test_what_differs_is_refused_by_name(
    shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    keys: tuple[str, ...], value: object, said: str,
) -> None:  # fmt: skip
    spoil(shards[2], *keys, value=value)
    assert merge(shards, tmp_path / "run") == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_missing_or_unfinished_shard_is_named(
    shards: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert merge(shards[:3], tmp_path / "run") == 2
    assert "found none of 4/4" in capsys.readouterr().err
    rows = shards[1] / "per_image.jsonl"
    rows.write_text("".join(rows.read_text().splitlines(keepends=True)[:-1]))
    assert merge(shards, tmp_path / "run") == 2
    assert "shard 2/4 in" in capsys.readouterr().err
    min((shards[0] / "images" / "first").rglob("*.png")).unlink()
    assert merge(shards, tmp_path / "run") == 2
    assert "shard 1/4 in" in (said := capsys.readouterr().err)
    assert "lacks first on denoise25/00" in said


def test_a_merge_never_writes_over_another_run(
    made: Sequence[Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = lab.experiment(data, tmp_path / "run").model_copy(update={"limit": 2})
    run_experiment(other, methods=lab.CATALOG)
    assert merge(made, tmp_path / "run") == 2
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/4", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected i/n with i from 1 to n"):
        parse_shard(text)


@pytest.mark.parametrize(("total", "of"), [(48, 4), (7, 3), (5, 5), (100, 7)])
def test_pieces_end_to_end_are_the_line(total: int, of: int) -> None:
    pieces = [Shard(part, of).piece(total) for part in range(1, of + 1)]
    assert [place for piece in pieces for place in piece] == list(range(total))
    assert {len(piece) for piece in pieces} <= {total // of, -(-total // of)}


def test_more_shards_than_pictures_are_refused(data: Path, tmp_path: Path) -> None:
    asked = lab.experiment(data, tmp_path / "run").model_copy(update={"shard": "1/49"})
    with pytest.raises(UsageError, match="expected at most 48 shards"):
        run_experiment(asked, methods=lab.CATALOG)
