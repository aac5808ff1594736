"""`e2r_bench.study_seeds` and `study_steps`: what the commands print, on runs of known numbers."""

from pathlib import Path

import numpy as np
import pytest

import e2r_bench
from e2r_bench.cli import main
from e2r_bench.store.store import Store, create_store, open_store
from e2r_metrics import UsageError


@pytest.fixture
def seeds_run(run_maker, tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    images = generator.normal(30, 2, 12)
    values = {
        ("kontext_lora", k, 28): (images + generator.normal(0, 0.5, 12)).tolist() for k in range(4)
    }
    lines = ["method,task,seed,steps,n,metric,variant,value,status"]
    lines += [
        f"kontext_lora,denoise25,{k},28,12,fd_effnet,lite0,{3 + 0.1 * k},ok" for k in range(4)
    ]
    lines += [f"{name},denoise25,0,0,12,fd_effnet,lite0,{value},ok" for name, value in
              (("degraded", 44.0), ("clean", 0.0))]  # fmt: skip
    run_maker(tmp_path / "run", values)
    (tmp_path / "run" / "summary.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "run"


def test_the_study_of_seeds_is_what_the_command_prints(
    seeds_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = e2r_bench.study_seeds(seeds_run)
    assert main(["study", "seeds", str(seeds_run)]) == 0
    assert capsys.readouterr().out.splitlines() == [*study.lines, f"written: {study.folder}"]
    assert list(study.frame().metric) == ["psnr:rgb", "fd_effnet:lite0"]
    assert study.lines[0].startswith("kontext_lora denoise25 psnr:rgb: mean ")
    shown = study._repr_html_()
    for word in ("study of seeds", "n 12, seeds 4", "data:image/png", "psnr:rgb v", "versions"):
        assert word in shown, word
    two = e2r_bench.study_seeds(seeds_run, seeds=[0, 1], margins={"psnr": 0.4})
    assert main(["study", "seeds", str(seeds_run), "--seeds", "0,1", "--margin", "psnr=0.4"]) == 0
    assert two.lines[0] == capsys.readouterr().out.splitlines()[0]
    assert "seeds 2" in two.lines[0]


def test_seeds_that_a_run_lacks_are_named(
    seeds_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="which has 0, 1, 2, 3, found 7 too"):
        e2r_bench.study_seeds(seeds_run, seeds=[0, 7])
    assert main(["study", "seeds", str(seeds_run), "--seeds", "0,7"]) == 2
    assert "with --seeds 0,1,2,3,7" in capsys.readouterr().err


def test_the_study_of_steps_is_what_the_command_prints(
    run_maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(1).normal(30, 2, 12)
    values = {
        ("kontext_lora", 0, count): (images + gain).tolist()
        for count, gain in ((1, -4.0), (8, -0.1), (28, 0.0))
    }
    run = run_maker(tmp_path / "run", values)
    study = e2r_bench.study_steps(e2r_bench.Ran(run))
    assert main(["study", "steps", str(tmp_path / "run")]) == 0
    assert capsys.readouterr().out.splitlines() == [*study.lines, f"written: {study.folder}"]
    assert len(study.rows) == 3
    assert len(study.lines) == 1
    assert "best at 28" in study.lines[0]


PROGRAM = "vie:command-0123abcd"


def with_program(store: Store, margin: float | None) -> Path:
    """Give a run a column from somebody's program, of the values that psnr has."""
    info, rows = store.info, store.rows().all
    mine = info.metrics["psnr:rgb"].model_copy(
        update={"name": "vie", "variant": "command-0123abcd", "unit": "", "margin": margin}
    )
    ((name, task),) = info.tasks.items()
    told = task.model_copy(update={"variants": {**task.variants, "vie": "command-0123abcd"}})
    update = {"metrics": {**info.metrics, PROGRAM: mine}, "tasks": {name: told}}
    made = create_store(store.folder, info.model_copy(update=update))
    made.put_rows([
        row.model_copy(update={"metric": "vie", "variant": "command-0123abcd"}) for row in rows
    ])  # fmt: skip
    return store.folder


@pytest.fixture
def steps_store(run_maker, tmp_path: Path) -> Store:
    images = np.random.default_rng(1).normal(30, 2, 12)
    values = {("m", 0, k): (images + gain).tolist() for k, gain in ((1, -4.0), (8, -0.1), (28, 0))}
    return run_maker(tmp_path / "steps", values)


def test_a_study_of_steps_takes_the_margin_that_a_program_states(steps_store: Store) -> None:
    study = e2r_bench.study_steps(with_program(steps_store, 0.2))
    assert {row["metric"]: row["margin"] for row in study.rows} == {"psnr:rgb": 0.5, PROGRAM: 0.2}
    assert "vie 0.2" in (study.folder / "README.md").read_text(encoding="utf-8")


def test_a_study_of_steps_names_what_it_leaves_out(
    steps_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(with_program(steps_store, None))
    assert main(["study", "steps", folder]) == 0
    said = capsys.readouterr().out
    assert f"{PROGRAM}: give margin=NUMBER before the program, or --margin vie=NUMBER" in said
    assert "unknown margin" not in said
    assert main(["study", "steps", folder, "--margin", "vie=0.3"]) == 0
    assert "margin 0.3," in capsys.readouterr().out


def test_a_study_of_seeds_splits_what_has_no_margin_and_counts_no_seeds(
    seeds_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_program(open_store(seeds_run), None)
    assert main(["study", "seeds", str(seeds_run)]) == 0
    said = {line.split()[2]: line for line in capsys.readouterr().out.splitlines()[:-1]}
    bare = said[f"{PROGRAM}:"]
    assert "seeds: not resolved: give margin=NUMBER before the program" in bare
    split = said["psnr:rgb:"].partition(", seeds for")[0].partition("mean")[2]
    assert split in bare  # the same values, split alike
    assert main(["study", "seeds", str(seeds_run), "--margin", "vie=0.5"]) == 0
    assert capsys.readouterr().out.count("seeds for +-0.25") == 2
    assert main(["study", "seeds", str(seeds_run), "--margin", "vei=0.5"]) == 2
    assert "did you mean 'vie'" in capsys.readouterr().err
