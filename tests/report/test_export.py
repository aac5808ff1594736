"""`export`: every form has each number of the table, with its interval and n."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from e2r_bench.cli import main
from e2r_bench.report.export import latex, markdown, records
from e2r_bench.report.hub import Target, eval_results
from e2r_bench.run.config import Experiment
from e2r_bench.run.runner import run_experiment
from e2r_bench.store.store import Store, open_store
from e2r_metrics.base.errors import UsageError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eleven scenes, two tasks, a method and the controls; `clean` has infinite PSNR."""
    place = tmp_path_factory.mktemp("export")
    experiment = Experiment(
        methods=("wavelet",), tasks=("denoise25", "derain"), limit=11, metrics=("psnr", "ssim"),
        device="cpu", offline=True, out=place / "run",
    )  # fmt: skip
    return run_experiment(experiment).store


@pytest.fixture
def run(store: Store) -> str:
    return str(store.folder)


def test_numbers_are_those_of_the_summary(store: Store) -> None:
    found = records(store)
    assert len(found) == 3 * 2 * 5
    summary = store.summary()
    for one in found:
        name, _, variant = one["metric"].partition(":")
        asked = {"task": one["task"], "method": one["method"], "metric": name, "variant": variant}
        row = summary.loc[(summary[list(asked)] == list(asked.values())).all(axis=1)].iloc[0]
        if one["value"] is None:
            assert (one["method"], name, one["notes"][0]) == ("clean", "psnr", "∞")
            continue
        assert (one["value"], one["n"]) == (row.value, 11)
        ends = [None if np.isnan(end) else end for end in (row.low, row.high)]
        assert [one["low"], one["high"]] == ends


def test_csv_and_json_say_the_same(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", run, "--to", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert main(["export", run, "--to", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["value"] for row in rows] == [
        "" if one["value"] is None else repr(one["value"]) for one in told
    ]
    assert all(row["protocol"] for row in rows)


def test_markdown_has_intervals_and_n(store: Store) -> None:
    text = markdown(store)
    assert re.search(
        r"\| wavelet \(no weights\) \| [\d.]+ \\\[[\d.]+, [\d.]+\\\] \(n=11\) \|", text
    )
    assert "n = 11 (11 scenes) of mini" in text
    tables = [block for block in text.split("\n\n") if block.startswith("| method")]
    assert len(tables) == 2
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)


def test_latex_is_whole_and_has_intervals_and_n(store: Store) -> None:
    text = latex(store)
    assert text.count(r"\begin{tabular}{lrrrrr}") == text.count(r"\end{tabular}") == 2
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(body) == 2 * (1 + 3)
    for line in body:
        plain = line.replace(r"\&", "")
        assert plain.count("&") == 5
        assert plain.count("{") == plain.count("}")
        assert "%" not in plain.replace(r"\%", "")
        assert plain.isascii()
    assert re.search(r"wavelet \(no weights\) & \{[\d.]+ \[[\d.]+, [\d.]+\] \(n=11\)\}", text)
    assert r"$\infty$" in text
    assert "% device cpu; e2r-bench " in text


def test_a_method_with_signs_of_latex_stays_one_cell(store: Store) -> None:
    info = store.info.methods["wavelet"].model_copy(update={"build": "50%_a&b"})
    other = Store(store.folder, store.info.model_copy(
        update={"methods": {**store.info.methods, "wavelet": info}}))  # fmt: skip
    assert r"wavelet (50\%\_a\&b) &" in latex(other)


def test_the_hub_reads_its_file(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--method", "wavelet", "--dataset", "org/mini", "--source", "https://example.org/run"]
    assert main(["export", run, "--to", "hub", *asked]) == 0
    content = yaml.safe_load(capsys.readouterr().out)
    entries = parse_eval_result_entries(content)
    assert len(entries) == 2 * 5
    first = entries[0]
    assert (first.dataset_id, first.task_id) == ("org/mini", "denoise25_psnr:rgb")
    assert first.source_url == "https://example.org/run"
    assert "n=11 of mini" in str(first.notes)
    assert "95% interval [" in str(first.notes)
    assert isinstance(first.value, float)


def test_a_model_card_takes_its_metadata(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--method", "wavelet", "--dataset", "org/mini"]
    assert main(["export", run, "--to", "model-card", *asked]) == 0
    card = ModelCard(capsys.readouterr().out)
    results = card.data.eval_results
    assert results is not None
    assert len(results) == 2 * 5
    assert {one.metric_type for one in results} >= {"psnr", "ssim", "invented_share"}
    assert "n=11" in str(results[0].metric_name)


def test_a_miniature_is_not_sent_to_the_hub(store: Store) -> None:
    info = store.info.methods["wavelet"].model_copy(update={"miniature": True})
    other = Store(store.folder, store.info.model_copy(
        update={"methods": {**store.info.methods, "wavelet": info}}))  # fmt: skip
    with pytest.raises(UsageError, match="ran with a miniature"):
        eval_results(other, Target("wavelet", "org/mini", "x", ""))
    assert "our own small stand-in" in latex(other)
    assert "our own small stand-in" in markdown(other)


def test_tensorboard_reads_what_was_written(
    run: str, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tensorboard", reason="pip install tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    out = tmp_path / "events"
    assert main(["export", run, "--to", "tensorboard", "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: 28 numbers")
    events = EventAccumulator(str(out / "seed0"))
    events.Reload()
    row = next(
        one for one in records(store) if (one["method"], one["metric"]) == ("wavelet", "psnr:rgb")
    )
    tag = f"{row['task']}/psnr:rgb/wavelet"
    for end, name in (("", "value"), (".low", "low"), (".high", "high")):
        (found,) = events.Scalars(f"{tag}{end}")
        assert found.value == pytest.approx(row[name], rel=1e-6)
        assert found.step == 0
    assert not any("clean" in one and "psnr" in one for one in events.Tags()["scalars"])
    text = events.Tensors("protocols/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "psnr:rgb v" in text
    assert main(["export", run, "--to", "tensorboard", "--out", str(out)]) == 2
    assert main(["export", run, "--to", "tensorboard"]) == 2


def test_mistakes_are_one_line(
    run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.tex").write_text("my paper")
    for flags, said in (
        (["--to", "word"], "'word'"),
        (["--to", "hub"], "expected --method and --dataset"),
        (["--to", "csv", "--method", "wavelet"], "expected no --method"),
        (["--to", "hub", "--method", "wavlet", "--dataset", "a/b"], "did you mean 'wavelet'"),
        (["--to", "hub", "--method", "wavelet", "--dataset", "a/b", "--task-id", "{x}"], "{task}"),
        (
            ["--to", "hub", "--method", "wavelet", "--dataset", "a/b", "--task-id", "{task.x}"],
            "--task-id: expected text with {task}",
        ),
        (
            ["--to", "hub", "--method", "wavelet", "--dataset", "a/b", "--task-id", "{task}"],
            "since the run has several numbers",
        ),
        (
            ["--to", "hub", "--method", "wavelet", "--dataset", "my pictures"],
            "--dataset: expected the id of a repository on the hub, OWNER/NAME",
        ),
        (["--to", "model-card", "--method", "wavelet", "--dataset", "CBSD68"], "OWNER/NAME"),
        (
            [
                "--to",
                "hub",
                "--method",
                "wavelet",
                "--dataset",
                "https://huggingface.co/datasets/a/b",
            ],
            "OWNER/NAME",
        ),
        (
            ["--to", "hub", "--method", "wavelet", "--dataset", "a/b", "--source", "my page"],
            "--source: expected the address of a page, https://..., found 'my page'",
        ),
        (["--to", "latex", "--out", str(tmp_path / "x.tex")], "found another"),
    ):
        assert main(["export", run, *flags]) == 2, flags
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert main(["export", run, "--to", "latex", "--out", str(tmp_path / "y.tex")]) == 0
    assert main(["export", run, "--to", "latex", "--out", str(tmp_path / "y.tex")]) == 0
    assert (tmp_path / "y.tex").read_text() == latex(open_store(Path(run)))
