"""The page and its Markdown twin, without a browser."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from e2r_bench.cli import main
from e2r_bench.report.page import write_report
from e2r_bench.store.store import Store
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.files import write_text

HOSTILE_METHOD = "folder:<script>alert('m')</script>\"&é"
HOSTILE_IMAGE = "\"><img src=x onerror=alert(1)> 'ünï' {{7*7}}"


@pytest.fixture(scope="module")
def page(plain_run: Store) -> str:
    return write_report(plain_run).read_text(encoding="utf-8")


def visible(page: str) -> str:
    return html.unescape(
        re.sub(r"<script.*?</script>|<style.*?</style>|<[^>]*>", "", page, flags=re.S)
    )


def test_policy_names_the_style_and_the_script_that_are_there(page: str) -> None:
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1])
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_nothing_is_loaded_from_elsewhere(page: str) -> None:
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    loaded = re.findall(r"""\s(?:src|href|action|srcset)="([^"]*)"|url\(([^)]*)\)""", markup)
    assert loaded
    assert not [
        one for pair in loaded for one in pair if one and one[0] != "#" and one[:5] != "data:"
    ]
    # The policy would refuse inline styles, and a page that counts on them would look broken.
    assert " style=" not in markup


def test_the_answer_comes_first_then_verdicts_then_numbers(page: str) -> None:
    names = ("answer", "verdicts", "metrics", "look", "gallery")
    order = [page.index(f'id="{name}"') for name in names]
    assert order == sorted(order)
    assert "C1" in page
    assert "undecided" in page


def test_what_was_run_is_said(page: str) -> None:
    text = visible(page)
    for said in (
        "kontext-nano (miniature)",
        "promptir-nano (miniature)",
        "e2r(crop=none",
        "0123abc",
        "torch = 2.15",
        "n = 6 (6 scenes)",
        "e2r-bench weights fetch x",
    ):
        assert said in text


def test_sections_that_would_be_empty_are_absent(run_copy: Store) -> None:
    for path in (run_copy.folder / "studies" / "seeds").iterdir():
        path.unlink()
    page = write_report(run_copy).read_text(encoding="utf-8")
    for name in ("verdicts", "studies", "failures"):
        assert f'id="{name}"' not in page
        assert f'href="#{name}"' not in page
    assert "Verdicts" not in (run_copy.folder / "report.md").read_text(encoding="utf-8")


def test_a_study_cannot_bring_markup(run_copy: Store) -> None:
    section = {
        "title": "<b>bold</b>",
        "markdown": "<script>alert(1)</script>\n\n![x](http://e.org/i) [a](javascript:alert(1))",
        "plots": ["../../../etc/passwd", "plot.svg"],
    }
    folder = run_copy.folder / "studies" / "seeds"
    write_text(folder / "section.json", json.dumps(section))
    write_text(folder / "plot.svg", "<svg xmlns='http://www.w3.org/2000/svg'/>")
    page = write_report(run_copy).read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<b>bold" not in page
    assert 'href="javascript' not in page
    assert '<img src="http' not in page
    assert page.count("data:image/svg+xml") == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [("section.json", "{"), ("section.json", "[]"), ("verdicts.json", '{"a": 1}'),
     ("verdicts.json", '["a"]')],
)  # fmt: skip
def test_a_broken_study_is_one_line(run_copy: Store, name: str, content: str) -> None:
    write_text(run_copy.folder / "studies" / "seeds" / name, content)
    with pytest.raises(UsageError, match="expected"):
        write_report(run_copy)


@pytest.fixture(scope="module")
def hostile_run(build_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Store:
    spec = build_run.plain
    small = replace(
        spec,
        methods={HOSTILE_METHOD: ("<i>build</i>", False, 9.0)},
        images=[HOSTILE_IMAGE, "plain"],
        tasks={"denoise25": 25},
    )
    return build_run(tmp_path_factory.mktemp("h") / "<u>run & 'name'", small)


def test_hostile_names_are_text(hostile_run: Store) -> None:
    page = write_report(hostile_run).read_text(encoding="utf-8")
    for raw in ("<script>alert", "<img src=x", "<i>build", "<u>run"):
        assert raw not in page
    assert HOSTILE_METHOD in visible(page)
    assert "49" not in re.findall(r"<figcaption><strong>.*?</figcaption>", page)[0]
    data = json.loads(re.search(r'id="gallery-data">(.*?)</script>', page, flags=re.S)[1])
    assert {case["image"] for case in data["cases"]} == {HOSTILE_IMAGE, "plain"}


def test_hostile_names_are_text_in_markdown(hostile_run: Store) -> None:
    write_report(hostile_run)
    text = (hostile_run.folder / "report.md").read_text(encoding="utf-8")
    assert "<script>" not in text.replace("\\<", "")
    for line in text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (5, 4, 2)


def test_beside_links_the_files_of_the_run(run_copy: Store) -> None:
    page = write_report(run_copy, embed=False).read_text(encoding="utf-8")
    assert "data:image/webp" not in page
    links = re.findall(r'<script type="text/plain" id="p\d+">(.*?)</script>', page)
    assert links
    for link in links:
        assert (run_copy.folder / unquote(link)).is_file()


def test_beside_links_of_hostile_names_resolve(hostile_run: Store) -> None:
    page = write_report(hostile_run, embed=False).read_text(encoding="utf-8")
    links = re.findall(r'<script type="text/plain" id="p\d+">(.*?)</script>', page)
    assert all((hostile_run.folder / unquote(html.unescape(link))).is_file() for link in links)


def test_each_picture_is_stored_once(plain_run: Store, page: str) -> None:
    stored = re.findall(r'<script type="text/plain" id="p\d+">(.*?)</script>', page)
    # Six pictures: a truth for both tasks; per task an input, two outputs and their overlays; and
    # per task the painted maps of two outputs.
    assert len(stored) == len(set(stored)) == 6 + 2 * 6 * (1 + 2 + 2) + 2 * 2


def test_gallery_scores_are_those_of_the_rows(plain_run: Store, page: str) -> None:
    data = json.loads(re.search(r'id="gallery-data">(.*?)</script>', page, flags=re.S)[1])
    rows = plain_run.frame()
    case = next(
        c for c in data["cases"] if c["method"] == "kontext_lora" and c["image"] == "photo3"
    )
    chosen = rows[
        (rows.method == "kontext_lora") & (rows.image == "photo3") & (rows.task == case["task"])
        & (rows.seed == 0) & (rows.steps == 28) & (rows.metric == "psnr")
    ]  # fmt: skip
    assert case["scores"]["psnr:rgb"] == pytest.approx(float(chosen.value.iloc[0]), abs=1e-5)
    assert {"invented", "lost", "unfaithful"} <= case["scores"].keys()
    assert case["drawn"] == "seed 0, 28 steps"


def test_markdown_twin_has_the_numbers(plain_run: Store, page: str) -> None:
    text = (plain_run.folder / "report.md").read_text(encoding="utf-8")
    summary = plain_run.summary()
    value = summary[(summary.method == "promptir") & (summary.metric == "psnr")].iloc[0].value
    assert f"{value:.2f} ± " in text
    assert "**Miniature.**" in text
    assert "| C1 | supported |" in text


def test_command_writes_and_says_where(run_copy: Store, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", str(run_copy.folder), "--beside"]) == 0
    assert capsys.readouterr().out.strip() == str(run_copy.folder / "report.html")


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "expected a run folder" in capsys.readouterr().err


def test_pictures_too_small_for_maps_still_have_a_report(
    build_run: Callable, tmp_path: Path
) -> None:
    spec = replace(build_run.plain, images=["tiny"], seeds=(0,), steps=(8,), size=(12, 12))
    page = write_report(build_run(tmp_path / "tiny", spec)).read_text(encoding="utf-8")
    data = json.loads(re.search(r'id="gallery-data">(.*?)</script>', page, flags=re.S)[1])
    assert data["cases"][0]["size"] == [12, 12]
    assert data["cases"][0]["has"] == []
