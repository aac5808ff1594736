"""Study of the early filter: on planted numbers it says what was planted, at the right cost."""

import numpy as np
import pytest

from e2r_baselines.method import Draw
from e2r_bench.store.cell import Cell
from e2r_bench.store.store import create_store, open_store
from e2r_bench.studies.early_filter import average, study_filter
from e2r_bench.studies.filter_settings import AVERAGED, Asked, check_asked
from e2r_bench.studies.sides import Criteria
from e2r_metrics.base.errors import UsageError
from e2r_metrics.base.pictures import read_image

TASK = "denoise25"
ASKED = Asked("kontext_lora", ("consistency", "oracle"), 4, 4, 8, (0, 1, 2))
ORACLE = "chosen by oracle, an UPPER BOUND (NFE 24)"


def runs(folder, run_maker, skill):
    """Twelve scenes, whose draws differ by 1 dB; the first judge picks with some skill, in dB."""
    rng = np.random.default_rng(5)
    images = 28 + 2 * rng.standard_normal(12)

    def drawn(gain):
        return images + gain + rng.standard_normal(12)

    first = {("plain", seed, 8): drawn(0) for seed in ASKED.seeds}
    first |= {("by-consistency", seed, 8): drawn(skill) for seed in ASKED.seeds}
    first |= {("by-oracle", seed, 8): drawn(3) for seed in ASKED.seeds}
    run = run_maker(folder / "run", first)
    told = {name: {"extra_evaluations": 16 if name != "plain" else 0, "control": "oracle" in name}
            for name in run.info.methods}  # fmt: skip
    methods = {name: one.model_copy(update=told[name]) for name, one in run.info.methods.items()}
    run = create_store(run.folder, run.info.model_copy(update={"methods": methods}))
    second = {("plain", seed, 24): drawn(0.1) for seed in ASKED.seeds}
    return run, run_maker(folder / "rivals", second)


@pytest.mark.parametrize(("skill", "better"), [(0.0, False), (2.5, True)])
def test_a_judge_is_found_as_good_as_it_was_planted(
    tmp_path, run_maker, pixel_session, skill, better
):
    run, rivals = runs(tmp_path, run_maker, skill)
    found = study_filter(run, rivals, ASKED, Criteria(pixel_session))
    verdicts = {(one.first, one.second): one.verdict for one in found.judged}
    mine, mean = "chosen by consistency (NFE 24)", "the mean draw (NFE 8)"
    same_cost = "the mean draw of 24 steps (NFE 24)"
    assert verdicts.keys() == {(a, b) for a in (mine, ORACLE) for b in (mean, same_cost)}
    assert (verdicts[mine, mean].direction == 1) is better
    assert (verdicts[mine, same_cost].direction == 1) is better
    assert verdicts[ORACLE, mean].direction == 1
    assert all(verdict.n == 12 for verdict in verdicts.values())


def test_what_is_written_has_costs_intervals_and_the_mark(tmp_path, run_maker, pixel_session):
    run, rivals = runs(tmp_path, run_maker, 0.0)
    study_filter(run, rivals, ASKED, Criteria(pixel_session))
    text = (run.folder / "studies" / "filter" / "README.md").read_text()
    for said in (ORACLE, "NFE 8", "NFE 24", "MINIATURE", "3 seeds", "n = 12 in 12 scenes"):
        assert said in text
    table = (run.folder / "studies" / "filter" / "results.csv").read_text()
    assert "low,high" in table.splitlines()[0]


def test_levels_are_means_over_all_draws(tmp_path, run_maker, pixel_session):
    run, rivals = runs(tmp_path, run_maker, 0.0)
    found = study_filter(run, rivals, ASKED, Criteria(pixel_session))
    (level,) = [one for one in found.levels if one.arm == "the mean draw (NFE 8)"]
    values = [list(run.values("plain", TASK, Draw(s, 8), "psnr:rgb").values()) for s in (0, 1, 2)]
    assert level.value == pytest.approx(np.mean(values))


def test_the_mean_picture_is_the_mean_of_the_first_draws(tmp_path, run_maker, pixel_session):
    run, _ = runs(tmp_path, run_maker, 0.0)
    average(run, ASKED)
    assert ASKED.averaged == 3
    for image in run.images(TASK):
        cells = [Cell("plain", TASK, Draw(seed, 8), image) for seed in (0, 1, 2)]
        mean = np.mean([read_image(run.path(cell)).astype(float) for cell in cells], axis=0)
        made = read_image(run.folder / AVERAGED / TASK / f"{image}.png")
        assert np.abs(made - mean).max() <= 0.5 + 1e-4


def test_an_image_that_lacks_a_draw_has_no_mean_picture(tmp_path, run_maker):
    run, _ = runs(tmp_path, run_maker, 0.0)
    run.path(Cell("plain", TASK, Draw(1, 8), "photo03")).unlink()
    average(open_store(run.folder), ASKED)
    made = {path.stem for path in (run.folder / AVERAGED / TASK).iterdir()}
    assert made == set(run.images(TASK)) - {"photo03"}


def test_too_few_seeds_have_no_mean_picture(tmp_path):
    few = Asked("kontext_lora", ("oracle",), 4, 4, 8, (0, 1))
    assert few.second(tmp_path, {})["methods"] == ["plain=kontext_lora"]
    assert f"{AVERAGED}=folder:{tmp_path / AVERAGED}" in ASKED.second(tmp_path, {})["methods"]


@pytest.mark.parametrize(("m", "steps", "count", "k"), [(6, 28, 4, 2), (6, 8, 8, 7), (2, 28, 4, 2)])
def test_the_rivals_cost_what_the_filter_costs(tmp_path, m, steps, count, k):
    asked = Asked("kontext", ("oracle",), m, count, steps, tuple(range(9)))
    assert asked.evaluations == steps + m * count
    assert asked.second(tmp_path, {})["steps"] == [asked.evaluations]
    assert asked.averaged == k


@pytest.mark.parametrize(
    "asked",
    [
        Asked("kontext", ("niqe", "niqe:basicsr"), 4, 4, 8, (0,)),
        Asked("kontext", ("oracle",), 4, 8, 8, (0,)),
    ],
)
def test_what_leaves_nothing_to_study_is_refused(asked):
    with pytest.raises(UsageError):
        check_asked(asked)
