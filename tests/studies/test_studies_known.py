"""Studies on planted answers: variance components, the knee, prompts, and what they write."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from e2r_bench.studies.seeds import components, study_seeds
from e2r_bench.studies.steps import find_knee, study_steps
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


def test_seeds_needed_reach_the_half_width():
    generator = np.random.default_rng(1)
    parts = components(
        generator.normal(0, 1, (30, 1)) + generator.normal(0, 0.5, (1, 20))
        + generator.normal(0, 1, (30, 20))
    )  # fmt: skip
    needed = parts.seeds_for(0.2, 30)
    reached = 1.96 * np.sqrt((parts.seed + parts.interaction / 30) / np.array([needed, needed - 1]))
    assert reached[0] <= 0.2 < reached[1]


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


@pytest.mark.parametrize("knee", [4, 8, 16, 28])
def test_a_planted_knee_is_found(knee):
    scenes = [f"s{k}" for k in range(40)]
    found = find_knee(_curves(knee), COUNTS, scenes, np.random.default_rng(0))
    assert found.steps == knee
    assert found.low <= knee <= found.high


@pytest.mark.parametrize(
    ("values", "counts", "scenes", "said"),
    [
        (np.ones((4, 7)), COUNTS, "abcd", "the curve is flat"),
        (np.zeros((4, 2)), (1, 2), "abcd", "three or more"),
        (np.zeros((4, 3)), (4, 2, 1), "abcd", "ascending"),
        (_curves(8, 4), COUNTS, "aaaa", "at least two scenes"),
    ],
)
def test_a_knee_that_is_not_there_is_refused(values, counts, scenes, said):
    with pytest.raises(UsageError, match=said):
        find_knee(values, counts, list(scenes), np.random.default_rng(0))


def _written(folder):
    assert {path.suffix for path in folder.iterdir()} == {".md", ".csv", ".json", ".png", ".svg"}
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
    pd.DataFrame(lines).to_csv(tmp_path / "summary.csv", index=False)
    rows = {row.metric: row for row in study_seeds(run, 28)}
    assert rows["psnr:rgb"].image_variance == pytest.approx(np.var(images, ddof=1), rel=0.1)
    assert rows["psnr:rgb"].build == "kontext-nano (miniature)"
    assert rows["fd_effnet:lite0"].spread_of_mean == pytest.approx(
        np.std([0, 0.1, 0.2, 0.3], ddof=1)
    )
    _written(tmp_path / "studies" / "seeds")


def test_one_seed_is_refused(run_maker, tmp_path):
    run = run_maker(tmp_path, {("kontext_lora", 0, 28): [30.0, 31.0, 32.0]})
    with pytest.raises(UsageError, match="at least two, found 1; give --seeds"):
        study_seeds(run, 28)


def test_study_of_steps_on_a_run(run_maker, tmp_path):
    curves = _curves(8, 12)
    values = {("kontext_lora", 0, count): curves[:, k].tolist() for k, count in enumerate(COUNTS)}
    rows = study_steps(run_maker(tmp_path, values), 0)
    assert {(row.knee, row.best) for row in rows} == {(8, 28)}
    assert rows[-1].to_longest == 0 < rows[0].to_longest
    _written(tmp_path / "studies" / "steps")


def test_a_metric_that_more_steps_make_worse_is_said_to(run_maker, tmp_path):
    values = {("m", 0, k): [30.0 - k / 4, 31.0 - k / 4] for k in (1, 2, 4, 8)}
    rows = study_steps(run_maker(tmp_path, values), 0)
    assert {(row.knee, row.best) for row in rows} == {(8, 1)}


def test_two_step_counts_are_refused(run_maker, tmp_path):
    run = run_maker(tmp_path, {("m", 0, k): [30.0, 31.0, 32.0] for k in (1, 2)})
    with pytest.raises(UsageError, match="three counts or more"):
        study_steps(run, 0)
