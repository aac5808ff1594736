"""The lab is a module beside the tests, which workers in other processes import too."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import lab

from e2r_bench.run.runner import run_experiment


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lab.pictures(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def serial(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment, made by one process."""
    out = tmp_path_factory.mktemp("serial") / "run"
    assert not run_experiment(lab.experiment(data, out), methods=lab.CATALOG).failures
    return out


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """A folder of orders and notes for `lab.catalog`."""
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder
