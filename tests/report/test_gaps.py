"""Step charts: paired differences to the longest schedule, as the numbers of the run give them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.report.gaps import curve_of, gap_chart
from e2r_bench.report.page import write_report
from e2r_bench.report.plots import charts
from e2r_bench.store.store import Store

TASK, KEY = "denoise25", "psnr:rgb"


@pytest.fixture(scope="module")
def stepped(build_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Store:
    spec = replace(
        build_run.plain, images=[f"photo{k:02d}" for k in range(12)], tasks={TASK: 25},
        size=(32, 32), steps=(4, 8, 28),
    )  # fmt: skip
    return build_run(tmp_path_factory.mktemp("stepped") / "run", spec)


def test_gaps_are_paired_means_over_seeds(stepped: Store) -> None:
    curve = curve_of(stepped, "kontext_lora", TASK, KEY)
    assert curve is not None
    assert curve.counts == (4, 8, 28)
    for count, gap in zip(curve.counts, curve.gaps, strict=True):
        apart = [
            stepped.values("kontext_lora", TASK, Draw(seed, count), KEY)[image]
            - stepped.values("kontext_lora", TASK, Draw(seed, 28), KEY)[image]
            for seed in (0, 1) for image in stepped.images(TASK)
        ]  # fmt: skip
        assert gap.value == pytest.approx(np.mean(apart))
        assert gap.scenes == 12
    assert curve.gaps[-1].value == 0
    means = curve.values.mean(axis=(0, 1))
    assert means[curve.counts.index(curve.best)] == means.max()


def test_a_chart_has_the_margin_the_intervals_and_what_was_found(stepped: Store) -> None:
    chart = gap_chart(stepped, TASK, KEY)
    assert chart is not None
    assert chart.against == "28 steps"
    top, zero, bottom = chart.band or (0, 0, 0)
    assert top < zero < bottom
    assert zero - top == pytest.approx(bottom - zero)
    (series,) = chart.series
    assert len(series.bars) == 3
    assert all(upper <= lower for _, upper, lower in series.bars)
    best = next(mark for mark in series.marks if mark.kind == "best")
    assert best.x in [x for x, _ in chart.steps]
    assert series.says


def test_the_page_shows_them(stepped: Store) -> None:
    page = write_report(stepped).read_text(encoding="utf-8")
    assert f"{KEY}, minus that of 28 steps" in page
    assert 'class="margin"' in page
    assert "best mean at" in page


def test_few_scenes_have_no_interval_and_no_knee(plain_run: Store) -> None:
    chart = gap_chart(plain_run, TASK, KEY)
    assert chart is not None
    assert chart.series[0].bars == ()
    assert {mark.kind for mark in chart.series[0].marks} == {"best"}


def test_seeds_alone_show_values(build_run: Callable, tmp_path: Path) -> None:
    spec = replace(build_run.plain, tasks={TASK: 25}, size=(32, 32), steps=(28,))
    shown = charts(build_run(tmp_path / "run", spec))
    assert shown
    assert all(not chart.against for chart in shown)
