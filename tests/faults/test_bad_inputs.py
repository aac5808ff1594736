"""The bad-input matrix: one case in each door here, all of them with `-m slow`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import campaign
import cases
from matrix import Case, attempt

MATRIX = cases.all_cases()
_STRIDE = 23
SLOWER = 6.0
"""Other jobs may run beside the tests; a hang lasts for ever."""


@pytest.fixture(scope="session", autouse=True)
def preloaded() -> None:
    campaign.preload()


def _judged(case: Case, folder: Path) -> None:
    outcome = attempt(case, folder / "case", SLOWER)
    assert not outcome.wrong, f"{case.name}: {outcome.wrong}: {outcome.line}"


@pytest.mark.parametrize("case", MATRIX[::_STRIDE], ids=lambda case: case.name)
def test_a_bad_input_is_answered_as_it_should_be(case: Case, tmp_path: Path) -> None:
    _judged(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", MATRIX, ids=lambda case: case.name)
def test_every_bad_input_is_answered_as_it_should_be(case: Case, tmp_path: Path) -> None:
    _judged(case, tmp_path)


def test_the_judge_sees_each_fault(tmp_path: Path) -> None:
    def crash(folder: Path) -> list[str]:
        return ["methods", "--json"]

    def broken() -> None:
        raise ValueError("planted")

    def meddles() -> None:
        Path("planted").touch()

    right = frozenset({0})
    tries = {
        "traceback": Case("planted", "raises", crash, right, before=broken),
        "touched work/planted": Case("planted", "meddles", crash, right, before=meddles),
        "exit code 0, expected 2": Case("planted", "goes on", crash, frozenset({2})),
        "hangs": Case("planted", "waits", crash, right, before=_wait, patience=0.2),
        "number": Case("planted", "wrong", crash, right, lambda folder, said: ["number"]),
    }
    for fault, case in tries.items():
        outcome = attempt(case, tmp_path / "case")
        assert any(fault in wrong for wrong in outcome.wrong), (fault, outcome)


def _wait() -> None:
    import time

    time.sleep(60)
