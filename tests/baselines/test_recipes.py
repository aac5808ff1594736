"""Recipes: none of the list is missing, and what they give can be given."""

import json
import shlex

import pytest

from e2r_baselines.commands import command_method
from e2r_baselines.recipes import Recipe, recipes
from e2r_bench.cli import main

ASKED = {
    "AutoDIR", "DA-CLIP", "FoundIR", "DiffBIR", "OSEDiff", "TSD-SR", "UniRestorer", "JarvisIR",
    "AirNet", "RestoreAgent", "ADMS",
}  # fmt: skip


def test_none_of_the_list_is_silently_missing() -> None:
    names = [one.name for one in recipes()]
    assert set(names) >= ASKED
    assert len(set(names)) == len(names)
    assert all(one.source and one.licence and one.weights and one.note for one in recipes())


@pytest.mark.parametrize("recipe", [one for one in recipes() if one.line], ids=lambda one: one.name)
def test_a_line_is_a_method(recipe: Recipe) -> None:
    (given,) = shlex.split(recipe.how)
    method = command_method(given)
    assert method.runs[0] == "python"
    assert "{input}" in recipe.line
    assert "{output}" in recipe.line


def test_the_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--recipes"]) == 0
    shown = capsys.readouterr().out
    assert "OSEDiff: github.com/cswry/OSEDiff" in shown
    assert "folder:FOLDER" in shown
    assert main(["methods", "--recipes", "--json"]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} >= ASKED
