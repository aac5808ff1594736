"""Two runs on one page, or the reasons why not."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

from e2r_bench.cli import main
from e2r_bench.report.compare import differences
from e2r_bench.store.info import MetricInfo
from e2r_bench.store.store import Store


@pytest.fixture(scope="module")
def other_run(build_run: Callable, tmp_path_factory: pytest.TempPathFactory) -> Store:
    spec = replace(build_run.plain, methods={"restormer": ("restormer", False, 12.0)})
    return build_run(tmp_path_factory.mktemp("runs") / "other", spec)


def with_info(run: Store, **changes: object) -> Store:
    return Store(run.folder, run.info.model_copy(update=changes))


def test_equal_runs_share_a_page(plain_run: Store, other_run: Store, tmp_path: Path) -> None:
    out = tmp_path / "both.html"
    assert main(["compare", str(plain_run.folder), str(other_run.folder), "--out", str(out)]) == 0
    page = out.read_text(encoding="utf-8")
    assert "restormer" in page
    assert "kontext-nano (miniature)" in page
    assert 'class="mixed"' not in page
    assert (tmp_path / "both.md").is_file()


def test_steps_and_options_that_differ_are_said(
    build_run: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    one = replace(
        build_run.plain, images=["photo0", "photo1"], tasks={"denoise25": 25}, size=(40, 40),
        steps=(2,), options={"kontext_lora": {"guidance": 2.5}, "promptir": {"tile": 64}},
    )  # fmt: skip
    two = replace(one, steps=(1, 4), options={"promptir": {"tile": 64}})
    runs = [str(build_run(tmp_path / n, spec).folder) for n, spec in (("a", one), ("b", two))]
    assert main(["compare", *runs, "--metrics", "psnr", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert f"a: kontext_lora: kontext-nano, MINIATURE, 2 seeds, 2 steps; {runs[0]}" in facts
    assert f"b: kontext_lora: kontext-nano, MINIATURE, 2 seeds, 4 steps; {runs[1]}" in facts
    assert f"a: promptir: promptir-nano, MINIATURE; {runs[0]}" in facts
    # The schedule of one step is not what is compared, and equal options are not said.
    assert [line for line in facts if "differ in" in line] == [
        "b: kontext_lora and a: kontext_lora differ in steps 4 and 2, guidance its default and 2.5"
    ]
    assert main(["compare", *runs, "--metrics", "psnr"]) == 0
    assert "differ in steps 4 and 2" in " ".join(capsys.readouterr().out.split())
    assert main(["compare", runs[0], runs[0], "--metrics", "psnr"]) == 0
    assert "differ in" not in capsys.readouterr().out
    assert main(["compare", *runs, "--metrics", "psnr", "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    told = {row["first"]: (row["first_steps"], row["second_steps"]) for row in rows}
    assert told == {
        "a: promptir": ("", "2"), "b: kontext_lora": ("4", "2"), "b: promptir": ("", ""),
    }  # fmt: skip
    out = tmp_path / "both.html"
    assert main(["compare", *runs, "--out", str(out)]) == 0
    for page in (out, out.with_suffix(".md")):
        text = page.read_text(encoding="utf-8").replace("\\", "")
        assert "b: kontext_lora and a: kontext_lora differ in steps 4 and 2" in text
    assert main(["compare", runs[0], runs[0], "--out", str(out)]) == 0
    assert "differ in" not in out.read_text(encoding="utf-8")


def test_protocols_that_differ_are_refused_and_named(
    plain_run: Store, build_run: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    spec = replace(build_run.plain, methods={}, protocol="airnet", noise_seed=4, images=["photo0"])
    third = build_run(tmp_path / "third", spec)
    out = tmp_path / "no.html"
    assert main(["compare", str(plain_run.folder), str(third.folder), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for part in ("protocol e2r(", "airnet", "seed 0 and Gaussian", "6 and 1 pictures, 5 of them"):
        assert part in said
    assert not out.exists()


def test_metric_versions_and_variants_that_differ_are_named(
    plain_run: Store, other_run: Store
) -> None:
    metrics = dict(other_run.info.metrics)
    changed: MetricInfo = metrics["psnr:rgb"].model_copy(update={"protocol": "psnr:rgb v9"})
    said = list(
        differences(plain_run, with_info(other_run, metrics={**metrics, "psnr:rgb": changed}))
    )
    assert said == ["definition of psnr:rgb"]
    tasks = {
        name: task.model_copy(update={"variants": {**task.variants, "psnr": "y"}})
        for name, task in other_run.info.tasks.items()
    }
    said = list(differences(plain_run, with_info(other_run, tasks=tasks)))
    assert said == ["denoise25: psnr:rgb and psnr:y", "denoise50: psnr:rgb and psnr:y"]


def test_pictures_that_differ_under_one_name_are_found(plain_run: Store, run_copy: Store) -> None:
    assert list(differences(plain_run, run_copy)) == []
    path = run_copy.degraded_path("denoise25", "photo2")
    picture = cv2.imread(str(path))
    picture[0, 0] = 255 - picture[0, 0]
    cv2.imwrite(str(path), picture)
    assert list(differences(plain_run, run_copy)) == [
        "denoise25: 1 inputs of one name differ in their pixels"
    ]


def test_runs_without_a_common_task_are_refused(plain_run: Store) -> None:
    other = with_info(plain_run, tasks={"derain": plain_run.info.tasks["denoise25"]})
    assert "no task in common" in next(iter(differences(plain_run, other)))
