"""A page of 500 pictures and three methods beside its files: how soon it opens, how it scrolls."""

import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from e2r_bench.report.page import write_report

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright's client")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH: apt-get install chromium"),
]
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu"]
SCROLL = """async () => {
  const frames = [];
  let last = performance.now();
  document.documentElement.style.scrollBehavior = "auto";
  document.querySelector("#gallery").scrollIntoView();
  for (let k = 0; k < 240; k += 1) {
    scrollBy(0, 60);
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""


def quick(image: np.ndarray, strength: float) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), strength / 10)


@pytest.fixture(scope="module")
def many(build_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = replace(
        build_run.plain,
        methods={
            "kontext_lora": ("kontext-nano", True, 14.0),
            "promptir": ("promptir-nano", True, 9.0),
            "restormer": ("restormer", False, 18.0),
        },
        images=[f"photo{k:03d}" for k in range(500)],
        tasks={"denoise50": 50},
        seeds=(0,),
        steps=(28,),
        size=(321, 481),
        restore=quick,
    )
    return write_report(build_run(tmp_path_factory.mktemp("many") / "run", spec), embed=False)


def test_500_pictures_open_at_once_and_scroll_smoothly(many: Path) -> None:
    with playwright.sync_playwright() as client:
        browser = client.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        started = time.perf_counter()
        page.goto(many.as_uri())
        page.locator(".card").first.wait_for(state="attached")
        opened = time.perf_counter() - started
        frames = page.evaluate(SCROLL)
        browser.close()
    print(f"opened in {opened:.2f} s; median frame {statistics.median(frames):.1f} ms")
    assert opened < 3
    assert statistics.median(frames) <= 20
