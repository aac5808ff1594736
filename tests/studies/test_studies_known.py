"""Studies on planted answers: variance components, the knee, prompts, and what they write."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from e2r_bench.statistics.components import components
from e2r_bench.studies.seeds import study_seeds
from e2r_bench.studies.steps import study_steps
from e2r_metrics.base.errors import UsageError

COUNTS = (1, 2, 4, 8, 16, 28, 50)


@pytest.mark.parametrize(("images", "seeds", "spread"), [(60, 40, 3.0), (80, 6, 1.0)])
def test_planted_variance_components_come_back(images, seeds, spread):
    """With six seeds the interaction leaks into the images' means, unless it is taken out."""
    generator = np.random.default_rng(0)
    found = []
    for _ in range(200):
        values = (
            generator.normal(0, spread, (images, 1))
            + generator.normal(0, 1.0, (1, seeds))
            + generator.normal(0, 2.0, (images, seeds))
        )
        parts = components(values)
        found.append((parts.image, parts.seed, parts.interaction))
    assert np.mean(found, axis=0) == pytest.approx([spread**2, 1.0, 4.0], rel=0.1)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((5, 1)), "at least two, found 1"),
        (np.ones((1, 5)), "at least two images"),
        (np.ones((5, 5)), "constant has no variance"),
        (np.full((5, 5), np.inf), "finite values"),
    ],
)
def test_seeds_that_say_nothing_are_refused(values, said):
    with pytest.raises(UsageError, match=said):
        components(values)


def _curves(knee: int, n: int = 40, noise: float = 0.3) -> np.ndarray:
    """Rise linearly in the place of the count up to the knee, then stay."""
    generator = np.random.default_rng(2)
    place = COUNTS.index(knee)
    curve = 20 + 10 * np.minimum(np.arange(len(COUNTS)), place) / place
    return curve + generator.normal(0, noise, (n, len(COUNTS))) + generator.normal(0, 2, (n, 1))


def _written(folder):
    kinds = {".md", ".csv", ".json", ".png", ".svg", ".pdf"}
    assert {path.suffix for path in folder.iterdir()} == kinds
    section = json.loads((folder / "section.json").read_text())
    assert set(section) == {"title", "markdown", "plots"}
    for name in section["plots"]:
        if name.endswith("png"):
            assert np.asarray(Image.open(folder / name)).std() > 5, "the plot is not empty"
    assert len(pd.read_csv(folder / "results.csv")) == len(
        json.loads((folder / "results.json").read_text())
    )


def test_study_of_seeds_on_a_run(run_maker, tmp_path):
    generator = np.random.default_rng(0)
    images = generator.normal(30, 2, 20)
    values = {
        ("kontext_lora", k, 28): (images + generator.normal(0, 0.5, 20)).tolist() for k in range(4)
    }
    run = run_maker(tmp_path, values)
    lines = [
        {"method": "kontext_lora", "task": "denoise25", "seed": k, "steps": 28, "n": 20,
         "metric": "fd_effnet", "variant": "lite0", "value": 3 + 0.1 * k, "status": "ok"}
        for k in range(4)
    ]  # fmt: skip
    lines += [
        {**lines[0], "method": name, "seed": 0, "steps": 0, "value": value}
        for name, value in (("degraded", 44.0), ("clean", 0.0))
    ]
    pd.DataFrame(lines).to_csv(tmp_path / "summary.csv", index=False)
    rows = {row.metric: row for row in study_seeds(run, 28)}
    assert rows["psnr:rgb"].image_variance == pytest.approx(np.var(images, ddof=1), rel=0.1)
    assert rows["psnr:rgb"].build == "kontext-nano (miniature)"
    assert rows["fd_effnet:lite0"].spread_of_mean == pytest.approx(
        np.std([0, 0.1, 0.2, 0.3], ddof=1)
    )
    assert rows["psnr:rgb"].half_width == 0.25
    assert rows["fd_effnet:lite0"].half_width == pytest.approx(0.05 * 44 / 2)
    for row in rows.values():
        assert row.seeds_low <= row.seeds_enough <= row.seeds_high
        assert "enough with a chance of 80%" in row.words
    _written(tmp_path / "studies" / "seeds")


def test_one_seed_is_refused(run_maker, tmp_path):
    run = run_maker(tmp_path, {("kontext_lora", 0, 28): [30.0, 31.0, 32.0]})
    with pytest.raises(UsageError, match="at least two, found 1; give --seeds"):
        study_seeds(run, 28)


def test_two_seeds_tell_no_spread_and_a_constant_has_none(run_maker, tmp_path):
    column = np.random.default_rng(0).normal(30, 2, 12)
    two = run_maker(tmp_path / "a", {("m", k, 28): (column + k).tolist() for k in range(2)})
    (tmp_path / "a" / "summary.csv").write_text(SUMMARY)
    found = {row.metric: row for row in study_seeds_of(two)}
    assert found["psnr:rgb"].seeds_enough is None
    assert found["psnr:rgb"].words.startswith("not resolved: 2 seeds")
    flat = run_maker(tmp_path / "b", {("m", k, 28): [30.0] * 12 for k in range(3)})
    (row,) = study_seeds_of(flat)
    assert (row.spread_of_mean, row.note) == (0.0, "the same in every image and seed")


SUMMARY = "method,task,seed,steps,n,metric,variant,value,status\n"


def study_seeds_of(run):
    """Only per-image metrics: these runs have no summary of the set metrics."""
    for name in [key for key in run.info.metrics if not run.info.metrics[key].per_image]:
        run.info.metrics.pop(name)
    return study_seeds(run, 28)


def test_study_of_steps_on_a_run(run_maker, tmp_path):
    curves = _curves(8, 12, 0.1)
    values = {("kontext_lora", 0, count): curves[:, k].tolist() for k, count in enumerate(COUNTS)}
    rows = study_steps(run_maker(tmp_path, values), 0)
    assert {(row.settling, row.knee, row.knee_low, row.knee_high) for row in rows} == {
        ("knee", 8, 8, 8)
    }
    assert rows[-1].to_longest == 0 < rows[0].to_longest
    assert rows[-1].gap == 0
    assert rows[0].gap_low < rows[0].gap < rows[0].gap_high < 0
    assert "settles at 8 steps, between 8 and 8 (95%)" in rows[0].words
    _written(tmp_path / "studies" / "steps")


def test_noise_alone_has_no_knee(run_maker, tmp_path):
    """Once each of 1200 curves of noise had one."""
    noise = np.random.default_rng(3).normal(30, 0.3, (16, len(COUNTS)))
    values = {("m", 0, count): noise[:, k].tolist() for k, count in enumerate(COUNTS)}
    assert {row.settling for row in study_steps(run_maker(tmp_path, values), 0)} == {"flat"}


def test_a_metric_that_more_steps_make_worse_is_said_to(run_maker, tmp_path):
    values = {("m", 0, k): [30.0 - k / 4 + j for j in range(12)] for k in (1, 2, 4, 8)}
    rows = study_steps(run_maker(tmp_path, values), 0)
    assert {(row.settling, row.best) for row in rows} == {("not settled", 1)}


def test_five_scenes_have_no_knee(run_maker, tmp_path):
    values = {("m", 0, k): [30.0 + k, 31.0 + k, 29.0 + k] for k in (1, 2, 4)}
    rows = study_steps(run_maker(tmp_path, values), 0)
    assert "3 scenes, and nothing is said below 10" in rows[0].words


def test_two_step_counts_are_refused(run_maker, tmp_path):
    run = run_maker(tmp_path, {("m", 0, k): [30.0, 31.0, 32.0] for k in (1, 2)})
    with pytest.raises(UsageError, match="three counts or more"):
        study_steps(run, 0)
