"""The page in a real browser: it works, stays on the machine, and shows names as text."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.cli import main
from e2r_bench.maps.bands import FLAG, band_split
from e2r_bench.report.page import write_report
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import Store
from e2r_metrics.base.pictures import read_image, write_png

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright's client")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: apt-get install chromium"),
]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
HOSTILE_METHOD = "command:<script>alert('m')</script>\"&é"
HOSTILE_IMAGE = '"><img src=x onerror=alert(1)>ünï'


@dataclass
class Watched:
    """A page with everything it said and asked for."""

    page: "playwright.Page"
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def check(self) -> None:
        assert self.said == []
        assert [url for url in self.asked if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as client:
        launched = client.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def embedded(plain_run: Store) -> Path:
    return write_report(plain_run)


@pytest.fixture
def opened(browser: "playwright.Browser", embedded: Path) -> Iterator[Watched]:
    watched = watch(browser, embedded)
    yield watched
    watched.check()
    watched.page.close()


def watch(browser: "playwright.Browser", path: Path, **settings: object) -> Watched:
    page = browser.new_page(viewport={"width": 1200, "height": 800}, **settings)
    watched = Watched(page)
    page.on("console", lambda message: watched.said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: watched.said.append(str(error)))
    page.on("dialog", lambda dialog: watched.said.append(f"dialog: {dialog.message}"))
    page.on("request", lambda request: watched.asked.append(request.url[:80]))
    page.goto(path.as_uri())
    return watched


def names(page: "playwright.Page") -> list[str]:
    return page.locator(".card strong").all_text_contents()


def scores(page: "playwright.Page") -> list[float]:
    texts = page.locator(".card .score").all_text_contents()
    return [float(re.search(r"(\d+\.\d+)", text)[1]) for text in texts]


def transforms(page: "playwright.Page") -> list[list[float]]:
    images = page.locator(".pane img:not(.overlay)")
    texts = images.evaluate_all("all => all.map(e => getComputedStyle(e).transform)")
    return [[float(part) for part in text[7:-1].split(",")] for text in texts]


def test_sorts_both_ways_by_any_score(opened: Watched) -> None:
    page = opened.page
    assert page.locator("#sort").input_value() == "psnr:rgb"
    rising = scores(page)
    assert rising == sorted(rising), "worst first: PSNR rises"
    page.locator("#best").click()
    assert scores(page) == sorted(rising, reverse=True)
    page.locator("#sort").select_option("invented")
    page.locator("#worst").click()
    found = scores(page)
    assert found == sorted(found, reverse=True), "worst first: invention falls"
    assert found != rising


def test_filters_by_task_and_method(opened: Watched) -> None:
    page = opened.page
    assert page.locator(".card").count() == 24
    page.locator("#task").select_option("denoise50")
    assert page.locator(".card").count() == 12
    page.locator("#method").select_option("promptir")
    assert page.locator(".card").count() == 6
    assert page.locator("#count").text_content() == "6 of 24 pictures"
    assert all("promptir" in text for text in page.locator(".card").all_text_contents())


def test_slider_moves_the_split(opened: Watched) -> None:
    page = opened.page
    page.locator(".card").first.click()
    page.locator("#split").fill("25")
    box = page.locator(".pane").bounding_box()
    handle = page.locator(".pane .handle").bounding_box()
    assert handle["x"] + 1 - box["x"] == pytest.approx(box["width"] * 0.25, abs=2)
    clip = page.locator(".pane .after").evaluate("e => getComputedStyle(e).clipPath")
    assert "25%" in clip
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + box["height"] / 2)
    assert float(page.locator("#split").input_value()) == pytest.approx(75, abs=1)


def test_a_page_without_truths_offers_none(
    browser: "playwright.Browser", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    noise = np.random.default_rng(0).integers(0, 255, (120, 200, 3), np.uint8)
    write_png(tmp_path / "inputs" / "a.png", noise)
    words = ["--tasks", "custom:scans", "--data", "inputs", "--no-truth", "--metrics", "niqe"]
    assert main(["run", "--methods", "nlm", *words, "--offline", "--out", "run"]) == 0
    watched = watch(browser, tmp_path / "run" / "report.html")
    page = watched.page
    page.locator(".card").first.click()
    assert page.locator("#left option").all_text_contents() == ["input", "nlm"]
    assert (page.locator("#left").input_value(), page.locator("#right").input_value()) == (
        "input", "restored",
    )  # fmt: skip
    page.locator("#panes-mode").click()
    assert page.locator(".pane").count() == 2
    watched.check()
    page.close()


def test_panes_zoom_and_pan_together(opened: Watched) -> None:
    page = opened.page
    page.locator(".card").first.click()
    page.keyboard.press("s")
    panes = page.locator(".pane")
    assert panes.count() == 4, "input, two restorers, truth"
    box = panes.nth(1).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
    page.mouse.wheel(0, -600)
    page.wait_for_function("() => document.querySelector('#zoom-level').textContent !== '1×'")
    moved = transforms(page)
    # Panes differ by fractions of a pixel in width, and shifts are shares of it.
    assert all(one == pytest.approx(moved[0], abs=0.1) for one in moved)
    assert moved[0][0] > 2
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] * 0.1)
    page.mouse.up()
    panned = transforms(page)
    assert all(one == pytest.approx(panned[0], abs=0.1) for one in panned)
    assert panned[0][4] < moved[0][4] - 5
    page.keyboard.press("0")
    assert page.locator("#zoom-level").text_content() == "1×"


def test_opens_on_truth_and_method_with_what_was_invented(opened: Watched) -> None:
    page = opened.page
    page.locator(".card").first.click()
    assert page.locator("#left").input_value() == "truth"
    assert page.locator("#right").input_value() == "restored"
    assert page.locator("#map").input_value() == "invented"
    assert page.locator(".pane img.heat").count() == 2, "over both halves"
    before = page.locator("#scores").bounding_box()["y"]
    page.locator("#map").select_option("")
    assert page.locator(".pane img.overlay").count() == 0
    assert page.locator("#scores").bounding_box()["y"] == before, "the legend's room is kept"


def test_overlays_are_drawn_over_restored_pictures_only_side_by_side(opened: Watched) -> None:
    page = opened.page
    page.locator(".card").first.click()
    page.keyboard.press("s")
    assert page.locator(".pane img.heat").count() == 2
    assert "32 levels" in page.locator("#scale").text_content()
    page.locator("#opacity").fill("30")
    seen = page.locator(".pane img.heat").first.evaluate("e => getComputedStyle(e).opacity")
    assert float(seen) == pytest.approx(0.3)
    loaded = page.locator(".pane img").evaluate_all("all => all.map(e => e.naturalWidth)")
    assert all(width == 128 for width in loaded)
    page.keyboard.press("m")
    assert page.locator("#map").input_value() == "lost"


def test_blink_shows_the_other_picture_in_the_same_place(opened: Watched) -> None:
    page = opened.page
    page.locator(".card").first.click()
    method = page.locator("#right option:checked").text_content()
    page.keyboard.press("b")
    places = [page.locator(".pane").bounding_box()]
    assert page.locator(".pane .tag").text_content() == "ground truth"
    page.keyboard.press("b")
    places.append(page.locator(".pane").bounding_box())
    assert page.locator(".pane .tag").text_content() == method
    assert places[0] == places[1]
    page.locator("#auto").click()
    page.wait_for_function(
        "() => document.querySelector('.pane .tag').textContent === 'ground truth'"
    )
    page.wait_for_function(
        "() => document.querySelector('.pane .tag').textContent !== 'ground truth'"
    )
    page.keyboard.press("s")
    assert page.locator("#auto").get_attribute("aria-pressed") == "false"


def at_pixel(page: "playwright.Page", x: int, y: int, zoom: int = 1) -> tuple[float, float]:
    """Where a pixel of a picture of 128 stands on the screen, zoomed at its middle."""
    box, size = page.locator(".pane").first.bounding_box(), 128
    fit = min(box["width"], box["height"]) / size * zoom
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    return middle[0] + (x + 0.5 - size / 2) * fit, middle[1] + (y + 0.5 - size / 2) * fit


def test_pixel_values_are_those_of_the_files(opened: Watched, plain_run: Store) -> None:
    page = opened.page
    page.goto(f"{page.url.partition('#')[0]}#denoise25/promptir/photo1")
    page.reload()
    store, cell = plain_run, Cell("promptir", "denoise25", Draw(0, 0), "photo1")
    for x, y in ((0, 0), (17, 90), (127, 127)):
        page.mouse.move(*at_pixel(page, x, y))
        page.wait_for_function(
            "at => document.querySelector('#pixel').textContent.startsWith(at)", arg=f"x {x}, y {y}"
        )
        said = page.locator("#pixel").text_content()
        for label, path in (
            ("promptir", store.path(cell)),
            ("ground truth", store.clean_path("denoise25", "photo1")),
            ("input", store.degraded_path("denoise25", "photo1")),
        ):
            red, green, blue = read_image(path)[y, x]
            assert f"{label} {red} {green} {blue}" in said
        assert re.search(r"invented \d+ (to \d+ levels|levels or more)$", said)


def test_pixel_values_of_copies_say_so(
    browser: "playwright.Browser", run_copy: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("e2r_bench.report.page.LOSSLESS_BYTES", 0)
    watched = watch(browser, write_report(run_copy))
    page = watched.page
    page.locator(".card").first.click()
    page.mouse.move(*at_pixel(page, 5, 5))
    page.wait_for_function(
        "() => document.querySelector('#pixel').textContent.startsWith('x 5, y 5')"
    )
    assert "of the page's copies" in page.locator("#pixel").text_content()
    watched.check()
    page.close()


def test_linked_files_give_no_pixels_and_it_is_said(
    browser: "playwright.Browser", run_copy: Store
) -> None:
    watched = watch(browser, write_report(run_copy, embed=False))
    page = watched.page
    page.locator(".card").first.click()
    page.mouse.move(*at_pixel(page, 5, 5))
    page.wait_for_function("() => document.querySelector('#pixel').textContent.includes('--embed')")
    watched.check()
    page.close()


def colour_at(page: "playwright.Page", x: int, y: int, zoom: int) -> list[int]:
    """The colour on the screen at a pixel of the picture."""
    across, down = at_pixel(page, x, y, zoom)
    clip = {"x": across - 0.5, "y": down - 0.5, "width": 1, "height": 1}
    shot = cv2.imdecode(np.frombuffer(page.screenshot(clip=clip), np.uint8), cv2.IMREAD_COLOR)
    return shot[0, 0, ::-1].tolist()


def test_difference_is_amplified_as_it_says(opened: Watched, plain_run: Store) -> None:
    page = opened.page
    page.goto(f"{page.url.partition('#')[0]}#denoise25/promptir/photo1")
    page.reload()
    page.keyboard.press("d")
    for _ in range(7):
        page.keyboard.press("+")
    assert page.locator("#zoom-level").text_content() == "16×"
    truth = read_image(plain_run.clean_path("denoise25", "photo1")).astype(int)
    cell = Cell("promptir", "denoise25", Draw(0, 0), "photo1")
    apart = np.abs(read_image(plain_run.path(cell)).astype(int) - truth)
    for gain in (1, 4, 16):
        page.locator("#gain").select_option(str(gain))
        assert page.locator(".pane .tag").text_content() == f"|ground truth − promptir| ×{gain}"
        for x, y in ((64, 64), (66, 62), (61, 65)):
            wanted = np.minimum(apart[y, x] * gain, 255)
            assert colour_at(page, x, y, 16) == pytest.approx(wanted.tolist(), abs=1)


def test_contours_surround_what_is_flagged(opened: Watched, plain_run: Store) -> None:
    page = opened.page
    page.goto(f"{page.url.partition('#')[0]}#denoise50/promptir/photo1")
    page.reload()
    page.locator("#opacity").fill("0")
    page.locator("#split").fill("0")
    assert "contour: 6 levels or more" in page.locator("#scale").text_content()
    cell = Cell("promptir", "denoise50", Draw(0, 0), "photo1")
    maps = band_split(
        read_image(plain_run.path(cell)), read_image(plain_run.clean_path("denoise50", "photo1"))
    )
    flagged = (maps.invented >= FLAG).astype(np.uint8)
    assert 0 < flagged.mean() < 1
    box = page.locator(".pane").bounding_box()
    side = min(box["width"], box["height"])
    left = box["x"] + (box["width"] - side) / 2
    clip = {"x": left, "y": box["y"], "width": side, "height": side}
    lines = _contour_pixels(page.screenshot(clip=clip))
    edge = cv2.morphologyEx(flagged, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    near = cv2.dilate(edge, np.ones((3, 3), np.uint8))
    found = cv2.resize(lines, (128, 128), interpolation=cv2.INTER_AREA) > 0.1
    assert found.any()
    assert near[found].mean() > 0.97, "lines lie on the edges"
    page.keyboard.press("c")
    assert page.locator(".pane img.contour").count() == 0
    assert _contour_pixels(page.screenshot(clip=clip)).sum() < lines.sum() / 50


def _contour_pixels(shot: bytes) -> np.ndarray:
    pixels = cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR).astype(int)
    return (np.abs(pixels - np.array([0xD8, 0x4F, 0xFF])).max(axis=2) < 12).astype(np.float32)


def test_the_scale_can_be_the_pictures_own(opened: Watched) -> None:
    page = opened.page
    page.locator(".card").first.click()
    page.keyboard.press("x")
    said = page.locator("#scale-high").text_content()
    assert said != "32 levels and above"
    assert page.locator(".gain").first.evaluate("e => Number(e.getAttribute('slope'))") > 1
    page.locator("#own").click()
    assert page.locator("#scale-high").text_content() == "32 levels and above"


def test_scores_stand_in_three_groups_with_what_they_mean(opened: Watched) -> None:
    page = opened.page
    page.locator(".card").first.click()
    groups = page.locator("#scores .group")
    texts = [" ".join(text.split()) for text in groups.all_text_contents()]
    assert [text.split()[0] for text in texts] == ["Fidelity", "Perception", "Invented"]
    assert "psnr:rgb" in texts[0]
    assert "not measured" in texts[1]
    assert "invented_share" in texts[2]


def test_a_case_has_a_link(opened: Watched) -> None:
    page = opened.page
    page.locator("#task").select_option("denoise50")
    page.evaluate("location.hash = 'denoise25/kontext_lora/photo4'")
    page.wait_for_function("() => document.getElementById('viewer').open")
    assert page.locator("#viewer-title").text_content() == "photo4"
    assert page.locator("#viewer-note").text_content().startswith("denoise25 · kontext_lora")
    page.keyboard.press("ArrowRight")
    link = page.url.partition("#")[2]
    assert link.count("/") == 2
    assert "photo4" not in link or "kontext_lora" not in link or "denoise25" not in link
    title = page.locator("#viewer-title").text_content()
    page.reload()
    assert page.locator("#viewer-title").text_content() == title
    page.keyboard.press("Escape")
    page.wait_for_function("() => !location.hash")
    page.evaluate("location.hash = 'no/such/case'")
    assert not page.locator("#viewer").is_visible()


def test_a_crop_becomes_a_figure_and_a_command(opened: Watched, tmp_path: Path) -> None:
    page = opened.page
    page.goto(f"{page.url.partition('#')[0]}#denoise25/promptir/photo1")
    page.reload()
    page.keyboard.press("f")
    page.mouse.move(*at_pixel(page, 30, 40))
    page.mouse.down()
    page.mouse.move(*at_pixel(page, 61, 55))
    page.mouse.up()
    command = page.locator("#figure-command").text_content()
    wanted = "e2r-bench report plain --figure denoise25/promptir/photo1 --crop 30,40,32,16"
    assert command == wanted
    assert page.locator(".boxes rect").get_attribute("width") == "32"
    with page.expect_download() as download:
        page.locator("#save-figure").click()
    download.value.save_as(tmp_path / "figure.png")
    sheet = cv2.imread(str(tmp_path / "figure.png"))
    # Four pictures, with the crop enlarged four times below each.
    assert sheet.shape[1] == 4 * 136 + 8
    assert sheet.shape[0] > 128 + 64


def test_keyboard_walks_through_the_cases(opened: Watched) -> None:
    page = opened.page
    order = names(page)
    page.locator(".card").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#viewer-title").text_content() == order[0]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#viewer-title").text_content() == order[2]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.getElementById('viewer').open")
    # The dialog's close event comes a moment after it is closed.
    page.wait_for_function(
        "name => document.activeElement.querySelector('strong')?.textContent === name",
        arg=order[1],
    )


@pytest.mark.parametrize(("scheme", "expected"), [("light", True), ("dark", False)])
def test_follows_the_theme_and_can_be_told(
    browser: "playwright.Browser", embedded: Path, scheme: str, expected: bool
) -> None:
    watched = watch(browser, embedded, color_scheme=scheme)
    page = watched.page
    paper = "getComputedStyle(document.body).backgroundColor"

    def light() -> bool:
        return int(re.search(r"(\d+)", page.evaluate(paper))[1]) > 128

    assert light() is expected
    page.locator("[data-theme-choice='dark']").click()
    assert not light()
    page.locator("[data-theme-choice='light']").click()
    assert light()
    watched.check()
    page.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_fits_the_screen(browser: "playwright.Browser", embedded: Path, width: int) -> None:
    watched = watch(browser, embedded)
    page = watched.page
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".card").first.click()
    stage = page.locator("#stage").bounding_box()
    assert stage["width"] <= width
    assert stage["height"] >= 180
    watched.check()
    page.close()


def test_print_keeps_answer_studies_and_maps(opened: Watched) -> None:
    page = opened.page
    pdf = page.pdf(prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page[^s]", pdf)) <= 3
    page.emulate_media(media="print")
    for kept in ("#answer", "#verdicts", "#metrics", "#studies", "#draws", ".strip.maps img"):
        assert page.locator(kept).first.is_visible(), kept
    for gone in (".contents", "#gallery", ".themes", "#run details"):
        assert not page.locator(gone).first.is_visible(), gone


@pytest.fixture(scope="module")
def judged(judged_run: Store) -> Path:
    return write_report(judged_run)


@pytest.mark.parametrize(("width", "height", "tasks"), [(1440, 900, 5), (390, 844, 1)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_answers(
    browser: "playwright.Browser", judged: Path, width: int, height: int, tasks: int, scheme: str
) -> None:
    watched = watch(browser, judged, color_scheme=scheme)
    page = watched.page
    page.set_viewport_size({"width": width, "height": height})
    rows = page.locator(".answer-row")
    assert rows.count() == 5
    for at in range(tasks):
        box = rows.nth(at).bounding_box()
        assert box["y"] + box["height"] <= height
    said = " ".join(rows.first.text_content().split())
    assert re.search("against kontext_lora ?promptir worse: less faithful, less pretty", said)
    cells = rows.first.locator("td")
    assert cells.count() == 3, "fidelity, perception, invented"
    fidelity = " ".join(cells.nth(0).text_content().split())
    assert re.search(r"^kontext_lora \d\d\.\d\d dB psnr:rgb better.*, \+\d\.\d+ \[\+", fidelity)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    watched.check()
    page.close()


def test_the_contents_stay_in_sight(opened: Watched) -> None:
    page = opened.page
    page.locator("#run").scroll_into_view_if_needed()
    assert page.evaluate("scrollY") > 500
    box = page.locator(".contents").bounding_box()
    assert box["y"] == pytest.approx(0, abs=1)
    page.locator(".contents a[href='#metrics']").click()
    page.wait_for_function(
        """() => { const y = document.querySelector('#metrics').getBoundingClientRect().y;
        return y >= 0 && y < 120; }"""
    )


def test_pictures_keep_their_room_before_they_load(opened: Watched) -> None:
    sizes = opened.page.locator("#look img").evaluate_all(
        "all => all.map(e => [e.width > 0, e.getAttribute('width'), e.getAttribute('height')])"
    )
    assert sizes
    assert all(known and width and height for known, width, height in sizes)


def test_hostile_names_are_shown_as_text(
    browser: "playwright.Browser", build_run: Callable, tmp_path: Path
) -> None:
    spec = replace(
        build_run.plain,
        methods={HOSTILE_METHOD: ("<i>b</i>", False, 9.0)},
        images=[HOSTILE_IMAGE, "plain"],
        tasks={"denoise25": 25},
    )
    run = build_run(tmp_path / "<u>run", spec)
    for embed in (True, False):
        watched = watch(browser, write_report(run, embed))
        page = watched.page
        assert set(names(page)) == {HOSTILE_IMAGE, "plain"}
        assert HOSTILE_METHOD in page.locator("#metrics").text_content()
        assert HOSTILE_METHOD in page.locator("#method").text_content()
        page.locator(".card", has_text="onerror").click()
        assert page.locator("#viewer-title").text_content() == HOSTILE_IMAGE
        assert HOSTILE_METHOD in page.locator("#viewer-note").text_content()
        assert page.locator("main i, main u, dialog i").count() == 0
        widths = page.locator(".pane img:not(.overlay)").evaluate_all(
            "all => Promise.all(all.map(e => e.decode().then(() => e.naturalWidth)))"
        )
        assert widths == [128, 128]
        watched.check()
        page.close()


def test_hundreds_of_cases_are_made_as_they_come_near(
    browser: "playwright.Browser", build_run: Callable, tmp_path: Path
) -> None:
    images = [f"p{k:03d}" for k in range(250)]
    spec = replace(
        build_run.plain,
        images=images,
        tasks={"denoise25": 25},
        seeds=(0,),
        steps=(8,),
        size=(16, 16),
    )
    watched = watch(browser, write_report(build_run(tmp_path / "many", spec)))
    page = watched.page
    assert page.locator("#count").text_content() == "500 of 500 pictures"
    assert page.locator(".card").count() <= 80
    page.wait_for_function(
        """() => {
          document.getElementById("more").scrollIntoView({behavior: "instant"});
          return document.querySelectorAll(".card").length === 500;
        }"""
    )
    watched.check()
    page.close()


def test_heads_of_metrics_wrap_before_their_variant_and_unit(opened: Watched) -> None:
    # Without numbers below them, and without room, heads are as narrow as they get.
    opened.page.evaluate(
        """() => { const table = document.querySelector(".metrics");
        table.tBodies[0].remove(); table.style.minWidth = 0; table.style.width = "1px" }"""
    )
    head = opened.page.locator(".metrics thead .num", has_text="psnr:").first
    variant, unit = head.locator(".whole"), head.locator(".unit")
    assert variant.text_content().split() == ["rgb", "↑"]
    middle, last = variant.bounding_box(), unit.bounding_box()
    assert middle["y"] >= head.bounding_box()["y"] + last["height"], "below the name"
    assert middle["height"] < 1.5 * last["height"], "an arrow stays with its variant"
    assert last["y"] >= middle["y"] + middle["height"] - 1, "below the variant"
