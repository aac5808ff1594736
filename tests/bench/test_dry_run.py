"""`run --dry-run`: what it would take, and that nothing is done."""

from collections.abc import Callable
from pathlib import Path

import pytest

from e2r_bench.cli import main
from e2r_bench.run.config import Experiment
from e2r_bench.run.dry import dry_run
from e2r_bench.run.plan import Catalog
from e2r_bench.run.runner import Outcome
from e2r_metrics import Missing, Resolver


def test_nothing_is_written_and_all_is_counted(experiment: Experiment, catalog: Catalog) -> None:
    said = list(dry_run(experiment, catalog))
    assert not experiment.out.exists()
    assert "restore with shaker (shaker): denoise25 12, derain 12; each picture 4 times" in said
    # (4 draws + 2 controls) x 2 tasks x 3 images
    assert any(line.startswith(f"in all {6 * 2 * 3} pictures to restore") for line in said)
    assert any("not known for shaker at " in line for line in said)
    # 36 pictures and 2 x 3 pairs of 128 x 128 x 3 bytes
    size = (36 + 12) * 128 * 128 * 3 / 1e6
    assert any(line.startswith(f"disk: at most {size:.1f} MB") for line in said)
    assert said[-2:] == ["downloads: none", "dry run: nothing was written, fetched or restored"]


def test_what_is_there_is_not_counted_and_its_time_is_known(
    experiment: Experiment, catalog: Catalog, run: Callable[..., Outcome]
) -> None:
    store = run(experiment).store
    before = sorted(path.stat().st_mtime_ns for path in store.folder.rglob("*"))
    said = list(dry_run(experiment, catalog))
    assert any(line.startswith("in all 0 pictures to restore") for line in said)
    more = list(dry_run(experiment.model_copy(update={"seeds": (0, 1, 2)}), catalog))
    assert any(line.startswith(f"in all {2 * 2 * 3} pictures") for line in more)
    assert not any("not known" in line for line in more)
    assert sorted(path.stat().st_mtime_ns for path in store.folder.rglob("*")) == before


def test_what_would_be_fetched_is_named_and_not_fetched(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"inception-2015-12-05": 95_000_000, "clip-rn50": 250_000_000}
    look = Resolver.look
    monkeypatch.setattr(
        Resolver,
        "look",
        lambda self, name: (
            Missing(name, "not here", "fetch it", missing[name])
            if name in missing
            else look(self, name)
        ),
    )
    arguments = [
        "run",
        "--methods",
        "nlm",
        "--tasks",
        "denoise25",
        "--metrics",
        "psnr,fid,clip_iqa",
    ]
    assert main([*arguments, "--dry-run", "--out", str(tmp_path / "run")]) == 0
    out = capsys.readouterr().out
    assert "downloads: inception-2015-12-05 95.0 MB" in out
    assert "clip_iqa:official: not measured, not here; to fetch: fetch it" in out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--tasks", "derain", "--pairs", "16"], "1920 of 1920 steps to train; profile "
         "nano on kontext-nano\ntime: not known for one training, "),
        (["study", "pairs", "--pairs", "16,32", "--backbone", "kontext-nano", "--offline"],
         "in all 4 trainings of"),
        (["study", "prompts", "--backbone", "kontext-nano", "--offline"], "in all 1 trainings of"),
        (["claims", "--only", "C1", "--backbone", "kontext-nano", "--offline"], "in all 1 train"),
        (["study", "seeds", "--seeds", "0,1", "--limit", "3", "--offline"],
         "; each picture 2 times"),
        (["study", "steps", "--steps", "1,2,3", "--limit", "3", "--offline"],
         "\ntime: not known for kontext_lora at 1 steps, kontext_lora at 2 steps"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_every_long_command_says_what_it_takes_and_does_nothing(
    arguments: list[str],
    said: str,
    columns: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main([*arguments, "--dry-run", "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert said in out
    assert out.splitlines()[-1].startswith("dry run: nothing was written, fetched")
    assert not list(tmp_path.iterdir())
