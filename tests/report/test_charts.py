"""Figures over all methods: what they draw is what was judged."""

import numpy as np
import pytest

from e2r_bench.cli import main
from e2r_bench.report.arms import Arm
from e2r_bench.report.charts import improved, profile, rows_of, write_charts
from e2r_bench.report.headline import headline
from e2r_bench.store.store import Store


def test_command_writes_every_kind_and_the_same_bytes_again(
    run_copy: Store, capsys: pytest.CaptureFixture
) -> None:
    assert main(["report", str(run_copy.folder), "--plots"]) == 0
    said = capsys.readouterr().out.split()
    names = [f"{stem}.{kind}" for stem in ("forest", "improvement", "profiles")
             for kind in ("png", "svg", "pdf")]  # fmt: skip
    assert [line.rpartition("/")[2] for line in said] == names
    first = {path: path.read_bytes() for path in write_charts(run_copy)}
    assert {path: path.read_bytes() for path in write_charts(run_copy)} == first


def test_rows_are_set_against_the_first_method_in_the_runs_order(judged_run: Store) -> None:
    rows = list(rows_of(headline({"": judged_run}, {}).bench))
    mine = [row for row in rows if row.key == "psnr:rgb"]
    tasks = list(judged_run.info.tasks)
    assert [row.task for row in mine] == [task for task in tasks for _ in range(2)]
    assert [row.arm.name for row in mine[:2]] == ["promptir", "twin"]
    for row in mine:
        means = [
            np.mean(list(a.values(row.task, row.key).values())) for a in (row.arm, row.against)
        ]
        assert row.against.name == "kontext_lora"
        assert row.verdict.effect == pytest.approx(means[0] - means[1])


def test_a_method_alone_is_set_against_the_input(judged_run: Store) -> None:
    from e2r_bench.report.judged import bench_of

    arms = [Arm("", judged_run, name) for name in ("promptir", "degraded")]
    (row,) = rows_of(bench_of([("denoise25", "psnr:rgb", arms)]))
    assert (row.arm.name, row.against.name) == ("promptir", "degraded")
    shape = improved(row)
    assert shape is not None
    assert 0 <= shape.improved_low <= shape.improved <= shape.improved_high <= 1


def test_profiles_start_at_the_best_of_each_picture(judged_run: Store) -> None:
    arms = [Arm("", judged_run, name) for name in ("kontext_lora", "promptir")]
    for key, sign in (("psnr:rgb", 1), ("lpips:alex", -1)):
        found = profile(arms, "denoise25", key)
        one, two = (np.array(list(arm.values("denoise25", key).values())) for arm in arms)
        best = np.maximum(sign * one, sign * two)
        assert found["promptir"] == pytest.approx(np.sort(best - sign * two))
        assert min(short.min() for short in found.values()) == 0
        assert all((np.diff(short) >= 0).all() for short in found.values())


def test_infinite_values_have_no_place_in_a_profile(judged_run: Store) -> None:
    arms = [Arm("", judged_run, name) for name in ("clean", "promptir")]
    assert all(len(short) == 0 for short in profile(arms, "denoise25", "psnr:rgb").values())
