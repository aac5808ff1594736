"""The program as a process of its own, in bad surroundings: one line, the right code."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from e2r_metrics.base.pictures import write_png

PROGRAM = (sys.executable, "-m", "e2r_bench")
Answer = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("a", "b\u00e9"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (24, 24, 3), dtype=np.uint8)
        write_png(folder / f"{name}.png", pixels)
    return folder


def _environment(change: Mapping[str, str | None]) -> dict[str, str]:
    merged = {**os.environ, "PYTHONPATH": ":".join(filter(None, sys.path)), **change}
    return {name: value for name, value in merged.items() if value is not None}


def ask(
    *words: object,
    before: Callable[[], None] | None = None,
    stdout: int = subprocess.PIPE,
    change: Mapping[str, str | None] = MappingProxyType({}),
) -> Answer:
    """Run the program and return what it said; `change` is of its environment, None unsets."""
    return subprocess.run(
        [*PROGRAM, *map(str, words)], stdout=stdout, stderr=subprocess.PIPE, text=True,
        errors="replace", check=False, timeout=120, env=_environment(change),
        preexec_fn=before,
    )  # fmt: skip


def run_words(data: Path, out: Path) -> tuple[object, ...]:
    """The main job, at its smallest."""
    given = ("--metrics", "psnr", "--device", "cpu", "--offline", "--out", out)
    return ("run", "--methods", "degraded", "--tasks", "derain", "--data", data, *given)


def score_words(data: Path) -> tuple[object, ...]:
    return ("score", data, data, "--metrics", "psnr", "--device", "cpu", "--offline")


def is_one_line(answer: Answer, code: int) -> None:
    """Progress may stand before it; the last line is ours, and nothing is a traceback."""
    assert answer.returncode == code, answer.stderr
    assert "Traceback" not in answer.stderr
    lines = answer.stderr.splitlines()
    assert lines[-1].startswith("e2r-bench: "), answer.stderr
    assert sum(line.startswith("e2r-bench: ") for line in lines) == 1


# Standard output


@pytest.mark.parametrize("words", [("methods",), ("metrics", "--json"), ("--help",)])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_standard_output(words: tuple[str, ...], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        answer = ask(*words, stdout=full.fileno(), change={"PYTHONUNBUFFERED": unbuffered})
    is_one_line(answer, 1)
    assert answer.stderr.count("\n") == 1
    assert "No space left on device" in answer.stderr


@pytest.mark.slow
def test_a_full_standard_output_loses_no_run(data: Path, tmp_path: Path) -> None:
    words = run_words(data, tmp_path / "run")
    with Path("/dev/full").open("w") as full:
        is_one_line(ask(*words, stdout=full.fileno()), 1)
    assert len((tmp_path / "run" / "per_image.jsonl").read_text().splitlines()) > 4
    assert (tmp_path / "run" / "summary.csv").exists()


@pytest.mark.parametrize("words", ["methods", "metrics", "methods --json", "metrics --json"])
def test_whoever_reads_one_line_hears_nothing_else(words: str) -> None:
    line = f"{' '.join(PROGRAM)} {words} | head -1; exit ${{PIPESTATUS[0]}}"
    answer = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, env=_environment({})
    )
    assert answer.stderr == ""
    assert answer.returncode in (0, 1)
    assert answer.stdout.count("\n") == 1


@pytest.mark.parametrize(("closed", "words", "code"), [
    (">&-", "methods", 0), ("2>&-", "methods", 0), (">&- 2>&-", "metrics --json", 0),
    ("2>&-", "rnu", 2), ("2>/dev/full", "rnu", 2), (">&-", "rnu", 2), ("<&-", "methods", 0),
])  # fmt: skip
def test_closed_streams(closed: str, words: str, code: int) -> None:
    answer = subprocess.run(
        ["bash", "-c", f"{' '.join(PROGRAM)} {words} {closed}"], capture_output=True, text=True,
        check=False, env=_environment({}),
    )  # fmt: skip
    assert answer.returncode == code
    assert "Traceback" not in answer.stderr


def test_closed_streams_lose_no_run(data: Path, tmp_path: Path) -> None:
    def close() -> None:
        os.close(1)
        os.close(2)

    answer = ask(*run_words(data, tmp_path / "run"), before=close)
    assert answer.returncode == 0
    assert (tmp_path / "run" / "summary.csv").exists()


# The environment


C = {"LC_ALL": "C", "LANG": None}
BYTES = {**C, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
"""Not even file names are UTF-8 then."""


@pytest.mark.parametrize("change", [
    pytest.param(C, marks=pytest.mark.slow, id="C"), pytest.param(BYTES, id="bytes"),
    pytest.param({**C, "PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow, id="ascii"),
])  # fmt: skip
def test_a_locale_of_no_accents(data: Path, change: Mapping[str, str | None]) -> None:
    answer = ask(*score_words(data), "--format", "csv", change=change)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "psnr" in answer.stdout
    assert ask("--methods", "b\u00e9", change=change).returncode == 2


@pytest.mark.slow
def test_a_run_in_a_locale_of_no_accents(data: Path, tmp_path: Path) -> None:
    rows = []
    for name, change in (("c", C), ("utf8", {})):
        answer = ask(*run_words(data, tmp_path / name), change=change)
        assert answer.returncode == 0, answer.stderr
        rows.append((tmp_path / name / "per_image.jsonl").read_bytes())
    assert rows[0] == rows[1]
    answer = ask(*run_words(data, tmp_path / "bytes"), change=BYTES)
    is_one_line(answer, 2)
    assert "PYTHONUTF8=1" in answer.stderr


@pytest.mark.slow
def test_no_home(data: Path, tmp_path: Path) -> None:
    change = {"HOME": None, "XDG_CACHE_HOME": None, "E2R_CACHE": None, "USER": None}
    answer = ask(*run_words(data, tmp_path / "run"), change=change)
    assert answer.returncode == 0, answer.stderr
    assert "Traceback" not in answer.stderr


# Limits


def _limited(what: int, value: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(what, (value, value))


@pytest.mark.slow
def test_64_open_files(data: Path, tmp_path: Path) -> None:
    few = _limited(resource.RLIMIT_NOFILE, 64)
    answer = ask(*run_words(data, tmp_path / "run"), before=few)
    assert answer.returncode == 0, answer.stderr


def test_little_memory_for_a_large_picture(tmp_path: Path) -> None:
    flat = np.zeros((9000, 9000, 3), np.uint8)
    write_png(tmp_path / "data" / "wide.png", flat)
    write_png(tmp_path / "data" / "small.png", flat[:24, :24])
    little = _limited(resource.RLIMIT_AS, 1 << 30)
    answer = ask(
        *score_words(tmp_path / "data"), before=little, change={"OPENBLAS_NUM_THREADS": "1"}
    )
    assert answer.returncode == 1, answer.stderr
    assert "Traceback" not in answer.stderr
    assert answer.stderr.startswith("failed: wide: ")
    assert answer.stderr.count("\n") == 1
    assert "psnr:rgb" in answer.stdout


# Disks; they are mounted, so only root can


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount small disks in memory; skipped where that is not allowed."""
    places: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / f"disk{len(places)}"
        place.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        try:
            subprocess.run(words, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a small disk can be mounted by root only")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param("4k", marks=pytest.mark.slow),
        "40k",
        pytest.param("100k", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk(data: Path, mounted: Callable[[str], Path], size: str) -> None:
    disk = mounted(f"size={size}")
    words = run_words(data, disk / "run")
    is_one_line(ask(*words), 2)
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    assert ask(*words).returncode == 0
    assert not list(disk.rglob("*.tmp"))


@pytest.mark.slow
def test_a_read_only_folder(data: Path, mounted: Callable[[str], Path]) -> None:
    disk = mounted("size=8m")
    assert ask(*run_words(data, disk / "made")).returncode == 0
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    for words in (run_words(data, disk / "run"), (*score_words(data), "--out", disk / "x.csv")):
        answer = ask(*words)
        is_one_line(answer, 2)
        assert "Read-only file system" in answer.stderr
    is_one_line(ask("report", disk / "made"), 2)
