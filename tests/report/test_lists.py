"""The lists of the command line: whole at any width, and the same facts as JSON."""

import json

import pytest

from e2r_bench.cli import main
from e2r_bench.maps.shares import SHARES
from e2r_metrics import CATALOG
from e2r_metrics.catalog import composites


@pytest.mark.parametrize("columns", ["60", "80", "120", None])
@pytest.mark.parametrize("name", ["methods", "weights", "metrics"])
def test_nothing_of_a_list_is_cut(
    name: str, columns: str | None, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    offline = ["--offline"] if name == "methods" else []
    assert main([name, "--json", *offline]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) > 5
    assert main([name, *offline]) == 0
    lines = capsys.readouterr().out.splitlines()
    for row in rows:
        edition = f" (edition {row['edition']})" if row.get("edition") else ""
        assert any(line.startswith(f"{row['name']}{edition}: {row['title']}") for line in lines)
        told = [
            row.get("licence"),
            row.get("protocol"),
            row.get("here"),
            row.get("sha256"),
            row.get("fetch"),
            row.get("note"),
        ]
        for said in filter(None, told):
            assert any(said in line for line in lines), said


def test_a_method_lists_its_options(capsys: pytest.CaptureFixture) -> None:
    assert main(["methods", "--offline"]) == 0
    out = capsys.readouterr().out
    block = out.split("kontext_lora: ")[1]
    assert "options  " in block.split("here")[0]
    assert "adapter = unset, " in block.split("here")[0]
    assert "None" not in block.split("here")[0]


def test_metrics_say_whether_they_can_be_measured_here(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("E2R_CACHE", str(tmp_path))
    assert main(["metrics", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {*CATALOG, *(one.id for one in composites()), *SHARES} == rows.keys()
    assert rows["psnr:rgb"]["measurable"]
    # Nothing is fetched for a list; whether the machine is on a network, it does not ask.
    assert rows["cmmd:v"]["here"].endswith(": not on this machine")
    assert rows["psnr:rgb"]["profiles"] == ["default", "paper"]
    assert rows["psnr:rgb"]["margin"].startswith("0.5 dB: ")
    for row in rows.values():
        assert row["measurable"] == (row["fetch"] is None) == row["here"].startswith("yes")
