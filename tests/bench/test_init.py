"""`init` writes files that really parse and plan; `completion` scripts that shells really take."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from e2r_bench.arms.claims import load_claims
from e2r_bench.cli import COMMANDS, COMPLETE, main
from e2r_bench.commands.completion import SHELLS
from e2r_bench.commands.init import STARTERS
from e2r_bench.run.config import Experiment, make_experiment, read_toml


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", sorted(STARTERS))
def test_a_starter_is_written_once(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = STARTERS[kind].out
    assert main(["init", kind]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: next, e2r-bench ")
    before = out.read_bytes()
    assert main(["init", kind]) == 2
    assert "found one that is there" in capsys.readouterr().err
    assert out.read_bytes() == before


def test_a_link_to_nothing_is_not_written_through(tmp_path: Path) -> None:
    Path("experiment.toml").symlink_to(tmp_path / "elsewhere")
    assert main(["init"]) == 2
    assert not (tmp_path / "elsewhere").exists()


def test_the_experiment_parses_and_plans(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 0
    made = make_experiment(read_toml(Path("experiment.toml")), "experiment.toml")
    assert made.methods == ("nlm", "wavelet")
    assert main(["run", "experiment.toml", "--dry-run", "--offline"]) == 0
    assert "denoise25" in capsys.readouterr().out
    assert not Path("results").exists()


def test_what_is_commented_out_in_the_experiment_is_a_setting() -> None:
    """A key that nobody knows, or a value of another kind, is refused by `make_experiment`."""
    assert main(["init"]) == 0
    lines = Path("experiment.toml").read_text().splitlines()
    settings = {"methods": ["nlm"]}
    for line in lines:
        key, equals, _ = line.removeprefix("# ").partition(" = ")
        if line.startswith("# ") and equals and key.isidentifier() and key != "adapter":
            Path("one.toml").write_text(line.removeprefix("# "))
            settings |= read_toml(Path("one.toml"))
    assert {"limit", "crop", "variant", "seeds", "steps"} <= settings.keys()
    assert settings.keys() <= Experiment.model_fields.keys()
    make_experiment(settings, "comments")


def test_the_claims_parse_are_read_and_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "claims"]) == 0
    claims = load_claims("claims.toml")
    assert [one.id for one in claims.claims] == ["C1"]
    assert main(["claims", "claims.toml", "--table-only"]) == 0
    assert "Ours is better" in capsys.readouterr().out
    asked = ["--tasks", "denoise25", "--metrics", "psnr", "--limit", "3", "--offline"]
    assert main(["claims", "claims.toml", "--dry-run", *asked]) == 0
    assert not Path("results").exists()


def test_the_workflow_parses_and_its_command_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "drift"]) == 0
    content = yaml.safe_load(Path(".github/workflows/drift.yml").read_text())
    # YAML 1.1 reads the key `on` as true.
    assert content.keys() == {"name", True, "permissions", "jobs"}
    steps = content["jobs"]["drift"]["steps"]
    assert all(("uses" in one) != ("run" in one) for one in steps)
    commands = [one["run"] for one in steps if one.get("run", "").startswith("e2r-bench")]
    assert commands == ["e2r-bench drift"]
    assert main(commands[0].split()[1:]) == 0
    assert "0 moved" in capsys.readouterr().out


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts_name_the_program(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert COMPLETE in script
    assert "e2r-bench" in script
    if found := shutil.which(shell):
        check = [found, "-n"] if shell != "fish" else [found, "--no-execute"]
        subprocess.run(check, input=script, text=True, check=True)


def complete(words: str, count: int) -> list[str]:
    environment = {
        "PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"],
        COMPLETE: "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", "from e2r_bench.cli import script; script()"],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_a_shell_is_told_commands_and_flags() -> None:
    assert complete("e2r-bench ", 1) == list(COMMANDS)
    assert complete("e2r-bench pub", 1) == ["publish"]
    assert "--hashes-only" in complete("e2r-bench publish --", 2)
    assert complete("e2r-bench completion z", 2) == ["zsh"]
