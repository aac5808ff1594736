"""`--metrics command:LINE` in `score` and `run`: a real program, from the line or a file."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.maps import shares
from e2r_bench.store.store import open_store
from e2r_metrics.base.pictures import write_png
from e2r_metrics.catalog import SHARES

MEAN = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
Path(__file__).with_name("calls").open("a").write(".")
mean = np.asarray(Image.open(Path(sys.argv[1], "0001.png")), float).mean()
Path(sys.argv[3]).write_text(f"image,value\\n0001,{mean}\\n")
"""

SUM = """sum=$(cksum < "$1/0001.png" | cut -d' ' -f1)
printf "image,value\\n0001,%d\\n" $((sum % 1000)) > "$3"
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "mean of it.py"
    path.write_text(MEAN)
    return path


def line(program: Path, head: str = "better=higher low=0 high=255 name=light margin=2") -> str:
    return f"command:{head} {shlex.join([sys.executable, str(program)])}"


def calls(program: Path) -> int:
    made = program.with_name("calls")
    return len(made.read_text()) if made.exists() else 0


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Three folders of flat pictures: twelve each, the second lighter by five, the third clean."""
    for name, more in (("a", 0), ("b", 5), ("clean", 20)):
        for count in range(12):
            picture = np.full((16, 16, 3), 100 + count + more, np.uint8)
            write_png(tmp_path / name / f"{count:02d}.png", picture)
    return [str(tmp_path / name) for name in ("a", "b", "clean")]


def test_score_compares_by_a_program(
    program: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["score", *folders, "--metrics", line(program), "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    text = json.dumps(told)
    assert calls(program) == 24
    assert "somebody's program, one picture at a time" in text
    assert str(program) in text
    means = {round(row["value"], 6) for row in _rows(told, "light")}
    assert {105.5, 110.5} <= means


def test_without_a_margin_differences_are_shown_and_no_verdict(
    program: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    bare = line(program, "better=higher name=light")
    assert main(["score", *folders, "--metrics", bare, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["compared"]
    assert made["verdict"] == "not resolved"
    assert (made["effect"], made["alone"], made["margin"]) == (5.0, [5.0, 5.0], None)
    assert (made["low"], made["holm"]) == (None, None)
    assert main(["score", *folders, "--metrics", bare]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no verdict: give margin=NUMBER before the program" in said
    assert "[+5.00" in said
    assert "not measured" not in said
    assert "unknown margin" not in said


def test_a_run_without_a_margin_is_compared_without_a_verdict(
    tmp_path: Path, program: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = run_words(tmp_path, folders, "--metrics", line(program, "better=higher name=light"))
    words[words.index("nlm")], words[words.index("2")] = "nlm,wavelet", "12"
    assert main(words) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "no verdict: give margin=NUMBER before the program" in said
    assert "unknown margin" not in said
    assert main(["report", str(tmp_path / "run")]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "unknown margin" not in page


def test_a_margin_is_given_beside_the_line_or_afterwards(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "sum.sh"
    script.write_text(SUM)
    bare, stating = (f"command:better=higher name=light{m} sh {script}" for m in ("", " margin=2"))
    asked = ["score", *folders, "--metrics", bare, "--margin", "light=9", "--json"]
    (made,) = compared(asked, capsys)
    assert made["margin"] == 9.0
    assert made["holm"] is not None
    words = run_words(tmp_path, folders, "--metrics", bare)
    words[words.index("nlm")] = "nlm,wavelet"
    assert main(words) == 0
    judged = ["compare", str(tmp_path / "run"), "--offline", "--metrics", "light", "--json"]
    assert compared([*judged, "--margin", "light=7"], capsys)[0]["margin"] == 7.0
    assert main([*judged, "--margin", "lihgt=7"]) == 2
    assert "'lihgt': did you mean 'light'" in capsys.readouterr().err
    # An edited script is another metric, under a margin of its own: what the old one stated is no
    # margin of it.
    for text, margin in ((SUM, 2.0), (SUM.replace("1000", "999"), 50.0)):
        script.write_text(text)
        words[words.index("--metrics") + 1] = stating.replace("=2", f"={margin:g}")
        assert main(words) == 0
        assert {one["margin"] for one in compared(judged, capsys)} == {margin}


def compared(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(words) == 0
    return json.loads(capsys.readouterr().out)["compared"]


@pytest.mark.parametrize("name", SHARES)
def test_no_metric_from_outside_is_called_as_what_maps_measure(
    name: str, tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "mine.toml"
    table.write_text(f"[{name}]\nhigher_is_better = true\n[[{name}.part]]\nmetric = 'psnr'\n")
    for metric in (f"command:better=higher name={name} true", str(table)):
        assert main(["score", *folders, "--metrics", metric]) == 2
        said = capsys.readouterr().err
        assert name in said
        assert "give another" in said or "give it another" in said


def test_those_names_are_the_ones_that_maps_have() -> None:
    assert tuple(info.name for info in shares.SHARES.values()) == SHARES


def test_what_starts_nothing_asks_for_nothing(
    tmp_path: Path, program: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f"methods = ['nlm']\ntasks = ['denoise25']\nmetrics = ['psnr', '''{line(program)}''']\n"
    )
    assert main(["plan", str(settings), "--gpus", "1", "--pictures", "2"]) == 0
    assert main(run_words(tmp_path, folders, str(settings), "--dry-run")) == 0
    said = capsys.readouterr().out
    assert f"would start: {shlex.join([sys.executable, str(program)])}" in said
    assert calls(program) == 0


def test_timing_a_plan_asks_before_a_methods_program_starts(
    tmp_path: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings, mark = tmp_path / "settings.toml", tmp_path / "started"
    settings.write_text(
        f"methods = ['x=command:touch {mark} {{input}} {{output}}']\n"
        f"tasks = ['denoise25']\ndata = ['{folders[2]}']\ndevice = 'cpu'\n"
    )
    assert main(["plan", str(settings)]) == 0
    assert main(["plan", str(settings), "--time"]) == 2
    assert "--allow-commands" in capsys.readouterr().err
    assert not mark.exists()
    main(["plan", str(settings), "--time", "--allow-commands"])
    assert mark.exists()


def _rows(told: object, name: str) -> list[dict[str, float]]:
    """Return every record of a metric with a value, wherever it stands."""
    if isinstance(told, dict):
        own = [told] if str(told.get("metric", "")).startswith(name) and "value" in told else []
        return own + [row for part in told.values() for row in _rows(part, name)]
    return [row for part in told for row in _rows(part, name)] if isinstance(told, list) else []


def run_words(tmp_path: Path, folders: list[str], *more: str) -> list[str]:
    return ["run", *more, "--methods", "nlm", "--tasks", "denoise25", "--limit", "2", "--device",
            "cpu", "--offline", "--data", folders[2], "--out", str(tmp_path / "run")]  # fmt: skip


def test_a_run_keeps_the_values_until_the_program_changes(
    tmp_path: Path, program: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = run_words(tmp_path, folders, "--metrics", f"psnr,{line(program)}")
    assert main(words) == 0
    first = calls(program)
    assert first == 6  # two pictures of nlm and of both controls
    store = open_store(tmp_path / "run")
    (key,) = (key for key in store.info.metrics if key.startswith("light:command-"))
    rows = [row for row in store.rows().all if row.metric == "light"]
    assert {row.status for row in rows} == {"ok"}
    assert all("somebody's program" in row.protocol for row in rows)
    assert store.info.metrics[key].margin == 2.0
    assert main(words) == 0
    assert calls(program) == first
    assert "measured by an earlier call" not in capsys.readouterr().err
    program.write_text(MEAN.replace("{mean}", "{mean / 2}"))
    assert main(words) == 0
    again = [row for row in open_store(tmp_path / "run").rows().all if row.metric == "light"]
    old = {row.variant for row in rows}
    # What the first program said stays its own, in a column of its own.
    assert [row for row in again if row.variant in old] == rows
    # It is not shown any more, and that is said.
    told = " ".join(capsys.readouterr().err.split())
    assert f"{key} on denoise25: measured by an earlier call, and not shown any more" in told
    halves = {(row.method, row.image): row.value / 2 for row in rows if row.value is not None}
    new = [row for row in again if row.variant not in old]
    assert {(row.method, row.image): row.value for row in new} == halves
    assert len(new) == first


def test_a_file_may_not_start_a_metrics_program(
    tmp_path: Path, program: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(f"methods = ['nlm']\nmetrics = ['psnr', '''{line(program)}''']\n")
    words = run_words(tmp_path, folders, str(settings))
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--allow-commands" in said
    assert program.name in said
    assert calls(program) == 0
    assert main([*words, "--allow-commands"]) == 0
    assert calls(program) == 6


def test_metrics_of_the_line_replace_those_of_a_file(
    tmp_path: Path, program: Path, folders: list[str]
) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text(f"methods = ['nlm']\nmetrics = ['''{line(program)}''']\n")
    assert main([*run_words(tmp_path, folders, str(settings)), "--metrics", "psnr"]) == 0
    assert calls(program) == 0


def test_whoever_verifies_a_bundle_starts_no_program(
    tmp_path: Path, program: Path, folders: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = run_words(tmp_path, folders, "--metrics", f"psnr,{line(program)}")
    assert main(words) == 0
    before = calls(program)
    bundle = str(tmp_path / "bundle.zip")
    assert main(["publish", str(tmp_path / "run"), "--out", bundle]) == 0
    code = main(["verify", bundle, "--offline", "--data", folders[2]])
    said = " ".join(capsys.readouterr().out.split())
    assert code == 0
    assert calls(program) == before
    assert "this machine knows no such metric" in said
