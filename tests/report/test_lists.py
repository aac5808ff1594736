"""The lists of the command line: whole at any width, and the same facts as JSON."""

import json

import pytest

from e2r_bench.cli import main


@pytest.mark.parametrize("columns", ["60", "80", "120", None])
@pytest.mark.parametrize("name", ["methods", "weights"])
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
        assert any(line.startswith(f"{row['name']}: {row['title']}") for line in lines)
        told = [
            row["licence"],
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
    assert "adapter = " in block.split("here")[0]
