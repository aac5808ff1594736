"""A picture that failed: struck out alone, and named with its reason."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from e2r_bench.report.failures import failures_of
from e2r_bench.report.page import write_report
from e2r_bench.report.table import blocks
from e2r_bench.store.store import Store

REASON = "PictureError: <b>too large</b> | for 2 GiB"


@pytest.fixture(scope="module")
def failed_run(build_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Store:
    spec = replace(
        build_run.plain,
        tasks={"denoise25": 25},
        seeds=(0,),
        steps=(8,),
        size=(48, 48),
        broken={("promptir", "denoise25", f"photo{k}"): REASON for k in (1, 4)},
    )
    return build_run(tmp_path_factory.mktemp("runs") / "failed", spec)


def test_a_failed_picture_strikes_itself_out_and_not_the_column(failed_run: Store) -> None:
    (block,) = blocks({"": failed_run})
    column = next(c for c in block.columns if c.key == "psnr:rgb")
    at = block.columns.index(column)
    assert column.mixture == ""
    assert column.low is not None, "the whiskers of the others are still drawn"
    by_method = {line.method: line for line in block.lines}
    struck = by_method["promptir"]
    said = (*struck.notes, *struck.entries[at].notes)
    assert [note for note in said if "2 of 6 images failed" in note]
    assert struck.entries[at].n == 4
    for name in ("kontext_lora", "degraded"):
        assert by_method[name].notes == by_method[name].entries[at].notes == ()


def test_failures_stand_together_by_reason(failed_run: Store) -> None:
    (one,) = failures_of("", failed_run)
    assert (one.method, one.task, one.reason) == ("promptir", "denoise25", REASON)
    assert one.images == ("photo1", "photo4")


def test_a_number_that_failed_is_named_with_its_metric(run_copy: Store) -> None:
    rows = list(run_copy.rows().all)
    at = next(k for k, row in enumerate(rows) if row.method == "promptir" and row.metric == "ssim")
    bad = rows[at].model_copy(update={"value": None, "status": "failed", "note": "too small"})
    run_copy.replace_rows([*rows[:at], bad, *rows[at + 1 :]])
    (one,) = failures_of("", run_copy)
    assert one.reason == "ssim:uniform7: too small"
    assert one.images == (bad.image,)


def test_page_and_markdown_list_names_and_reasons_as_text(failed_run: Store) -> None:
    page = write_report(failed_run).read_text(encoding="utf-8")
    (section,) = re.findall(r'<section id="failures".*?</section>', page, flags=re.S)
    assert "photo1, photo4" in section
    assert "&lt;b&gt;too large&lt;/b&gt;" in section
    assert "<details open>" in section
    text = (failed_run.folder / "report.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("| promptir | denoise25 |")]
    assert "photo1, photo4" in line
    assert len(re.findall(r"(?<!\\)\|", line)) == 6


def test_many_failures_are_folded(build_run: Callable, tmp_path: Path) -> None:
    images = [f"p{k:02d}" for k in range(30)]
    broken = {("promptir", "denoise25", name): f"reason {name}" for name in images[:9]}
    broken |= {("kontext_lora", "denoise25", name): "one reason" for name in images[:25]}
    spec = replace(
        build_run.plain,
        images=images, tasks={"denoise25": 25}, seeds=(0,), steps=(8,), size=(16, 16),
        broken=broken,
    )  # fmt: skip
    page = write_report(build_run(tmp_path / "many", spec)).read_text(encoding="utf-8")
    (section,) = re.findall(r'<section id="failures".*?</section>', page, flags=re.S)
    assert "<details>" in section
    assert "p19, and 5 more: see failures.json and per_image.jsonl" in section


def test_a_run_without_failures_has_no_such_section(plain_run: Store) -> None:
    page = write_report(plain_run).read_text(encoding="utf-8")
    assert 'id="failures"' not in page
    assert "What failed" not in (plain_run.folder / "report.md").read_text(encoding="utf-8")
