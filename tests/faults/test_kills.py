"""Killed at any moment, the same command ends in the same bytes; two at once never mix."""

import multiprocessing
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import campaign
import commands
import harness
import targets

from e2r_metrics.base.files import unfinished_name, write_text


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, targets.Target]:
    campaign.preload()
    return targets.all_targets(tmp_path_factory.mktemp("killed"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return commands.pictures(tmp_path / "data")


@pytest.mark.parametrize(("name", "least"), [
    ("run", 12), ("score", 5), ("maps", 4), ("report", 2), ("study seeds", 3), ("compare", 3),
    ("leakage", 2), ("train", 5), ("claims", 2), ("study pairs", 1),
])  # fmt: skip
def test_a_killed_command_ends_in_the_same_bytes_when_it_is_given_again(
    killed: dict[str, targets.Target], name: str, least: int
) -> None:
    """A few moments of each here; 300 in the campaign."""
    for when, wrong in killed[name].kills(least):
        assert wrong == [], when


def test_every_command_that_writes_is_killed(killed: dict[str, targets.Target]) -> None:
    assert killed.keys() == campaign.SHARES.keys()


@pytest.mark.parametrize("fault", ["forgets a file", "leaves a part", "writes what time it is"])
def test_the_harness_sees_what_a_kill_did(tmp_path: Path, fault: str) -> None:
    out = tmp_path / "out"

    def command() -> int:
        first = not (out / "a").exists()
        write_text(out / "a", "whole")
        if fault == "leaves a part":
            write_text(out / unfinished_name("b"), "half")
        if fault == "writes what time it is":
            write_text(out / "b", str(time.monotonic()))
        if fault == "forgets a file" and first:
            write_text(out / "b", "whole")
        return 0

    target = targets.Target("planted", out, None, command)
    wrong = [one for _, found in target.kills(8) for one in found]
    said = {"forgets a file": "b differs", "leaves a part": "is left over"}
    assert any(said.get(fault, "b differs") in one for one in wrong)


def test_two_processes_on_one_folder_never_mix(data: Path, tmp_path: Path) -> None:
    # The page carries the name of its folder.
    whole, out = tmp_path / "alone" / "run", tmp_path / "both" / "run"
    assert harness.run(commands.run_command(data, whole), whole) == 0
    context = multiprocessing.get_context("fork")
    codes = context.Array("i", 2)

    def one(index: int) -> None:
        codes[index] = harness.run(commands.line_or_refused(data, out), out)

    workers = [context.Process(target=one, args=(k,)) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    # One is refused, or comes after the other is done.
    assert set(codes) <= {0, 2}
    assert 0 in codes
    assert set(harness.differences(harness.contents(out), harness.contents(whole))) <= {
        "run.json",
        "report.md",
    }
