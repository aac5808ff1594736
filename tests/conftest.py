"""Fixtures that every area of the tests may use."""

import os
from pathlib import Path

import pytest

from e2r_bench.threads import wait_passively

wait_passively()  # As the program does: torch is not imported yet.


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The evaluation photographs, beside the checkout or where E2R_SHARED_DATA says."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("E2R_SHARED_DATA", beside))
    if not (folder / "cbsd68").is_dir():
        pytest.skip(
            f"the evaluation photographs are not at {folder}; set E2R_SHARED_DATA to their folder"
        )
    return folder
