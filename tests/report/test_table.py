"""The metric table: every number with its n, interval and build; mixtures are marked."""

import pytest
from scipy import stats

from e2r_bench.report.entries import Entry
from e2r_bench.report.labels import number, spread
from e2r_bench.report.table import Block, Line, blocks
from e2r_bench.report.unmeasured import one_line
from e2r_bench.run.summary import write_summary
from e2r_bench.store.store import Store
from e2r_metrics import Resolver, Session
from e2r_metrics.base.files import write_text


def edit_summary(run: Store, column: str, value: object, method: str, metric: str) -> None:
    summary = run.summary()
    chosen = (summary.method == method) & (summary.metric == metric)
    summary[column] = summary[column].where(~chosen, value)
    write_text(run.folder / "summary.csv", summary.to_csv(index=False))


def first(run: Store) -> Block:
    return blocks({"": run})[0]


def line(block: Block, method: str) -> Line:
    return next(one for one in block.lines if one.method == method)


def entry(block: Block, method: str, key: str) -> Entry:
    at = [column.key for column in block.columns].index(key)
    return line(block, method).entries[at]


def test_one_table_per_task_with_controls_and_a_line_per_schedule(plain_run: Store) -> None:
    tables = blocks({"": plain_run})
    assert [block.task for block in tables] == list(plain_run.info.tasks)
    methods = [one.method for one in tables[0].lines]
    assert methods.count("kontext_lora") == 2
    drawn = [one.drawn for one in tables[0].lines if one.method == "kontext_lora"]
    assert drawn == ["mean of 2 seeds, 8 steps", "mean of 2 seeds, 28 steps"]
    assert [one.drawn for one in line(tables[0], "kontext_lora").seeds] == [
        "seed 0, 8 steps",
        "seed 1, 8 steps",
    ]
    assert methods.count("promptir") == 1
    assert {one.method for one in tables[0].lines if one.control} == {"clean", "degraded"}


def test_numbers_and_intervals_are_those_of_the_summary(plain_run: Store) -> None:
    summary = plain_run.summary()
    chosen = summary[(summary.method == "promptir") & (summary.metric == "psnr")].iloc[0]
    found = entry(first(plain_run), "promptir", "psnr:rgb")
    assert found.text == f"{chosen.value:.2f}"
    assert (found.low, found.high) == (chosen.low, chosen.high)
    assert found.spread == f"{(chosen.high - chosen.low) / 2:.2f}"
    assert found.n == 6


def test_a_miniature_is_named_on_its_row(plain_run: Store) -> None:
    block = first(plain_run)
    assert line(block, "kontext_lora").build == "kontext-nano (miniature)"
    assert line(block, "clean").build == ""


def test_seeds_fold_into_the_mean_of_each_picture(plain_run: Store) -> None:
    rows = plain_run.frame()
    mine = rows[(rows.method == "kontext_lora") & (rows.metric == "psnr") & (rows.steps == 8)]
    values = mine[mine.task == "denoise25"].groupby("image").value.mean().to_numpy()
    found = entry(first(plain_run), "kontext_lora", "psnr:rgb")
    low, high = stats.t.interval(0.95, 5, values.mean(), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low, high))
    assert found.n == 6


def test_a_picture_that_failed_in_one_seed_is_left_out_of_the_mean_and_said(
    run_copy: Store,
) -> None:
    rows = list(run_copy.rows().all)
    wanted = ("kontext_lora", "denoise25", 1, 8, "psnr")
    at = next(
        k
        for k, row in enumerate(rows)
        if (row.method, row.task, row.seed, row.steps, row.metric) == wanted
    )
    failed = rows[at].model_copy(update={"value": None, "status": "failed", "note": "too large"})
    run_copy.replace_rows([*rows[:at], failed, *rows[at + 1 :]])
    write_summary(run_copy, Session(Resolver({}, (), offline=True)), lambda *_: None)
    block = first(run_copy)
    found = entry(block, "kontext_lora", "psnr:rgb")
    assert found.n == 5
    assert "1 of 6 images failed" in found.notes
    assert not any(column.mixture for column in block.columns)
    assert entry(block, "kontext_lora", "ssim:uniform7").n == 6


def test_an_identical_pair_is_infinite_and_outside_the_scale(plain_run: Store) -> None:
    found = entry(first(plain_run), "clean", "psnr:rgb")
    assert found.text == "∞"
    assert found.value is None


def test_a_missing_metric_is_one_line_that_says_how_to_fetch_it(plain_run: Store) -> None:
    block = first(plain_run)
    assert [column.key for column in block.columns] == ["psnr:rgb", "ssim:uniform7"]
    (said,) = one_line(block.unmeasured)
    assert said == (
        "not measured: lpips:alex (no such file here; to fetch: e2r-bench weights fetch x)"
    )


def test_a_metric_that_one_line_has_keeps_its_column(run_copy: Store) -> None:
    for method in ("degraded", "clean", "kontext_lora"):
        edit_summary(run_copy, "status", "not measured", method, "ssim")
    found = first(run_copy)
    assert entry(found, "degraded", "ssim:uniform7").text == "not measured"
    assert entry(found, "promptir", "ssim:uniform7").status == "ok"


@pytest.mark.parametrize(
    ("column", "value", "said"), [("n", 5, "n differs"), ("protocol", "other", "protocol differs")]
)
def test_a_mixture_in_a_column_is_marked(
    run_copy: Store, column: str, value: object, said: str
) -> None:
    assert not any(c.mixture for c in first(run_copy).columns)
    edit_summary(run_copy, column, value, "promptir", "psnr")
    block = first(run_copy)
    mixed = {c.key: c.mixture for c in block.columns}
    assert "may not be compared" in mixed["psnr:rgb"]
    assert not mixed["ssim:uniform7"]
    # The odd cell is the one marked, and nothing in the column is drawn to one scale.
    assert any(said in note for note in entry(block, "promptir", "psnr:rgb").notes)
    assert not entry(block, "degraded", "psnr:rgb").notes
    assert next(c for c in block.columns if c.key == "psnr:rgb").low is None


def test_two_noise_realisations_never_share_a_column_unmarked(plain_run: Store) -> None:
    task = next(iter(plain_run.info.tasks))
    other = plain_run.info.tasks[task].model_copy(update={"degradation": "Gaussian, seed 9"})
    info = plain_run.info.model_copy(update={"tasks": {**plain_run.info.tasks, task: other}})
    block = blocks({"a": plain_run, "b": Store(plain_run.folder, info)})[0]
    assert block.columns
    assert all(c.mixture for c in block.columns)


def test_failed_cells_say_so(run_copy: Store) -> None:
    edit_summary(run_copy, "status", "failed", "promptir", "ssim")
    edit_summary(run_copy, "note", "6 of 6 images failed", "promptir", "ssim")
    found = entry(first(run_copy), "promptir", "ssim:uniform7")
    assert (found.text, found.value) == ("failed", None)
    assert "6 of 6" in found.notes[0]


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (31.415, "dB", "31.41"),
        (0.12345, "", "0.1235"),
        (-3.5, "dB", "−3.50"),
        (float("inf"), "dB", "∞"),
        (float("nan"), "", "undefined"),
        (123.456, "", "123.46"),
    ],
)
def test_digits(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


@pytest.mark.parametrize(
    ("half", "value", "text"),
    [(0.4213, 31.4, "0.42"), (0.004, 31.4, "0.004"), (0.0123, 0.8, "0.0123"), (0.0, 0.8, "0.0000"),
     (3.2011, 120.31, "3.20"), (0.00002, 0.8, "0.00002")],
)  # fmt: skip
def test_half_an_interval_has_its_values_digits_and_never_rounds_to_none(
    half: float, value: float, text: str
) -> None:
    assert spread(half, value) == text


def test_a_note_on_all_numbers_of_a_line_is_said_once(run_copy: Store) -> None:
    note = "the method is not made for this task"
    for metric in ("psnr", "ssim"):
        edit_summary(run_copy, "note", note, "promptir", metric)
    found = line(first(run_copy), "promptir")
    assert found.notes == (note,)
    assert not any(one.notes for one in found.entries if one.status == "ok")
