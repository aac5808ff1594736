"""The edition of a miniature: in its name everywhere, and never resumed or compared as another."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from e2r_bench.cli import main
from e2r_bench.report.compare import origins
from e2r_bench.run.services import open_resolver
from e2r_bench.run.timing import build_now, times_of
from e2r_bench.store.info import marked, unmarked
from e2r_bench.store.store import Store, open_store
from e2r_bench.studies.contest import Asked, contest
from e2r_bench.studies.sides import Criteria
from e2r_metrics import Session

NAME = "promptir-nano (edition 3)"
PRINTED = "promptir-nano (miniature, edition 3)"


def asked(out: Path) -> list[str]:
    return [
        "run", "--methods", "promptir", "--tasks", "denoise25", "--limit", "3", "--metrics", "psnr",
        "--device", "cpu", "--offline", "--out", str(out),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the miniature of PromptIR."""
    out = tmp_path_factory.mktemp("editions") / "run"
    assert main(asked(out)) == 0
    return out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def edit(folder: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Change what run.json says of the method."""
    path = folder / "run.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content["methods"]["promptir"])
    path.write_text(json.dumps(content), encoding="utf-8")


def of_before(folder: Path) -> None:
    """Make a folder as versions left it that did not name the edition."""
    edit(folder, lambda method: method.update(build="promptir-nano"))
    for name in ("per_image.jsonl", "summary.csv", "summary.json"):
        path = folder / name
        path.write_text(path.read_text(encoding="utf-8").replace(NAME, "promptir-nano"), "utf-8")


@pytest.mark.parametrize(
    ("build", "told"),
    [
        ("promptir-nano", "promptir-nano (miniature)"),
        ("kontext-nano (edition 3)", "kontext-nano (miniature, edition 3)"),
        ("kontext-nano+mine (edition 3)", "kontext-nano+mine (miniature, edition 3)"),
        ("a, kontext-nano (edition 3)", "a, kontext-nano (miniature, edition 3)"),
    ],
)  # fmt: skip
def test_the_mark_of_a_miniature_goes_before_its_edition_and_comes_off_again(
    build: str, told: str
) -> None:
    assert marked(build) == told
    assert unmarked(told) == build
    assert unmarked("FLUX.1-Kontext-dev") == "FLUX.1-Kontext-dev"


def test_every_record_has_the_edition(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(made)
    assert store.info.methods["promptir"].build == NAME
    rows, lines = store.frame(), store.summary()
    assert set(rows[rows.method == "promptir"].build) == {NAME}
    assert set(lines[lines.method == "promptir"].build) == {NAME}
    assert PRINTED in (made / "report.md").read_text(encoding="utf-8").replace("\\", "")
    assert main(["compare", str(made), "--offline"]) == 0
    assert f"promptir: {NAME}, MINIATURE" in capsys.readouterr().out
    assert main(["methods"]) == 0
    assert PRINTED in capsys.readouterr().out


def test_a_run_of_before_goes_on_under_the_name_that_says_more(run: Path, made: Path) -> None:
    of_before(run)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("images/**/*.png")}
    assert main(asked(run)) == 0
    assert {path: path.stat().st_mtime_ns for path in run.rglob("images/**/*.png")} == before
    for name in ("per_image.jsonl", "summary.csv"):
        assert (run / name).read_bytes() == (made / name).read_bytes()


def test_another_edition_is_refused_by_what_changed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_before(run)
    edit(run, lambda method: method.update(weights={"promptir-nano": "0" * 64}))
    assert main(asked(run)) == 2
    said = capsys.readouterr().err
    assert f"promptir: build promptir-nano -> {NAME}; weights" in said
    assert main([*asked(run), "--redo"]) == 0
    assert open_store(run).info.methods["promptir"].build == NAME


def test_a_run_of_before_is_read_reported_and_compared_by_its_hashes(run: Path, made: Path) -> None:
    of_before(run)
    other = Path(shutil.copytree(run, run.parent / "other"))
    edit(other, lambda method: method.update(weights={"promptir-nano": "0" * 64}))
    assert main(["report", str(run)]) == 0
    assert "promptir-nano (miniature)" in (run / "report.md").read_text("utf-8").replace("\\", "")
    told = "both say promptir-nano, with different weights"
    assert any(told in fact for fact in facts(run, other))
    assert not any(told in fact for fact in facts(run, made))


def test_a_plan_takes_the_times_of_a_run_of_before_where_the_files_are_those_of_now(
    run: Path,
) -> None:
    info = open_store(run).info.methods["promptir"]
    assert build_now(info) == NAME
    of_before(run)
    times, _ = times_of(open_store(run))
    assert {key[:3] for key in times} >= {("promptir", NAME, "denoise25")}
    edit(run, lambda method: method.update(weights={"promptir-nano": "0" * 64}))
    times, _ = times_of(open_store(run))
    assert {key[:3] for key in times} >= {("promptir", "promptir-nano", "denoise25")}


def facts(*folders: Path) -> tuple[str, ...]:
    stores: list[Store] = [open_store(folder) for folder in folders]
    session = Session(open_resolver((), True, lambda _: None))
    return contest(origins(stores), Asked(), Criteria(session)).facts
