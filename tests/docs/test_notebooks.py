"""The example notebooks: committed without outputs, and executed whole."""

import json
import resource
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))
LIMIT = 180
"""Seconds of processor time of each, so that it is as much on one core that nobody else uses."""
WAIT = 1200
"""Seconds for one cell, on a machine that others use too."""


def test_there_are_five() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    for cell in code:
        compile("".join(cell["source"]), str(path), "exec")


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
# A kernel's client and server warn of each other's ways; the notebook's own errors end it.
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("nbclient") is None or find_spec("ipykernel") is None:
        pytest.skip("nbclient is not installed: pip install -e '.[notebooks]'")
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    notebook = nbformat.read(path, as_version=4)
    before = _seconds_of_children()
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=WAIT, resources=resources).execute()
    took = _seconds_of_children() - before
    print(f"{path.stem}: {took:.0f} s of processor time")
    shown = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    assert any("text/html" in output.get("data", {}) for output in shown) or "claims" in path.stem
    assert not [output for output in shown if output.output_type == "error"]
    assert 0 < took < LIMIT
