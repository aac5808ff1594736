"""The study of perception against fidelity: its file, its verdicts, its sentences and its page."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from e2r_bench.cli import main
from e2r_bench.maps.bands import band_split
from e2r_bench.statistics.verdict import Direction, Verdict
from e2r_bench.store.store import open_store
from e2r_bench.studies.tradeoff import words
from e2r_bench.studies.tradeoff_file import Pair, limited, read_tradeoff
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image, write_png

NAMES = ("lpips", "psnr", "invented_share")


def file(folder: Path, pairs: str = "", more: str = "") -> Path:
    path = folder / "study.toml"
    path.write_text(
        f"""
title = "A test"
out = "{folder}/runs"
perception = "ssim"
{more}
[settings]
metrics = ["psnr", "ssim"]
data = ["{folder}/data"]
batch = 4

[[run]]
name = "noise"
tasks = ["denoise25"]
methods = ["degraded", "wavelet", "nlm", "folder:{folder}/swirled"]

[[run]]
name = "more"
tasks = ["denoise50"]
methods = ["wavelet", "nlm"]
{pairs or PAIRS}
""",
        encoding="utf-8",
    )
    return path


PAIRS = """
[[pair]]
first = "nlm"
second = "degraded"
tasks = ["denoise25"]

[[pair]]
first = "degraded"
second = "nlm"
tasks = ["denoise50"]
"""


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Twelve smooth pictures, and results that are sharp, and swirled by other detail."""
    for k in range(12):
        rng = np.random.default_rng(k)
        rows, columns = np.mgrid[:40, :48] / 8
        wave = 120 + 60 * np.sin(rows + rng.uniform(0, 6)) * np.cos(columns * rng.uniform(0.5, 1.5))
        clean = np.repeat(wave[..., None], 3, 2)
        ripple = 20 * np.sin(3 * rows + 5 * columns)[..., None]
        write_png(tmp_path / "data" / f"p{k:02}.png", clean.astype(np.uint8))
        swirled = np.clip(clean + ripple, 0, 255).astype(np.uint8)
        write_png(tmp_path / "swirled" / f"p{k:02}.png", swirled)
    return tmp_path


def verdicts(*directions: Direction) -> list[Verdict]:
    return [
        Verdict(name, name, "better" if d else "not resolved", direction=d)
        for name, d in zip(NAMES, directions, strict=True)
    ]


PAIR = Pair(first="a", second="b", tasks=("t",))


@pytest.mark.parametrize(
    ("directions", "said"),
    [
        (
            (1, -1, -1),
            "a is only prettier than b and invented more: lpips prefers a, psnr prefers b",
        ),
        (
            (-1, 1, 1),
            "b is only prettier than a and invented more: lpips prefers b, psnr prefers a",
        ),
        ((1, -1, 0), "a is only prettier than b: lpips prefers a, psnr prefers b"),
        ((1, 1, 1), "a is better than b, prettier and closer and invented less"),
        ((-1, -1, 0), "b is better than a, prettier and closer"),
        ((1, 0, -1), "a is prettier than b and invented more; which is closer is not resolved"),
        ((0, -1, 0), "b is closer than a; which is prettier is not resolved"),
        ((0, 0, -1), "a and b: neither is shown to be prettier or closer and invented more"),
    ],
)
def test_the_sentence_says_all_three(directions: Sequence[Direction], said: str) -> None:
    assert words(PAIR, NAMES, verdicts(*directions)) == said


def test_a_pair_the_other_way_round_says_the_same() -> None:
    other = Pair(first="b", second="a", tasks=("t",))
    for looks, close, made in product((-1, 0, 1), repeat=3):
        if looks or close:
            one = words(PAIR, NAMES, verdicts(looks, close, made))
            two = words(other, NAMES, verdicts(-looks, -close, -made))  # pyright: ignore[reportArgumentType]
            assert one == two


def test_one_command_runs_judges_and_writes(pictures: Path) -> None:
    study = file(pictures)
    assert main(["study", "tradeoff", str(study), "--page", str(pictures / "page")]) == 0
    parts = pd.read_csv(pictures / "page" / "results.csv")
    assert len(parts) == 6  # two pairs of one task each
    first = parts[(parts.task == "denoise25") & (parts.metric == "psnr:rgb")].iloc[0]
    store = open_store(pictures / "runs" / "noise")
    rows = store.frame()
    table = rows[rows.metric == "psnr"].pivot(index="image", columns="method", values="value")
    assert first.difference == pytest.approx((table.nlm - table.degraded).mean())
    assert first.verdict == "better"
    page = (pictures / "page" / "README.md").read_text(encoding="utf-8")
    assert "**denoise25**: nlm is better than degraded, prettier and closer" in page
    # The second pair is named the other way round.
    assert "**denoise50**: nlm is better than degraded, prettier and closer" in page
    assert (pictures / "page" / "plane.png").stat().st_size > 10_000


def test_a_control_stands_once_in_a_tasks_table_and_a_method_as_often_as_it_ran(
    pictures: Path,
) -> None:
    again = """
[[run]]
name = "again"
tasks = ["denoise25"]
methods = ["degraded", "nlm"]
"""
    study = file(pictures, PAIRS + again)
    assert main(["study", "tradeoff", str(study), "--page", str(pictures / "page")]) == 0
    page = (pictures / "page" / "README.md").read_text(encoding="utf-8")
    table = page.split("### denoise25")[1].split("###")[0]
    assert table.count("| degraded | degraded |") == 1
    assert table.count("| nlm | ") == 2


def test_what_is_invented_is_what_the_maps_say(pictures: Path) -> None:
    study = file(pictures)
    assert main(["study", "tradeoff", str(study), "--runs", "noise"]) == 0
    numbers = pd.read_csv(pictures / "runs" / "tradeoff" / "numbers.csv").set_index("method")
    swirled = next(name for name in numbers.index if name.startswith("folder:"))
    by_hand = [
        band_split(read_image(pictures / "swirled" / p.name), read_image(p)).scores()
        for p in sorted((pictures / "data").glob("*.png"))
    ]
    share = np.mean([one["invented_share"] for one in by_hand])
    assert share > 20
    assert numbers.invented_share[swirled] == pytest.approx(share)
    assert numbers.invented_share["nlm"] < share
    page = (pictures / "runs" / "tradeoff" / "README.md").read_text(encoding="utf-8")
    assert "Registered and left out here: run more**" in page
    assert "denoise50" not in page


def test_fewer_runs_are_fewer_parts(pictures: Path) -> None:
    study = file(pictures)
    page = pictures / "page"
    assert main(["study", "tradeoff", str(study), "--page", str(page)]) == 0
    both = pd.read_csv(page / "results.csv")
    assert main(["study", "tradeoff", str(study), "--runs", "noise", "--page", str(page)]) == 0
    one = pd.read_csv(page / "results.csv")
    assert list(dict.fromkeys(both.task)) == ["denoise25", "denoise50"]
    assert list(dict.fromkeys(one.task)) == ["denoise25"]
    # The same difference, adjusted over half as many parts.
    assert one.difference[1] == both.difference[1]
    assert one.p_holm[1] < both.p_holm[1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("tasks = [\"denoise25\"]\n\n", 'tasks = ["dehaze"]\n\n'), "expected a run of nlm and"),
        (('second = "degraded"', 'second = "bm3d"'), "expected a run of nlm and bm3d"),
        (('name = "more"', 'name = "noise"'), "expected a name of its own"),
        (('name = "more"', 'name = "../more"'), "expected a name of its own"),
        (('title = "A test"', 'titel = "A test"'), "titel"),
        (('first = "nlm"', "first = 3"), "first"),
        (('perception = "ssim"', 'perception = "lpips"'), "expected lpips among the metrics of"),
        (('perception = "ssim"', 'invention = "noise"'), "invention"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_is_one_line(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    path = file(tmp_path)
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        read_tradeoff(path)


def test_perception_may_be_what_a_program_says(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = pictures / "size.sh"
    script.write_text('printf "image,value\\n0001,%d\\n" $(wc -c < "$1/0001.png") > "$3"')
    path, line = file(pictures), f"command:name=size better=lower margin=40 sh {script}"
    text = path.read_text(encoding="utf-8").replace('perception = "ssim"', 'perception = "size"')
    path.write_text(text.replace('["psnr", "ssim"]', f'["psnr", "{line}"]'), encoding="utf-8")
    asked = ["study", "tradeoff", str(path), "--methods", "nlm", "--runs", "more"]
    assert main(asked) == 2
    assert "--allow-commands" in capsys.readouterr().err
    page = pictures / "page"
    assert main([*asked, "--allow-commands", "--page", str(page)]) == 0
    said = capsys.readouterr().out
    assert "no verdict" not in said
    text = (page / "README.md").read_text(encoding="utf-8")
    assert "margins: size 40, psnr 0.5 dB, invented_share 1 % of pixels" in text


def test_fewer_methods_are_said(pictures: Path) -> None:
    page = pictures / "page"
    asked = ["study", "tradeoff", str(file(pictures)), "--methods", "wavelet", "--page", str(page)]
    assert main(asked) == 0
    text = (page / "README.md").read_text(encoding="utf-8")
    assert "left out here: nlm in noise, folder:" in text
    assert "nlm in more**" in text
    assert "against" not in text.split("Differences")[0]


def test_a_method_may_be_left_out_of_one_run_alone(pictures: Path) -> None:
    study = read_tradeoff(file(pictures))
    part = limited(study, (), ("wavelet", "more.nlm"))
    assert part.experiments["noise"].methods == ("wavelet",)
    assert part.experiments["more"].methods == ("wavelet", "nlm")
    assert part.left[0] == "nlm in noise"
    with pytest.raises(UsageError, match="nlm"):
        limited(study, (), ("more.nml",))
    with pytest.raises(UsageError, match="expected a method of run noise, found none; see --runs"):
        limited(study, (), ("more.nlm",))


def test_an_unknown_run_is_named(pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "tradeoff", str(file(pictures)), "--runs", "nois"]) == 2
    assert "noise" in capsys.readouterr().err
