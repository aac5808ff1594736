"""The table at the end of a run: nothing is cut at any width, in a pipe, or in ASCII."""

import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console as RichConsole

from e2r_bench.console import Console
from e2r_bench.report.run_tables import footnotes
from e2r_bench.report.table import blocks
from e2r_bench.store.store import Store
from e2r_bench.terminal import console_to, print_note, print_table, spelled

LONG = "folder:results_of_somebody_else/with_a_name_longer_than_60_columns/final_v2"


@pytest.fixture(scope="module")
def wide_run(build_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Store:
    spec = replace(
        build_run.plain,
        methods={
            "a": ("kontext-nano", True, 14.0),
            "b": ("kontext-nano", True, 12.0),
            LONG: ("files", False, 9.0),
            "[bold]ünï": ("files", False, 9.0),
        },
        catalog={"a": "kontext_lora", "b": "kontext_lora"},
        options={"a": {"adapter": "X.safetensors"}, "b": {"adapter": "Y.safetensors"}},
        size=(24, 24),
        images=["p0", "p1", "p2"],
        broken={("b", "denoise25", "p1"): "too large"},
    )
    return build_run(tmp_path_factory.mktemp("runs") / "wide", spec)


def printed(store: Store, capsys: pytest.CaptureFixture) -> str:
    Console().table(store)
    return capsys.readouterr().out


def numbers_of(store: Store) -> list[str]:
    """Return every number that a reader must find, as the tables of the report have it."""
    entries = [e for block in blocks({"": store}) for line in block.lines for e in line.entries]
    return [f"{e.text} ±{e.spread}" if e.spread else e.text for e in entries]


@pytest.fixture(params=[60, 80, 120, None])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int | None:
    if request.param is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def test_no_name_and_no_number_is_cut(
    wide_run: Store, width: int | None, capsys: pytest.CaptureFixture
) -> None:
    out = printed(wide_run, capsys)
    assert "…" not in out
    for text in (*numbers_of(wide_run), "psnr:rgb ↑", "ssim:uniform7 ↑", "[bold]ünï"):
        assert text in out
    # A name that is wider than its column goes on below, and whole over the lines.
    first = "".join(line.split("  ")[0].strip() for line in out.splitlines())
    assert LONG in first
    assert "(n=2)" in out
    assert "e2r-bench weights fetch x" in out
    tables = [line for line in out.splitlines() if re.search(r"\d\.\d\d ±", line)]
    assert max(len(line.rstrip()) for line in tables) <= (width or 160)


def test_protocols_are_broken_between_words_in_a_window_alone(
    wide_run: Store, width: int | None, capsys: pytest.CaptureFixture
) -> None:
    notes = list(footnotes(wide_run))
    assert max(map(len, notes)) > 80
    out = printed(wide_run, capsys)
    for note in notes:
        assert " ".join(note.split()) in " ".join(out.split())
        assert (f"\n{note}\n" in out) == (width is None or len(note) <= width)
    found = [line for line in out.splitlines() if "e2r-bench " not in line and LONG not in line]
    assert max(map(len, found)) <= (width or max(map(len, notes)))


def test_a_file_has_its_lines_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    note = "protocol " * 30
    with console_to(tmp_path / "x.txt") as console:
        print_note(console, note)
    assert (tmp_path / "x.txt").read_text() == f"{note}\n"


def test_instances_are_named_with_their_method_and_build(
    wide_run: Store, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    out = printed(wide_run, capsys)
    for name in ("a", "b"):
        assert f"{name} (kontext_lora, kontext-nano (miniature)) mean of 2 seeds, 28 steps" in out
    assert "degraded " in out


def test_narrow_terminals_get_more_tables_and_wide_ones_one(
    wide_run: Store, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heads(columns: int) -> int:
        monkeypatch.setenv("COLUMNS", str(columns))
        return len(re.findall(r"^method ", printed(wide_run, capsys), flags=re.M))

    assert heads(160) == len(wide_run.info.tasks)
    assert heads(50) == 2 * len(wide_run.info.tasks)


def test_unmeasured_metrics_are_one_line_a_task(
    wide_run: Store, width: int | None, capsys: pytest.CaptureFixture
) -> None:
    said = [s for s in printed(wide_run, capsys).splitlines() if "lpips" in s]
    expected = "not measured: lpips:alex (no such file here; to fetch: e2r-bench weights fetch x)"
    assert said == [expected] * len(wide_run.info.tasks)


def test_an_ascii_terminal_is_written_ascii(
    wide_run: Store, width: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="strict"))
    Console().table(wide_run)
    sys.stdout.flush()
    out = raw.getvalue().decode("ascii")
    assert "psnr:rgb (+)" in out
    assert "(+) higher is better, (-) lower is better; +/- half" in out
    assert re.search(r"\d\.\d\d \+/-\d", out)
    assert "inf" in out
    assert r"[bold]\xfcn\xef" in out


def test_no_color_writes_no_colour(
    wide_run: Store, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-79]|4[0-79]|9\d)", printed(wide_run, capsys))
    monkeypatch.delenv("FORCE_COLOR")
    assert "\x1b" not in printed(wide_run, capsys), "a pipe gets text alone"


def test_a_name_cannot_steer_the_terminal() -> None:
    assert spelled("a\x1b[31mb\nc", "utf-8") == r"a\x1b[31mb\nc"


NUMBERS = st.builds(
    lambda value, half: f"{value / 100:.2f} ±{half / 100:.2f}",
    st.integers(0, 99_999_999),
    st.integers(0, 99_999),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    width=st.integers(8, 200),
    names=st.lists(st.text("ab -_:/", min_size=1, max_size=90), min_size=1, max_size=4),
    values=st.lists(st.lists(NUMBERS, min_size=4, max_size=4), min_size=4, max_size=4),
)
def test_any_table_keeps_every_number_on_one_line(
    width: int, names: list[str], values: list[list[str]]
) -> None:
    stream = io.StringIO()
    console = RichConsole(file=stream, width=width, markup=False, highlight=False)
    rows = [[name, *row] for name, row in zip(names, values, strict=False)]
    print_table(console, ["method", "m1", "m2", "m3", "m4"], rows)
    out = stream.getvalue()
    found = re.findall(r"[0-9.]+ ±[0-9.]+", out)
    assert sorted(found) == sorted(number for row in rows for number in row[1:])
    # A number of 17 signs needs 20 columns; in fewer, the window wraps what we leave whole.
    assert all(len(line.rstrip()) <= max(width, 20) for line in out.splitlines())
    squeezed = "".join(out.split())
    for head in ("m1", "m2", "m3", "m4"):
        assert head in squeezed
